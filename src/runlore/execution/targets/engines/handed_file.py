"""The environment of a supervisor on another host, in a file that only its user may read.

    <handover folder>/<digest of workspace and run>.json
    <handover folder>/<digest of workspace and run>.txt    the output of the supervisor's beginning

The file stays until the run is over: an engine may start its job again.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from runlore.domain.errors import RunloreError
from runlore.exceptions import ComputeTargetException

_NBYTES_MAX: Final = 1 << 26
_OUTPUT_MAX: Final = 1 << 20
_SHOWN_MAX: Final = 500


class HandedFile:
    """The file of one run in a folder that the submitter shares with the cluster's hosts."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.output = self.path.with_suffix(".txt")

    @classmethod
    def of(cls, folder: str, uri: str, run_id: str) -> HandedFile:
        """The file of a run of a workspace in the folder."""
        name = sha256(f"{uri}\0{run_id}".encode()).hexdigest()[:40]
        return cls(Path(folder) / f"{name}.json")

    def write(self, environment: Mapping[str, str]) -> None:
        """Write the environment; the folder is made if it is missing.

        Raises ComputeTargetException if that is not possible.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # One left by a killed submitter of the same id.
                self.path.unlink()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(self.path, flags, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(json.dumps(dict(environment)).encode())
                file.flush()
                os.fsync(fd)  # Another host reads it.
        except OSError as error:
            raise ComputeTargetException(
                f"cannot write the environment of the run to {self.path.parent}: "
                f"{error.strerror or error}; attach the target with handover='/a/folder' that this "
                "host and those of the cluster share"
            ) from error

    def read(self) -> dict[str, str]:
        """The environment. Raises RunloreError if there is none, or it may be another user's."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(fd, "rb") as file:
                found = os.fstat(fd)
                private = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
                if not private or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                    raise RunloreError(
                        f"{self.path} is not a file that only this user may read and write, so it "
                        "is not believed"
                    )
                content = file.read(_NBYTES_MAX)
        except OSError as error:
            raise RunloreError(
                f"cannot read the environment of the run from {self.path}: {error.strerror}; "
                "attach the target with handover='/a/folder' that the submitting host and those "
                "of the cluster share"
            ) from error
        return _as_variables(json.loads(content))

    def remove(self) -> None:
        """Remove the file, and the output beside it. Idempotent."""
        for path in (self.path, self.output):
            with suppress(OSError):
                path.unlink()


def last_output(path: str | os.PathLike[str]) -> str:
    """The end of what a job has printed; empty if it cannot be read here."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_OUTPUT_MAX)[-_SHOWN_MAX:]
    except OSError:
        return ""


def _as_variables(document: Any) -> dict[str, str]:
    if not isinstance(document, dict):
        raise RunloreError("the environment of the run is damaged; submit it again")
    return {str(name): str(value) for name, value in document.items()}

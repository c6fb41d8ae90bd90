"""How far a watch has delivered, in a file of the user's: a restart goes on from there.

Not in the log. Where somebody's alerts go is no fact about the runs, readers without write access
watch as well, and each delivery would be an event that other watches had to read. Not in the cache,
which may be emptied at any time. The file belongs to one log on this machine: a copy of the
workspace has another one.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runlore.domain.errors import InvalidInput
from runlore.storage.atomic_files import explained, replacing
from runlore.storage.file_lock import try_lock
from runlore.storage.log_opener import file_of_log
from runlore.storage.user_cache import key_of_log
from runlore.storage.user_state import state_folder

if TYPE_CHECKING:
    from typing import Self

    from runlore.engine.session import Session


class WatchRunsAlready(InvalidInput):
    """Another process delivers the alerts of this watch."""


class Bookmark:
    """The last position up to which a watch has delivered everything; None before the first time.

    `told` are the alerts that it delivered but could not record in the log. Only one process at a
    time holds a bookmark, until `close()` or its end.
    """

    def __init__(self, file: Path, lock: int) -> None:
        self._file = file
        self._lock = lock
        content = _read(file)
        position = content.get("position")
        self.position = position if type(position) is int and position >= 0 else None
        told = content.get("told")
        listed = told if isinstance(told, list) else []
        self.told = {tuple(map(str, one)) for one in listed if isinstance(one, list)}

    @classmethod
    def of(cls, session: Session, watch: str) -> Bookmark:
        """The bookmark of a watch of a workspace. Raises StateUnusable, WatchRunsAlready."""
        workspace = session.require_held()
        log = key_of_log(file_of_log(workspace), session.workspace.workspace_id)
        name = hashlib.sha256(f"{log}\0{watch}".encode(errors="surrogatepass")).hexdigest()
        file = state_folder("alerts") / f"{name}.json"
        with explained(file):
            lock = try_lock(file.with_suffix(".lock"), mode=0o600)
        if lock is None:
            raise WatchRunsAlready(
                f"another `runlore alert` of yours delivers these alerts of {workspace}; end it, "
                "or give this one a name of its own with --name"
            )
        return cls(file, lock)

    def keep(self, position: int) -> None:
        """Remember that all is delivered up to a position; on disk when this returns.

        Raises FileNotWritten; the file is the old one then.
        """
        self.position = position
        content = {"position": position, "told": sorted(map(list, self.told))}
        with replacing(self._file) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(json.dumps(content).encode())
            with explained(self._file):
                os.fsync(file.fileno())

    def close(self) -> None:
        """Let another process go on. Idempotent."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read(file: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        content = json.loads(file.read_bytes())
        if isinstance(content, dict):
            return content
    return {}

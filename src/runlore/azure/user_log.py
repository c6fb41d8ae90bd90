"""The output of a `with run:` block, copied to `./logs/user_log.txt` as in Azure ML."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from runlore.engine.caller_warning import warn_caller

FOLDER = "logs"


class UserLog:
    """A copy of stdout and stderr in a file. `close()` ends it, and restores the working folder.

    `folder` is the file's folder, or None if no file was requested or none can be written.
    """

    def __init__(self, *, tee: bool) -> None:
        self._working_folder = Path.cwd()
        self._file = _open(self._working_folder / FOLDER / "user_log.txt") if tee else None
        self.folder = self._working_folder / FOLDER if self._file else None
        if self._file is not None:
            self._stdout, self._stderr = sys.stdout, sys.stderr
            self._teed = (_Tee(sys.stdout, self._file), _Tee(sys.stderr, self._file))
            sys.stdout, sys.stderr = self._teed

    def close(self) -> None:
        """Restore the streams, unless other code has replaced them in the meantime."""
        with suppress(OSError):  # The script may have removed the folder.
            os.chdir(self._working_folder)
        if self._file is None:
            return
        if sys.stdout is self._teed[0]:
            sys.stdout = self._stdout
        if sys.stderr is self._teed[1]:
            sys.stderr = self._stderr
        self._file.close()
        self._file = None


def _open(path: Path) -> TextIO | None:
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        # Append: a run in the block of another empties the file, and both go on writing.
        return path.open("a", encoding="utf-8", errors="replace")
    except OSError as error:
        warn_caller(f"the output of the block is not kept: cannot write {path}: {error.strerror}")
        return None


class _Tee:
    """A text stream that also writes to a file while that is open."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream = stream
        self._file = file

    def write(self, text: str) -> int:
        if not self._file.closed:
            self._file.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

"""What a `with run:` block prints, kept in `./logs/user_log.txt` as Azure ML does."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, TextIO


class UserLog:
    """From its making to `close()`: tees stdout and stderr, and restores the working folder."""

    def __init__(self, *, tee: bool) -> None:
        self.teed = tee
        self._folder = Path.cwd()
        self._file: TextIO | None = None
        if tee:
            path = self._folder / "logs" / "user_log.txt"
            path.parent.mkdir(exist_ok=True)
            self._file = path.open("w", encoding="utf-8", errors="replace")
            self._stdout, self._stderr = sys.stdout, sys.stderr
            self._teed = (_Tee(sys.stdout, self._file), _Tee(sys.stderr, self._file))
            sys.stdout, sys.stderr = self._teed

    def close(self) -> None:
        """Gives the streams back, unless somebody else replaced them meanwhile."""
        os.chdir(self._folder)
        if self._file is None:
            return
        if sys.stdout is self._teed[0]:
            sys.stdout = self._stdout
        if sys.stderr is self._teed[1]:
            sys.stderr = self._stderr
        self._file.close()
        self._file = None


class _Tee:
    """A text stream that also writes into a file, while that is open."""

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

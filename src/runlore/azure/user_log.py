"""The output of a `with run:` block, kept as the run's file `logs/user_log.txt` as in Azure ML.

While blocks are open, one stream stands in the place of `sys.stdout`, and one in that of
`sys.stderr`. Each passes on what it gets, and copies it to the logs of the blocks that the caller
is in: those of its thread or asyncio task. What a thread prints that is in no block goes to all
logs, because it may work for any of them. Not copied is what goes past the streams: subprocesses,
`sys.stdout.buffer`, and handlers of `logging` that were made before the block.

No fault of a log reaches the program: a log that cannot be written ends with a warning.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, BinaryIO, Final, Literal, TextIO

from runlore.engine.caller_warning import warn_caller

NAME: Final = "logs/user_log.txt"
FOLDER: Final = "logs"
"""The folder in the working folder whose files are kept beside the log."""


class UserLog:
    """A copy of what a block prints. `close()` ends it, and restores the working folder.

    `folder` is FOLDER in the working folder, or None if nothing is to be kept.
    """

    def __init__(self, *, tee: bool) -> None:
        self._working_folder = _working_folder()
        self.folder = f"{self._working_folder}/{FOLDER}" if tee and self._working_folder else None
        self._file = _file() if tee else None
        self._is_cut = False
        if self._file is not None:
            _open_logs.add(self)

    def write(self, text: str) -> None:
        """Append the text; a log that cannot be written any more ends there, with a warning."""
        if self._file is None or self._is_cut:
            return
        try:
            # Unbuffered: a forked child would write what waits in a buffer once more.
            self._file.write(text.encode(errors="replace"))
        except (OSError, ValueError) as error:
            self._is_cut = True
            warn_caller(f"the output of the block is not kept from here on: {error}")

    def close(self) -> BinaryIO | None:
        """End the copy; returns its content from its beginning, or None if there is none."""
        if self._working_folder is not None and _in_main_thread():
            with suppress(OSError):  # The script may have removed the folder.
                os.chdir(self._working_folder)
        _open_logs.remove(self)
        file, self._file = self._file, None
        if file is not None:
            file.seek(0)
        return file


class _OpenLogs:
    """The logs of all open blocks, and the streams that copy to them."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._logs: tuple[UserLog, ...] = ()
        self._streams: dict[str, _Copying] = {}

    def add(self, log: UserLog) -> None:
        with self._lock:
            if not self._logs:
                for name in ("stdout", "stderr"):
                    self._streams[name] = _Copying(getattr(sys, name), self)
                    setattr(sys, name, self._streams[name])
            self._logs = (*self._logs, log)
        _own.set((*_own.get(), log))

    def remove(self, log: UserLog) -> None:
        _own.set(tuple(other for other in _own.get() if other is not log))
        with self._lock:
            others = tuple(other for other in self._logs if other is not log)
            ends, self._logs = bool(self._logs) and not others, others
            if ends:
                self._put_back("stdout")
                self._put_back("stderr")

    def of_caller(self) -> Iterable[UserLog]:
        own = [log for log in _own.get() if log in self._logs]
        return own or self._logs

    def _put_back(self, name: Literal["stdout", "stderr"]) -> None:
        """Restore the stream, unless other code has put its own there in the meantime."""
        stream = self._streams.pop(name)
        if getattr(sys, name) is stream:
            setattr(sys, name, stream.original)


class _Copying:
    """A text stream that also writes to logs.

    Other code may keep it for longer than the blocks, or put a stream of its own around it, around
    which a later block puts another one: what passes through both is copied once.
    """

    def __init__(self, original: TextIO | None, logs: _OpenLogs) -> None:
        self.original = original
        self._logs = logs

    def write(self, text: str) -> int:
        if getattr(_passing, "on", False):
            return self._pass_on(text)
        for log in self._logs.of_caller():
            log.write(text)
        _passing.on = True
        try:
            return self._pass_on(text)
        finally:
            _passing.on = False

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self.original is not None:
            self.original.flush()

    def _pass_on(self, text: str) -> int:
        # A program without a standard output, such as a daemon, prints nothing, without an error.
        return len(text) if self.original is None else self.original.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


_own: ContextVar[tuple[UserLog, ...]] = ContextVar("runlore_user_logs", default=())
_passing: Final = threading.local()
_open_logs: Final = _OpenLogs()


def _file() -> BinaryIO | None:
    try:
        import tempfile

        return tempfile.TemporaryFile("w+b", buffering=0, prefix="runlore-")
    except (OSError, ImportError) as error:  # No file can be opened, perhaps not a module's either.
        warn_caller(f"the output of the block is not kept: {error}")
        return None


def _working_folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # It was removed.
        return None


def _in_main_thread() -> bool:
    """Only there may a block's end change the working folder, which is that of all threads."""
    return threading.current_thread() is threading.main_thread()

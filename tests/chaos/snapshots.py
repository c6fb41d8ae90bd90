"""The states that a folder is in after each call that changes a file, and after a loss of power.

Calls of `os` and statements of SQLite are observed in this process. Other threads wait while a
state is taken, so each is one that a machine which stops at that moment leaves.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

_CHANGES: Final = (
    "close",
    "fchmod",
    "fsync",
    "ftruncate",
    "link",
    "mkdir",
    "mknod",
    "open",
    "pwrite",
    "pwritev",
    "rename",
    "replace",
    "rmdir",
    "unlink",
    "write",
)
_OF_SQLITE: Final = ("log.sqlite", "log.sqlite-wal", "log.sqlite-shm")


class Snapshots:
    """Copies of a folder, each taken after a call that changed something.

    `states` holds, for each, its folder and what was acknowledged by then. With `after_power_loss`,
    the content of a file that was never synced is lost; SQLite's files are as SQLite leaves them.
    """

    def __init__(self, folder: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.states: list[tuple[Path, tuple[str, ...]]] = []
        self.acknowledged: list[str] = []
        self._folder = folder
        self._into = into
        self._synced: dict[int, int] = {}  # Sizes by inode.
        self._last: object = None
        self._lock = threading.RLock()
        self._busy = False
        connect, observed = sqlite3.connect, self._observed

        class Connection(sqlite3.Connection):
            def execute(self, *given: Any) -> sqlite3.Cursor:
                result: sqlite3.Cursor = observed(super().execute)(*given)
                return result

            def executemany(self, *given: Any) -> sqlite3.Cursor:
                result: sqlite3.Cursor = observed(super().executemany)(*given)
                return result

            def close(self) -> None:
                observed(super().close)()

        monkeypatch.setattr(
            sqlite3, "connect", lambda *args, **opts: connect(*args, **opts, factory=Connection)
        )
        for name in _CHANGES:
            monkeypatch.setattr(os, name, observed(getattr(os, name), syncs=name == "fsync"))

    def acknowledge(self, fact: str) -> None:
        """From now on, each state must have this."""
        with self._lock:
            self.acknowledged.append(fact)

    def _observed(self, function: Callable[..., Any], *, syncs: bool = False) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            with self._lock:
                result = function(*args, **options)
                if not self._busy:
                    self._busy = True
                    try:
                        if syncs:
                            found = os.fstat(args[0])
                            self._synced[found.st_ino] = found.st_size
                        self._take()
                    finally:
                        self._busy = False
                return result

        return call

    def _take(self) -> None:
        seen = [
            (str(path), found.st_ino, found.st_size, found.st_mtime_ns)
            for path in sorted(self._folder.rglob("*"))
            for found in (path.stat(),)
        ]
        if seen == self._last:
            return
        self._last = seen
        state = self._into / f"{len(self.states):04}"
        shutil.copytree(self._folder, state / "killed")
        shutil.copytree(self._folder, state / "power")
        for path in self._folder.rglob("*"):
            if path.is_file() and path.name not in _OF_SQLITE:
                kept = self._synced.get(path.stat().st_ino, 0)
                os.truncate(state / "power" / path.relative_to(self._folder), kept)
        self.states.append((state, tuple(self.acknowledged)))

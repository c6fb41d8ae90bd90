"""Private folders for the database files of reading processes.

DuckDB locks a file even against readers, so no two processes share one. Each takes the first
folder `reader-<k>` whose lock is free, with whatever database is in it, and only catches up from
there: start-up stays flat, and a dead process's file is the next one's.
"""

from __future__ import annotations

import fcntl
import os
from itertools import count
from pathlib import Path


class Slot:
    """A folder that this process alone uses, until `release()` or its death."""

    def __init__(self, folder: Path, fd: int) -> None:
        self.folder = folder
        self._fd: int | None = fd

    @property
    def database(self) -> Path:
        """Where the slot's database file is, if it has one."""
        return self.folder / "projection.duckdb"

    def clear(self) -> None:
        """Removes the database and what DuckDB keeps beside it."""
        for path in self.folder.glob("projection.duckdb*"):
            path.unlink(missing_ok=True)

    def release(self) -> None:
        """Lets another process have the folder. In a forked child: forgets the parent's lock."""
        if self._fd is not None:
            # Closing does not unlock while the parent holds its copy of the descriptor.
            os.close(self._fd)
            self._fd = None


def claim(folder: Path) -> Slot:
    """The first free slot below the folder. Raises OSError if it cannot be written."""
    for number in count():
        slot = folder / f"reader-{number}"
        slot.mkdir(parents=True, exist_ok=True)
        fd = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
        except BaseException:
            os.close(fd)
            raise
        else:
            return Slot(slot, fd)
    raise AssertionError("count() does not end")

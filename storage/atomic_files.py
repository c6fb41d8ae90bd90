"""Files written whole or not at all: a new file is written aside, then renamed into its place.

The destination is a path below a held folder, or one that the user named.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from runlore.domain.errors import RunloreError
from runlore.storage.held_path import AnyPath, HeldPath, hold
from runlore.storage.system_errors import Fault, advice_on, fault_of, problem_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class FileNotWritten(RunloreError, OSError):
    """The file system refused a write; no partial file is left. `errno` is the system's."""

    def __init__(self, target: AnyPath, error: OSError) -> None:
        problem = error.strerror or str(error)
        fault = fault_of(error)
        if fault is None:
            advice = "check the path and try again"
        elif fault is Fault.FORBIDDEN:
            advice = "make the folder writable for this user, or choose another one"
        else:
            problem, advice = f"{problem_of(fault)} ({problem})", advice_on(fault)
        super().__init__(f"cannot write {target}: {problem}; nothing of it was written; {advice}")
        self.target = target
        self.errno = error.errno


@contextmanager
def explained(target: AnyPath) -> Iterator[None]:
    """Raise FileNotWritten for an OSError inside the block that says nothing better."""
    try:
        yield
    except RunloreError:
        raise
    except OSError as error:
        raise FileNotWritten(target, error) from error


@contextmanager
def replacing(destination: AnyPath) -> Iterator[WholeFile]:
    """A file that takes the destination's place at the end of the block, if nothing was raised.

    Of a symbolic link there, the link itself is replaced. Makes the parents. Failing writes raise
    FileNotWritten and leave no partial file. Not synced: a power loss may leave an empty file.
    """
    with explained(destination):
        target = _held(destination)
        # Not mkstemp: the file gets the permissions that the user's umask allows.
        aside = target.with_name(f".runlore-{os.urandom(8).hex()}.part")
        fd = aside.open(os.O_RDWR | os.O_CREAT | os.O_EXCL)
    with removed_afterwards(aside), WholeFile(fd, aside, destination) as file:
        yield file
        with explained(destination):
            aside.rename(target)


def write_synced(path: AnyPath, text: str) -> None:
    """Write a file that is, after a crash at any moment, the old one or the new one, on disk.

    All users may read it. Raises FileNotWritten: the file is the old one then or, if only its
    folder could not be synced, the new one.
    """
    with replacing(path) as file:
        file.write(text.encode())
        with explained(path):
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
    with explained(path):
        if isinstance(path, HeldPath):
            path.parent.sync()
        else:
            hold(path.parent).sync()


@contextmanager
def removed_afterwards(path: AnyPath) -> Iterator[None]:
    """Remove the file at the end of the block, unless it was renamed."""
    try:
        yield
    finally:
        # If even this fails, the first error is the one to see.
        with suppress(OSError):
            path.unlink()


class WholeFile(io.FileIO):
    """An unbuffered file whose writes are complete; a failing one raises FileNotWritten.

    `plain` is its path, for a library that writes files by their names.
    """

    def __init__(self, fd: int, path: AnyPath, target: AnyPath) -> None:
        super().__init__(fd, "w+b")
        self.plain = path.plain if isinstance(path, HeldPath) else path
        self._target = target

    def write(self, data: ReadableBuffer, /) -> int:
        rest = memoryview(data).cast("B")
        nbytes = len(rest)
        with explained(self._target):
            while rest:
                rest = rest[super().write(rest) :]
        return nbytes


def _held(destination: AnyPath) -> HeldPath:
    """The destination below a held folder, which is made if it is missing."""
    if isinstance(destination, HeldPath):
        destination.parent.make_folder(parents=True)
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    return hold(destination.parent) / destination.name

"""Content-addressed, write-once files: bytes go in, and their SHA-256 names them.

The log names artifacts by digest; their bytes never enter it. An `ArtifactBackend` keeps them.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, Final

from runlore.domain.errors import InvalidType, RunloreError
from runlore.storage.artifact_backend import ArtifactBackend, ArtifactCorrupt
from runlore.storage.artifact_folder import ArtifactFolder
from runlore.storage.atomic_files import replacing
from runlore.storage.held_path import AnyPath, HeldPath, open_to_read
from runlore.storage.object_errors import StoreUnavailable
from runlore.storage.safe_paths import UnsafePath

CHUNK_NBYTES: Final = 2**20

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_ALL_READ: Final = 0o444


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """The address and the size of bytes that are on disk."""

    sha256: str
    nbytes: int
    was_held: bool = field(default=False, compare=False)
    """Whether the store had the bytes before."""


class FileChanged(RunloreError):
    """A file was written to while it was stored."""

    def __init__(self, name: object) -> None:
        super().__init__(
            f"{name} was written to while it was stored, and nothing of it was kept; wait until "
            "it is complete, and store it then"
        )


def artifacts_below(folder: HeldPath) -> ArtifactStore:
    """The artifacts in a folder of this machine, which is made by the first `put`."""
    return ArtifactStore(ArtifactFolder(folder))


class ArtifactStore:
    """Files by their SHA-256, safe with many threads and processes at once.

    The result of `put` is on disk and never changes.
    """

    def __init__(self, backend: ArtifactBackend) -> None:
        self._backend = backend

    @property
    def location(self) -> str:
        """Where the artifacts are kept, for people."""
        return self._backend.location

    def is_same_as(self, other: ArtifactStore) -> bool:
        """Whether the artifacts of both are kept in the same place."""
        return self._backend.is_same_as(other._backend)

    @property
    def folder(self) -> HeldPath | None:
        """The folder of the artifacts on this machine; None if they are elsewhere."""
        return self._backend.folder

    def put(self, source: IO[bytes]) -> StoredArtifact:
        """Store the rest of `source`, in chunks of 1 MiB.

        Raises FileNotWritten on a full disk or for an unwritable folder, InvalidType for a text
        stream; errors of the source itself pass through. Nothing is kept then.
        """
        limit = self._backend.long_nbytes
        if limit is not None and (_rest_nbytes(source) or 0) > limit:
            return self._put_long(source)
        digest = hashlib.sha256()
        nbytes = 0
        with self._backend.staged() as staged:
            clone = staged.clone(source)
            for chunk in _chunks(source if clone is None else clone):
                digest.update(chunk)
                nbytes += len(chunk)
                if clone is None:
                    staged.write(chunk)
            sha256 = digest.hexdigest()
            changed = staged.publish(sha256)
        self._backend.sync(sha256)
        return StoredArtifact(sha256, nbytes, was_held=not changed)

    def _put_long(self, source: IO[bytes]) -> StoredArtifact:
        """Read twice, rather than keep a second copy on this machine's disk."""
        start = source.tell()
        stored = _measured(source)
        if self._holds(stored):
            return replace(stored, was_held=True)
        self._backend.store(stored.sha256, partial(_same_chunks, source, start, stored.sha256))
        self._backend.sync(stored.sha256)
        return stored

    def put_path(self, path: AnyPath) -> StoredArtifact:
        """Store the file's bytes; see `put`."""
        with open_to_read(path) as source:
            return self.put(source)

    def put_path_unless_held(self, path: AnyPath) -> StoredArtifact:
        """As `put_path`, for a file that is probably stored already; see `put_unless_held`."""
        with open_to_read(path) as source:
            return self.put_unless_held(source)

    def put_unless_held(self, source: IO[bytes]) -> StoredArtifact:
        """As `put`, for a file that is probably stored already: reads first, then writes.

        A held file costs one read and no write; a new one is read twice.
        """
        start = source.tell()
        stored = _measured(source)
        if not self._holds(stored):
            source.seek(start)
            return self.put(source)
        # The process that wrote a held artifact may not have synced it yet (0.1 ms).
        self._backend.sync(stored.sha256)
        return replace(stored, was_held=True)

    def take(self, sha256: str, other: ArtifactStore) -> None:
        """Store an artifact of another store, which is checked first; with its bytes, if possible.

        Where both are folders on one file system, it becomes a hard link: nobody writes to
        artifacts. Raises ArtifactMissing, ArtifactCorrupt, FileNotWritten.
        """
        file = other._backend.file(sha256)
        backend = self._backend
        if file is not None and isinstance(backend, ArtifactFolder):
            for _ in other.verified_chunks(sha256):
                pass  # What is checked is the very file that is linked.
            if backend.link(sha256, file):
                backend.sync(sha256)
                return
        backend.store(sha256, lambda: other.verified_chunks(sha256))
        backend.sync(sha256)

    def take_all(self, other: ArtifactStore) -> tuple[int, int]:
        """Store all artifacts of another store; return how many it has, and how many were new here.

        Nothing is done if both are one place. Raises as `take`, and StoreUnavailable.
        """
        if self.is_same_as(other):
            return 0, 0
        count = new = 0
        for sha256 in other.digests():
            if not self.has(sha256):
                self.take(sha256, other)
                new += 1
            count += 1
        return count, new

    def path(self, sha256: str) -> Path | None:
        """The path of the artifact's file on this machine, whether it exists or not.

        For people to read: only `open` leads to the file. None if the store has no files on this
        machine. Raises UnsafePath for a malformed digest.
        """
        file = self._backend.file(checked_digest(sha256))
        return None if file is None else file.plain

    def uri(self, sha256: str) -> str:
        """The address of the artifact, for people and other programs; it need not exist."""
        return self._backend.uri(checked_digest(sha256))

    def has(self, sha256: str) -> bool:
        """Whether the artifact is stored; its bytes are not read. Raises StoreUnavailable."""
        return self._backend.holds(checked_digest(sha256))

    def open(self, sha256: str) -> BinaryIO:
        """The artifact's bytes, unverified. Raises ArtifactMissing, ArtifactCorrupt."""
        return self._backend.open(checked_digest(sha256))

    def verified_chunks(self, sha256: str) -> Iterator[bytes]:
        """The artifact's bytes in chunks; raises ArtifactCorrupt at the end if they differ.

        Callers must not use the chunks before the iteration has ended.
        """
        digest = hashlib.sha256()
        with self.open(sha256) as source:
            for chunk in _chunks(source):
                digest.update(chunk)
                yield chunk
        if digest.hexdigest() != sha256:
            raise ArtifactCorrupt(sha256, f"its bytes hash to {digest.hexdigest()}")

    def copy_to(self, sha256: str, destination: AnyPath, *, executable: bool = False) -> None:
        """Write the verified bytes to `destination`, whole or not at all; makes its parents.

        A file there is replaced (of a symbolic link, the link itself). The copy is not fsynced.
        All who may read an `executable` file may execute it. Raises ArtifactMissing,
        ArtifactCorrupt or FileNotWritten.
        """
        with replacing(destination) as file:
            for chunk in self.verified_chunks(sha256):
                file.write(chunk)
            if executable:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                os.fchmod(file.fileno(), mode | (mode & _ALL_READ) >> 2)

    def digests(self) -> Iterator[str]:
        """The digests of all artifacts, in no order; none of sealed ones, whose names hide them."""
        return (name for name in self._backend.names() if _DIGEST.fullmatch(name))

    def remove(self, sha256: str) -> int:
        """Remove an artifact; return its size, or 0 if it was not there."""
        return self._backend.remove(checked_digest(sha256))

    def deliver(self) -> int:
        """Bring what waits on this machine to the store; see `ArtifactBackend.deliver`."""
        return self._backend.deliver()

    def _holds(self, artifact: StoredArtifact) -> bool:
        """By size as well: the next put of its bytes heals a file that was cut short."""
        try:
            return self._backend.holds(artifact.sha256, artifact.nbytes)
        except StoreUnavailable:
            return False  # Then it is put, which says so, or lets it wait.


def checked_digest(sha256: str) -> str:
    """The digest, if it is one. Raises UnsafePath."""
    if not isinstance(sha256, str) or not _DIGEST.fullmatch(sha256):
        raise UnsafePath(sha256, "not a SHA-256 digest", "use 64 lowercase hex digits")
    return sha256


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_NBYTES):
        if isinstance(chunk, str):
            raise InvalidType("an artifact is made of bytes, got text; open the file with 'rb'")
        yield chunk


def _measured(source: IO[bytes]) -> StoredArtifact:
    """The digest and size of the rest of a source."""
    digest, nbytes = hashlib.sha256(), 0
    for chunk in _chunks(source):
        digest.update(chunk)
        nbytes += len(chunk)
    return StoredArtifact(digest.hexdigest(), nbytes)


def _same_chunks(source: IO[bytes], start: int, sha256: str) -> Iterator[bytes]:
    """The source from a place on; raises FileChanged at its end if it has another digest."""
    source.seek(start)
    digest = hashlib.sha256()
    for chunk in _chunks(source):
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != sha256:
        raise FileChanged(getattr(source, "name", "a stream"))


def _rest_nbytes(source: IO[bytes]) -> int | None:
    """The number of bytes that are left in a source; None if it cannot go back."""
    try:
        if not source.seekable():
            return None
        start = source.tell()
        end = source.seek(0, os.SEEK_END)
        source.seek(start)
    except (AttributeError, OSError, ValueError):
        return None
    return end - start

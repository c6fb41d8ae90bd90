"""The files of one run of an erasable workspace, sealed under its key.

Each run has a store of its own: files of equal content are stored once for each run, and a store's
names do not tell its contents. A file is a row of pieces of at most 1 MiB, each preceded by its
length and bound to its place.
"""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, Final

from runlore.storage.artifact_backend import (
    ArtifactBackend,
    ArtifactCorrupt,
    ArtifactMissing,
    StagedArtifact,
)
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.held_path import HeldPath
from runlore.storage.seal import Cipher

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LENGTH: Final = Struct("<I")
_PLACE: Final = "artifact"
_ANY: Final = "0" * 64


def sealed_artifacts(backend: ArtifactBackend, key: bytes) -> ArtifactStore:
    """The artifacts in a place, sealed under the key."""
    return ArtifactStore(SealedArtifacts(backend, key))


class SealedArtifacts(ArtifactBackend):
    """Seals the artifacts in another backend, and hides their digests in its names."""

    def __init__(self, backend: ArtifactBackend, key: bytes) -> None:
        self.location = backend.location
        self.folder = backend.folder
        self.long_nbytes = backend.long_nbytes
        self._backend = backend
        self._key = key
        self._cipher = Cipher(key)

    @contextmanager
    def staged(self) -> Iterator[StagedArtifact]:
        with self._backend.staged() as staged:
            yield _Sealing(staged, self._cipher, self._hidden)

    def sync(self, name: str) -> None:
        self._backend.sync(self._hidden(name))

    def holds(self, name: str, nbytes: int | None = None) -> bool:
        # The size of a sealed file depends on the number of its pieces.
        return self._backend.holds(self._hidden(name))

    def open(self, name: str) -> BinaryIO:
        hidden = self._hidden(name)
        try:
            file = self._backend.open(hidden)
        except ArtifactMissing:
            raise ArtifactMissing(name, self.location) from None
        return io.BufferedReader(_Unsealed(file, hidden, self._cipher))

    def file(self, name: str) -> HeldPath | None:
        return self._backend.file(self._hidden(name))

    def uri(self, name: str) -> str:
        return self._backend.uri(self._hidden(name))

    def store(self, name: str, chunks: Callable[[], Iterator[bytes]]) -> bool:
        return self._backend.store(self._hidden(name), lambda: self._sealed(chunks()))

    def below(self, name: str) -> ArtifactBackend:
        return SealedArtifacts(self._backend.below(name), self._key)

    def names(self) -> Iterator[str]:
        """None: the names here do not tell those of the contents."""
        return iter(())

    def parts(self) -> Iterator[str]:
        return self._backend.parts()

    def remove(self, name: str) -> int:
        return self._backend.remove(self._hidden(name))

    def remove_all(self) -> bool:
        return self._backend.remove_all()

    def is_same_as(self, other: ArtifactBackend) -> bool:
        # The address of a file tells the key as well as the place.
        return isinstance(other, SealedArtifacts) and self.uri(_ANY) == other.uri(_ANY)

    def deliver(self) -> int:
        return self._backend.deliver()

    def _sealed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for place, chunk in enumerate(chunks):
            yield _piece(self._cipher, place, chunk)

    def _hidden(self, name: str) -> str:
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()


class _Sealing(StagedArtifact):
    def __init__(
        self, staged: StagedArtifact, cipher: Cipher, hidden: Callable[[str], str]
    ) -> None:
        self._staged = staged
        self._cipher = cipher
        self._hidden = hidden
        self._pieces = 0

    def write(self, data: bytes) -> None:
        self._staged.write(_piece(self._cipher, self._pieces, data))
        self._pieces += 1

    def publish(self, name: str) -> bool:
        return self._staged.publish(self._hidden(name))


class _Unsealed(io.RawIOBase):
    def __init__(self, file: BinaryIO, name: str, cipher: Cipher) -> None:
        self._file = file
        self._pieces = _pieces(file, name, cipher)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        wanted = memoryview(buffer).cast("B")
        count = min(len(wanted), len(self._rest))
        wanted[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _piece(cipher: Cipher, number: int, data: bytes) -> bytes:
    sealed = cipher.seal(_PLACE, number, "", data)
    return _LENGTH.pack(len(sealed)) + sealed


def _pieces(file: BinaryIO, name: str, cipher: Cipher) -> Iterator[bytes]:
    number = 0
    while length := file.read(_LENGTH.size):
        try:
            sealed = file.read(_LENGTH.unpack(length)[0])
            piece = cipher.unseal(_PLACE, number, "", sealed)
        except Exception as error:
            raise ArtifactCorrupt(name, f"its piece {number} does not open") from error
        if piece:
            yield piece
        number += 1

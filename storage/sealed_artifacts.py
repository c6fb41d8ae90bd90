"""The files of one run of an erasable workspace, sealed under its key.

Each run has a store of its own: files of equal content are stored for each, and nothing in a
store's names says what is in it. A file is pieces of at most 1 MiB, each with its length before
it and bound to its place.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, Final

from runlore.storage.artifacts import ArtifactCorrupt, ArtifactStore, StoredArtifact
from runlore.storage.seal import Cipher

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LENGTH: Final = Struct("<I")
_PLACE: Final = "artifact"


class SealedArtifacts(ArtifactStore):
    """`ArtifactStore` of one run below a folder of its own."""

    def __init__(self, root: Path, key: bytes) -> None:
        super().__init__(root)
        self._key = key
        self._cipher = Cipher(key)

    def path(self, sha256: str) -> Path:
        super().path(sha256)  # For what it raises.
        name = hmac.new(self._key, sha256.encode(), hashlib.sha256).hexdigest()
        return self.root / name[:2] / name

    def _holds(self, artifact: StoredArtifact) -> bool:
        return self.has(artifact.sha256)

    def _prepare(self) -> None:
        self.root.parent.mkdir(parents=True, exist_ok=True)
        super()._prepare()

    def _encoded(self, chunks: Iterable[bytes]) -> Iterable[bytes]:
        for number, chunk in enumerate(chunks):
            sealed = self._cipher.seal(_PLACE, number, "", chunk)
            yield _LENGTH.pack(len(sealed)) + sealed

    def _decoded(self, file: BinaryIO) -> BinaryIO:
        return io.BufferedReader(_Unsealed(file, self._cipher))


class _Unsealed(io.RawIOBase):
    def __init__(self, file: BinaryIO, cipher: Cipher) -> None:
        self._file = file
        self._pieces = _pieces(file, cipher)
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


def _pieces(file: BinaryIO, cipher: Cipher) -> Iterator[bytes]:
    number = 0
    while length := file.read(_LENGTH.size):
        try:
            sealed = file.read(_LENGTH.unpack(length)[0])
            piece = cipher.unseal(_PLACE, number, "", sealed)
        except Exception as error:
            name = os.path.basename(str(file.name))
            raise ArtifactCorrupt(name, f"its piece {number} does not open") from error
        if piece:
            yield piece
        number += 1

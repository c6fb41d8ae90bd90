"""Artifacts as objects below a prefix of an object store: S3, Google Cloud Storage, Azure.

prefix/<first two digits>/<name>    the artifacts, as in a folder, so that one can be copied to
                                    the other with any tool

A small file is one conditional put, which fails if the name is taken. A long one is a multipart
upload, whose parts the store joins when all have arrived; two at once write the same bytes. A
request that breaks is repeated: a part, not the file. Files are read in ranges, each repeated by
itself, and all of the object that the first one found.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import obstore
from obstore.exceptions import AlreadyExistsError

from runlore.storage.artifact_backend import (
    ArtifactBackend,
    ArtifactCorrupt,
    ArtifactMissing,
    StagedArtifact,
)
from runlore.storage.held_path import HeldPath
from runlore.storage.object_client import ObjectClient, timeout_s
from runlore.storage.object_errors import (
    StoreUnavailable,
    Trouble,
    explained_fault,
    is_missing,
    is_out_of_range,
    is_replaced,
)
from runlore.storage.object_places import ObjectPlace

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore import GetOptions

PART_NBYTES: Final = 8 * 2**20
"""The size of a part of an upload, and of a range that is read."""

_PARTS_AT_ONCE: Final = 4
_READS_MAX: Final = 4
_PAUSE_S: Final = 0.1
_CHUNK_NBYTES: Final = 2**20


class ArtifactObjects(ArtifactBackend):
    """Artifacts below a prefix of an object store.

    Every call raises StoreUnavailable if the store refuses or does not answer.
    """

    long_nbytes = PART_NBYTES

    def __init__(self, place: ObjectPlace) -> None:
        self.location = str(place)
        self.folder: HeldPath | None = None
        self.place = place
        self._client = ObjectClient(place)

    @contextmanager
    def staged(self) -> Iterator[StagedArtifact]:
        with tempfile.SpooledTemporaryFile(PART_NBYTES) as file:
            yield StagedObject(cast(BinaryIO, file), self.publish)

    def publish(self, name: str, content: BinaryIO, nbytes: int) -> bool:
        """Store what a file holds; as `StagedArtifact.publish` does."""
        if nbytes > PART_NBYTES:
            if self.holds(name, nbytes):
                return False
            return self.store(name, partial(_from_start, content))
        content.seek(0)
        return self._create(name, content.read())

    def store(self, name: str, chunks: Callable[[], Iterator[bytes]]) -> bool:
        source = _Watched(chunks())
        try:
            # Not `mode="create"`: it would hold the whole file in memory.
            obstore.put(
                self._client.store(),
                _key(name),
                _joined(source),
                use_multipart=True,
                chunk_size=PART_NBYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        except Exception as error:
            if source.raised is not None:
                raise source.raised from None
            raise explained_fault(self.location, error) from None
        return True

    def _create(self, name: str, content: bytes) -> bool:
        store = self._client.store()
        try:
            try:
                obstore.put(store, _key(name), content, mode="create")
            except AlreadyExistsError:
                if obstore.head(store, _key(name))["size"] == len(content):
                    return False
                # It was cut short by whoever put it there: this heals it.
                obstore.put(store, _key(name), content, use_multipart=False)
        except Exception as error:
            raise explained_fault(self.location, error) from None
        return True

    def sync(self, name: str) -> None:
        """Do nothing: a store answers when it keeps the bytes."""

    def holds(self, name: str, nbytes: int | None = None) -> bool:
        store = self._client.store()
        try:
            return nbytes in (None, obstore.head(store, _key(name))["size"])
        except Exception as error:
            if is_missing(error):
                return False
            raise explained_fault(self.location, error) from None

    def open(self, name: str) -> BinaryIO:
        ranges = _Ranges(self._client, self.location, name, _key(name))
        return io.BufferedReader(_ObjectFile(ranges), _CHUNK_NBYTES)

    def file(self, name: str) -> HeldPath | None:
        return None

    def uri(self, name: str) -> str:
        return f"{self.location}/{_key(name)}"

    def below(self, name: str) -> ArtifactObjects:
        return ArtifactObjects(self.place.below(name))

    def names(self) -> Iterator[str]:
        for key in self._keys():
            digits, _, name = key.partition("/")
            if name and "/" not in name and name[:2] == digits:
                yield name

    def parts(self) -> Iterator[str]:
        keys = (key.split("/") for key in self._keys())
        yield from {first for first, *others in keys if len(others) > 1}

    def remove(self, name: str) -> int:
        store = self._client.store()
        try:
            nbytes = int(obstore.head(store, _key(name))["size"])
            obstore.delete(store, _key(name))
        except Exception as error:
            if is_missing(error):
                return 0
            raise explained_fault(self.location, error) from None
        return nbytes

    def remove_all(self) -> bool:
        store = self._client.store()
        keys = list(self._keys())
        try:
            if keys:
                obstore.delete(store, keys)
        except Exception as error:
            if not is_missing(error):
                raise explained_fault(self.location, error) from None
        return next(self._keys(), None) is None

    def is_same_as(self, other: ArtifactBackend) -> bool:
        return isinstance(other, ArtifactObjects) and self.place == other.place

    def _keys(self) -> Iterator[str]:
        store = self._client.store()
        try:
            for found in obstore.list(store):
                yield from (one["path"] for one in found)
        except Exception as error:
            if not is_missing(error):
                raise explained_fault(self.location, error) from None


def open_object(place: ObjectPlace) -> BinaryIO:
    """Any object by its own address, for reading; raises as `ArtifactObjects.open`."""
    folder, _, key = place.prefix.rpartition("/")
    above = place._replace(prefix=folder)
    ranges = _Ranges(ObjectClient(above), str(above), key, key)
    return io.BufferedReader(_ObjectFile(ranges), _CHUNK_NBYTES)


class StagedObject(StagedArtifact):
    """An artifact in memory, or from a part's size on in a temporary file without a name."""

    def __init__(self, file: BinaryIO, publish: Callable[[str, BinaryIO, int], bool]) -> None:
        self._file = file
        self._publish = publish

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def publish(self, name: str) -> bool:
        return self._publish(name, self._file, self._file.tell())


class _Watched:
    """Chunks, and the error that their source raised: the library passes on its text only."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.raised: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._chunks
        except Exception as error:
            self.raised = error
            raise


class _Ranges:
    """Reads ranges of one object, and of no other that takes its place."""

    def __init__(self, client: ObjectClient, location: str, name: str, key: str) -> None:
        self._store = client.store()
        self._location = location
        self._name = name
        self._key = key
        self._e_tag: str | None = None
        self.nbytes = 0
        self.first = self._repeated(partial(self._read, 0, PART_NBYTES))

    def read(self, start: int, stop: int) -> bytes:
        """The bytes of a range that begins within the object. Raises as `ArtifactBackend.open`."""
        return self._repeated(partial(self._read, start, stop))

    def _repeated(self, read: Callable[[], bytes]) -> bytes:
        """Read again what breaks. The library repeats a request, but not one that began well."""
        end = time.monotonic() + timeout_s()
        for attempt in range(_READS_MAX):
            if attempt:
                time.sleep(_PAUSE_S * 2**attempt)
            try:
                return read()
            except ArtifactCorrupt as error:
                fault: ArtifactCorrupt | StoreUnavailable = error
            except StoreUnavailable as error:
                fault = error
                if error.trouble is not Trouble.SILENT:
                    break
            if time.monotonic() >= end:
                break
        raise fault

    def _read(self, start: int, stop: int) -> bytes:
        options: GetOptions = {"range": (start, stop)}
        if self._e_tag is not None:
            options["if_match"] = self._e_tag
        try:
            result = obstore.get(self._store, self._key, options=options)
            self.nbytes, self._e_tag = result.meta["size"], result.meta["e_tag"]
            found = bytes(result.bytes())
        except Exception as error:
            return self._explained(error)
        wanted = min(stop, self.nbytes) - start
        if len(found) != wanted:
            raise ArtifactCorrupt(
                self._name,
                f"of its {wanted:,} bytes from {start:,} on, the store sends {len(found):,}",
            )
        return found

    def _explained(self, error: Exception) -> bytes:
        """No bytes for an empty object, of which no range can be had. Raises what was wrong."""
        if self._e_tag is not None and (is_missing(error) or is_replaced(error)):
            raise ArtifactCorrupt(self._name, "it was replaced while it was read") from None
        if is_missing(error):
            raise ArtifactMissing(self._name, self._location) from None
        if is_out_of_range(error):
            try:
                if not obstore.head(self._store, self._key)["size"]:
                    return b""
            except Exception as second:
                error = second
        raise explained_fault(self._location, error) from None


class _ObjectFile(io.RawIOBase):
    """An object as a file that can be read and sought, of which one range is in memory."""

    def __init__(self, ranges: _Ranges) -> None:
        self._ranges = ranges
        self._held_from, self._held = 0, ranges.first
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ranges.nbytes}[whence]
        if base + offset < 0:
            raise ValueError("a file has no bytes before its first one")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        wanted = memoryview(buffer).cast("B")
        if self._at >= self._ranges.nbytes:
            return 0
        if not self._held_from <= self._at < self._held_from + len(self._held):
            start = self._at - self._at % PART_NBYTES
            stop = min(start + PART_NBYTES, self._ranges.nbytes)
            self._held_from, self._held = start, self._ranges.read(start, stop)
        begin = self._at - self._held_from
        found = self._held[begin : begin + len(wanted)]
        wanted[: len(found)] = found
        self._at += len(found)
        return len(found)


def _key(name: str) -> str:
    return f"{name[:2]}/{name}"


def _from_start(content: BinaryIO) -> Iterator[bytes]:
    content.seek(0)
    while chunk := content.read(_CHUNK_NBYTES):
        yield chunk


def _joined(chunks: _Watched) -> Iterator[bytes]:
    """The chunks as pieces of a part's size at least: the library makes a part of each piece."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        if len(held) >= PART_NBYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)

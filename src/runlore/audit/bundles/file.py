"""Opening a bundle's file, which may come from a stranger.

A zip file can name entries `../../etc/passwd`, hold an entry twice, contain links, or unpack to a
thousand times its size. `open_bundle` refuses all of these, and entries are only read, never
extracted.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from pydantic import ValidationError

from runlore.audit.bundles.format import (
    CHECKPOINTS,
    EVENTS,
    FORMAT,
    MANIFEST,
    NAME,
    NEWEST_VERSION,
    SCHEMA,
    TREE,
    BundleRefused,
    Manifest,
)
from runlore.audit.bundles.zip_directory import directory_nbytes, overlap
from runlore.domain.errors import RunloreError


class Limits(NamedTuple):
    """How many entries a bundle may have, and how many bytes they may unpack to together."""

    max_entries: int = 200_000
    max_nbytes: int = 2**36


LIMITS: Final = Limits()

_MANIFEST_MAX_NBYTES: Final = 2**26
_CHECKPOINT_MAX_NBYTES: Final = 2**16
_SMALL_NBYTES: Final = 2**20
_DIRECTORY_MAX_NBYTES: Final = 300
"""For each entry: 46, its name, and at most 28 for sizes of more than four bytes."""
_MAX_RATIO: Final = 100
"""Ids and leaves are random bytes, so logs rarely pack a tenth as well; `export` never does."""

_WAYS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What the standard library raises for zip files that are damaged or malicious."""


class BundleFile:
    """An open bundle, whose entries have possible names, each of them once."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._archive = archive
        self._infos: Mapping[str, zipfile.ZipInfo] = {
            info.filename: info for info in archive.infolist()
        }

    @property
    def names(self) -> list[str]:
        """The names of all entries except the manifest, sorted."""
        return sorted(self._infos.keys() - {MANIFEST})

    def nbytes(self, name: str) -> int:
        """The size of an entry, unpacked."""
        return self._infos[name].file_size

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The bytes of an entry. Raises BundleRefused if they cannot be read."""
        with readable(self.path, name), self._archive.open(name) as source:
            yield cast(BinaryIO, source)  # typeshed says only IO[bytes].

    def read(self, name: str) -> bytes:
        """All bytes of an entry that is known to be small."""
        with self.open(name) as source:
            return source.read()


@contextmanager
def open_bundle(path: Path, limits: Limits = LIMITS) -> Iterator[BundleFile]:
    """The bundle in a file. Raises BundleRefused if it cannot be read as one."""
    with ExitStack() as opened:
        with readable(path, None):
            file = opened.enter_context(path.open("rb"))
            if directory_nbytes(file) > _DIRECTORY_MAX_NBYTES * limits.max_entries:
                problem = f"it has a directory for more than {limits.max_entries:,} entries"
                raise BundleRefused(path, problem)
            archive = opened.enter_context(zipfile.ZipFile(file))
        infos = archive.infolist()
        found = _problem(infos, limits)
        if found is None and overlap(infos, os.fstat(file.fileno()).st_size):
            found = "its entries overlap"
        if found is not None:
            raise BundleRefused(path, found)
        with readable(path, MANIFEST):
            text = archive.read(MANIFEST)
        yield BundleFile(path, archive, _manifest(path, text))


@contextmanager
def readable(path: Path, name: str | None) -> Iterator[None]:
    """Raises BundleRefused in place of what reading a damaged file raises."""
    try:
        yield
    except (RunloreError, FileNotFoundError):  # Of what is done with the bytes.
        raise
    except _UNREADABLE as error:
        subject = "it" if name is None else f"its entry {name}"
        raise BundleRefused(path, f"{subject} cannot be read ({error})") from error


def _problem(infos: list[zipfile.ZipInfo], limits: Limits) -> str | None:
    """The first problem in the zip file's directory, or None."""
    if len(infos) > limits.max_entries:
        return f"it has {len(infos):,} entries, at most {limits.max_entries:,} are possible"
    names = [info.filename for info in infos]
    for info in infos:
        problem = _problem_of(info, limits)
        if problem is not None:
            return f"its entry {info.filename!r:.100} {problem}"
    if len(set(names)) < len(names):
        return "it has an entry twice"
    for name in (MANIFEST, EVENTS, TREE, SCHEMA):
        if name not in names:
            return f"its entry {name} is missing"
    nbytes = sum(info.file_size for info in infos)
    if nbytes > limits.max_nbytes:
        return f"it unpacks to {nbytes:,} bytes, at most {limits.max_nbytes:,} are possible"
    return None


def _problem_of(info: zipfile.ZipInfo, limits: Limits) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if NAME.fullmatch(info.filename) is None or info.orig_filename != info.filename:
        return "has a name that bundles do not use"
    if kind not in (0, stat.S_IFREG):
        return "is not a regular file"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type not in _WAYS:
        return "is packed in a way that bundles do not use"
    if unpacks_too_far(info):
        return f"unpacks to more than {_MAX_RATIO} times its size"
    max_nbytes = limits.max_nbytes
    if info.filename == MANIFEST:
        max_nbytes = _MANIFEST_MAX_NBYTES
    elif info.filename.startswith(CHECKPOINTS):
        max_nbytes = _CHECKPOINT_MAX_NBYTES
    if info.file_size > max_nbytes:
        return f"has {info.file_size:,} bytes, at most {max_nbytes:,} are possible"
    return None


def unpacks_too_far(info: zipfile.ZipInfo) -> bool:
    """Whether an entry unpacks to so much that it may have been made to fill a disk."""
    return info.file_size > max(_SMALL_NBYTES, _MAX_RATIO * info.compress_size)


def _manifest(path: Path, text: bytes) -> Manifest:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleRefused(path, f"its entry {MANIFEST} is not JSON ({error})") from error
    version = document.get("version") if isinstance(document, dict) else None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BundleRefused(path, f"its entry {MANIFEST} is not that of a {FORMAT}")
    if type(version) is not int or not 1 <= version <= NEWEST_VERSION:
        raise BundleRefused(
            path,
            f"it is of format version {version!r:.40}, and this runlore reads 1 to "
            f"{NEWEST_VERSION}",
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BundleRefused(path, f"its manifest has a wrong {where}: {first['msg']}") from error

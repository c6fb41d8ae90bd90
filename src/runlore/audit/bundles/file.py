"""A bundle as a file: opened with suspicion, as it may come from a stranger.

A zip file can name entries `../../etc/passwd`, hold an entry twice, be a link, or unpack to a
thousand times its size. None of that gets past `open_bundle`, and no entry is ever unpacked
under its name: they are only read.
"""

from __future__ import annotations

import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from pydantic import ValidationError

from runlore.audit.bundles.format import (
    CHECKPOINTS,
    EVENTS,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    NAME,
    SCHEMA,
    TREE,
    BundleRefused,
    Manifest,
)

MAX_ENTRIES: Final = 200_000
MAX_NBYTES: Final = 2**36
"""All entries together, unpacked."""

_MANIFEST_MAX_NBYTES: Final = 2**26
_CHECKPOINT_MAX_NBYTES: Final = 2**16
_SMALL_NBYTES: Final = 2**20
_MAX_RATIO: Final = 100
"""Ids and leaves are random bytes, so few logs pack a tenth as well; `export` packs none better."""

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
"""What the standard library raises for zip files that are damaged or made to annoy."""


class BundleFile:
    """An open bundle, whose entries are those that may be there, each of them once."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._archive = archive
        self._infos: Mapping[str, zipfile.ZipInfo] = {
            info.filename: info for info in archive.infolist()
        }

    @property
    def names(self) -> list[str]:
        """The entries but for the manifest, in order of their names."""
        return sorted(self._infos.keys() - {MANIFEST})

    def nbytes(self, name: str) -> int:
        """How long an entry is, unpacked."""
        return self._infos[name].file_size

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The bytes of an entry. Raises BundleRefused if they cannot be read."""
        with readable(self.path, name), self._archive.open(name) as source:
            yield cast(BinaryIO, source)  # As which it behaves, whatever typeshed says.

    def read(self, name: str) -> bytes:
        """All bytes of an entry that is known to be small."""
        with self.open(name) as source:
            return source.read()


@contextmanager
def open_bundle(path: Path) -> Iterator[BundleFile]:
    """The bundle in a file. Raises BundleRefused if it is none that could be read at all."""
    with readable(path, None):
        archive = zipfile.ZipFile(path)
    with archive:
        infos = archive.infolist()
        problem = _problem(infos)
        if problem is not None:
            raise BundleRefused(path, problem)
        with readable(path, MANIFEST):
            text = archive.read(MANIFEST)
        yield BundleFile(path, archive, _manifest(path, text))


@contextmanager
def readable(path: Path, name: str | None) -> Iterator[None]:
    """Turns what reading a damaged file raises into BundleRefused."""
    try:
        yield
    except BundleRefused:
        raise
    except FileNotFoundError:
        raise
    except _UNREADABLE as error:
        what = "it" if name is None else f"its entry {name}"
        raise BundleRefused(path, f"{what} cannot be read ({error})") from error


def _problem(infos: list[zipfile.ZipInfo]) -> str | None:
    """What is wrong with the entries by what the zip file says of them."""
    if len(infos) > MAX_ENTRIES:
        return f"it has {len(infos):,} entries, at most {MAX_ENTRIES:,} are possible"
    names = [info.filename for info in infos]
    for info in infos:
        problem = _problem_of(info)
        if problem is not None:
            return f"its entry {info.filename!r:.100} {problem}"
    if len(set(names)) < len(names):
        return "it has an entry twice"
    for name in (MANIFEST, EVENTS, TREE, SCHEMA):
        if name not in names:
            return f"its entry {name} is missing"
    nbytes = sum(info.file_size for info in infos)
    if nbytes > MAX_NBYTES:
        return f"it unpacks to {nbytes:,} bytes, at most {MAX_NBYTES:,} are possible"
    return None


def _problem_of(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if NAME.fullmatch(info.filename) is None or info.orig_filename != info.filename:
        return "has a name that bundles do not use"
    if kind not in (0, stat.S_IFREG):
        return "is no regular file"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.compress_type not in _WAYS:
        return "is packed in a way that bundles do not use"
    if unpacks_too_far(info):
        return f"unpacks to more than {_MAX_RATIO} times its size"
    most = MAX_NBYTES
    if info.filename == MANIFEST:
        most = _MANIFEST_MAX_NBYTES
    elif info.filename.startswith(CHECKPOINTS):
        most = _CHECKPOINT_MAX_NBYTES
    if info.file_size > most:
        return f"has {info.file_size:,} bytes, at most {most:,} are possible"
    return None


def unpacks_too_far(info: zipfile.ZipInfo) -> bool:
    """Whether an entry gets so much larger that it may be made to fill a disk."""
    return info.file_size > max(_SMALL_NBYTES, _MAX_RATIO * info.compress_size)


def _manifest(path: Path, text: bytes) -> Manifest:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleRefused(path, f"its entry {MANIFEST} is no JSON ({error})") from error
    version = said.get("version") if isinstance(said, dict) else None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise BundleRefused(path, f"its entry {MANIFEST} is not that of a {FORMAT}")
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise BundleRefused(
            path,
            f"it is of format version {version!r:.40}, and this runlore reads {FORMAT_VERSION}",
        )
    try:
        return Manifest.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BundleRefused(path, f"its manifest has a wrong {where}: {first['msg']}") from error

"""All files of a run as one zip, made while it is sent."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Final

from runlore.engine.runs.files import is_stored, open_file
from runlore.engine.runs.handle import RunHandle
from runlore.storage.safe_paths import safe_name

_CHUNK_NBYTES: Final = 1 << 20
_MADE: Final = (1980, 1, 1, 0, 0, 0)


def zipped(run: RunHandle) -> Iterator[bytes]:
    """The zip in pieces of about a megabyte, not compressed; the same files give the same bytes.

    References and pruned files are left out. Names that would lead out of a folder are refused, as
    when they are downloaded: raises UnsafePath before the first piece.
    """
    kept = run.fetch().artifacts
    names = [safe_name(name) for name, artifact in sorted(kept.items()) if is_stored(artifact)]
    return _pieces(run, names)


def _pieces(run: RunHandle, names: list[str]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", allowZip64=True) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _MADE)
            entry.external_attr = 0o644 << 16
            with open_file(run, name) as file, archive.open(entry, "w", force_zip64=True) as member:
                while chunk := file.read(_CHUNK_NBYTES):
                    member.write(chunk)
                    if len(sink) >= _CHUNK_NBYTES:
                        yield sink.taken()
    yield sink.taken()


class _Sink:
    """A file that cannot go back, whose content is taken away as it grows."""

    def __init__(self) -> None:
        self._held = bytearray()

    def __len__(self) -> int:
        return len(self._held)

    def write(self, data: bytes, /) -> int:
        self._held += data
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def taken(self) -> bytes:
        """What was written since the last time."""
        held, self._held = bytes(self._held), bytearray()
        return held

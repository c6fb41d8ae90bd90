"""Entries of zip files that are the same bytes on every system, at any time."""

from __future__ import annotations

import stat
import zipfile
from typing import Final

_UNIX: Final = 3
"""The system of all entries: it gives the mode its meaning."""


def zip_entry(name: str, *, executable: bool = False, nbytes: int = 0) -> zipfile.ZipInfo:
    """An entry of 1980 with the mode of a plain file.

    `nbytes` decides whether the entry needs ZIP64 before its bytes are written.
    """
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.create_system = _UNIX
    entry.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
    entry.file_size = nbytes
    return entry

"""The directory of a zip file, looked at before the standard library reads it into memory."""

from __future__ import annotations

import os
import struct
import zipfile
from typing import BinaryIO, Final

_END: Final = struct.Struct("<4s8xI6x")
_LOCATOR_NBYTES: Final = 20
_END64: Final = struct.Struct("<4s36xQ8x")
_COMMENT_MAX_NBYTES: Final = 2**16
_LOCAL_HEADER_NBYTES: Final = 30


def directory_nbytes(file: BinaryIO) -> int:
    """The size that the file claims for its directory; 0 if it claims none."""
    size = file.seek(0, os.SEEK_END)
    tail = min(size, _END.size + _COMMENT_MAX_NBYTES + _LOCATOR_NBYTES + _END64.size)
    file.seek(size - tail)
    text = file.read(tail)
    at = text.rfind(b"PK\x05\x06")
    if at < 0 or len(text) - at < _END.size:
        return 0
    claimed: int = _END.unpack_from(text, at)[1]
    at64 = at - _LOCATOR_NBYTES - _END64.size
    if at64 >= 0 and text[at64 : at64 + 4] == b"PK\x06\x06":
        claimed = max(claimed, _END64.unpack_from(text, at64)[1])
    return claimed


def overlap(infos: list[zipfile.ZipInfo], nbytes: int) -> bool:
    """Whether entries must share bytes of a file of this size: a few can then unpack to many."""
    return sum(info.compress_size + _LOCAL_HEADER_NBYTES for info in infos) > nbytes

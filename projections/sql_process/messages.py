"""What the two processes say to each other: msgpack, with the types that parameters may have.

Nothing here runs code that a message names: the answers carry texts that a query controls.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgpack

_READ_NBYTES: Final = 65_536
_INT_BITS: Final = 63

Message = dict[str, Any]


class Pipe:
    """One direction of messages, each with a name; the reading end may be polled."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._unpacker = msgpack.Unpacker(
            ext_hook=_unpacked, strict_map_key=False, max_buffer_size=2**31 - 1
        )

    def send(self, message: Message) -> None:
        """Write the whole message. Raises OSError if nobody reads any more."""
        write_all(self.fd, memoryview(msgpack.packb(message)))

    def waiting(self) -> Message | None:
        """A message that was read already."""
        return next(iter(self._unpacker), None)

    def read(self) -> bool:
        """Read what there is, waiting for at least one byte; False at the end."""
        found = os.read(self.fd, _READ_NBYTES)
        self._unpacker.feed(found)
        return bool(found)

    def messages(self) -> Iterator[Message]:
        """All messages to the end."""
        while True:
            yield from iter(self._unpacker)
            if not self.read():
                return

    def close(self) -> None:
        """Close this end."""
        os.close(self.fd)


def write_all(fd: int, content: memoryview) -> None:
    """Write all bytes into a pipe."""
    while content:
        content = content[os.write(fd, content) :]


def read_exactly(fd: int, nbytes: int) -> bytearray | None:
    """This many bytes of a pipe; None if it ends before."""
    content = bytearray(nbytes)
    left = memoryview(content)
    while left:
        got = os.readv(fd, [left])
        if not got:
            return None
        left = left[got:]
    return content


# --- parameters -----------------------------------------------------------------------------


def packable(value: object) -> Any:
    """A parameter as a message holds it. Raises TypeError or ValueError for what it cannot."""
    if isinstance(value, str):
        value.encode()  # Raises UnicodeEncodeError, a ValueError, for lone surrogates.
        return value
    if value is None or isinstance(value, bool | float | bytes):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _INT_BITS else _ext(int, str(value))
    for kind, text in _TEXTS.items():  # A datetime is a date, too: the order matters.
        if isinstance(value, kind):
            return _ext(kind, text(value))
    if isinstance(value, timedelta):
        return _ext(timedelta, [value.days, value.seconds, value.microseconds])
    if isinstance(value, tuple):
        return _ext(tuple, [packable(one) for one in value])
    if isinstance(value, Mapping):
        return {packable(key): packable(one) for key, one in value.items()}
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Sequence):
        return [packable(one) for one in value]
    plain = getattr(value, "tolist", None)  # Scalars and arrays of NumPy.
    if plain is not None:
        return packable(plain())
    raise TypeError(f"a parameter is a {type(value).__name__}, which SQL has no value for")


_TEXTS: Final[dict[type, Callable[[Any], str]]] = {
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    Decimal: str,
    UUID: str,
}
_PARSED: Final[dict[type, Callable[[Any], Any]]] = {
    int: int,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
    Decimal: Decimal,
    UUID: UUID,
    timedelta: lambda parts: timedelta(*parts),
    tuple: tuple,
}
_KINDS: Final = list(_PARSED)


def _ext(kind: type, content: object) -> msgpack.ExtType:
    return msgpack.ExtType(_KINDS.index(kind), msgpack.packb(content))


def _unpacked(code: int, data: bytes) -> Any:
    content = msgpack.unpackb(data, ext_hook=_unpacked, strict_map_key=False)
    return _PARSED[_KINDS[code]](content)

"""Arrays in PostgreSQL's binary form, made in half the time that the driver takes for lists.

An array is its number of dimensions, whether it holds NULL, the type of its elements, the length
and first index of each dimension, and then each element after its length; all numbers in 4 bytes,
big-endian.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from struct import Struct, pack
from typing import Any, ClassVar, Final

from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER: Final = Struct(">iiIii").pack
_EMPTY: Final = Struct(">iiI").pack
_LENGTH: Final = Struct(">i").pack
_NULL: Final = _LENGTH(-1)


class Packed:
    """An array of one type, `oid`, with elements of the type `of`."""

    oid: ClassVar[int]
    of: ClassVar[int]

    def __init__(self, count: int, elements: bytes, *, has_null: bool = False) -> None:
        header = _HEADER(1, has_null, self.of, count, 1) if count else _EMPTY(0, 0, self.of)
        self.data = header + elements


class Texts(Packed):
    """`text[]`."""

    oid, of = 1009, 25


class Bytes(Packed):
    """`bytea[]`."""

    oid, of = 1001, 17


class Longs(Packed):
    """`bigint[]`."""

    oid, of = 1016, 20


class Ints(Packed):
    """`integer[]`."""

    oid, of = 1007, 23


def texts(values: Sequence[str]) -> Texts:
    """The array of these texts. Raises UnicodeEncodeError for what is no UTF-8."""
    return Texts(len(values), _joined([value.encode() for value in values]))


def blobs(values: Sequence[bytes]) -> Bytes:
    """The array of these byte strings."""
    return Bytes(len(values), _joined(values))


def nulls(count: int) -> Bytes:
    """An array of byte strings that are all NULL."""
    return Bytes(count, _NULL * count, has_null=True)


def longs(values: Sequence[int]) -> Longs:
    """The array of these numbers of 64 bits."""
    return Longs(len(values), _numbers(values, 8, "iq"))


def ints(values: Sequence[int]) -> Ints:
    """The array of these numbers of 32 bits."""
    return Ints(len(values), _numbers(values, 4, "ii"))


def register(adapters: Any) -> None:
    """Let a connection send packed arrays."""
    for kind in (Texts, Bytes, Longs, Ints):
        adapters.register_dumper(kind, _dumper_of(kind))


def _joined(parts: Iterable[bytes]) -> bytes:
    held = list(parts)
    return b"".join(chain.from_iterable(zip(map(_LENGTH, map(len, held)), held, strict=True)))


def _numbers(values: Sequence[int], nbytes: int, form: str) -> bytes:
    pairs = chain.from_iterable(zip(repeat(nbytes), values, strict=False))
    return pack(f">{form * len(values)}", *pairs)


def _dumper_of(kind: type[Packed]) -> type[Dumper]:
    class PackedDumper(Dumper):
        format = Format.BINARY
        oid = kind.oid

        def dump(self, obj: Packed) -> bytes:
            return obj.data

    return PackedDumper

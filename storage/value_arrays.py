"""From many blocks of batches to long arrays at once: batches of hundreds of short series are
common, and one call per block would cost more than its values.

*Packed* means as in a batch's payload (see `value_codec`); all arrays have the rows of the first
block, then those of the second, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Packed = Sequence[Any]

_TYPECODES: Final = {"b": "<i1", "h": "<i2", "i": "<i4", "q": "<i8"}
_ANY: Final = "any"


def starts_of(lengths: Ints) -> Ints:
    """Where each block's rows begin."""
    starts: Ints = np.cumsum(lengths) - lengths
    return starts


def whole_numbers(packed: Sequence[Packed], lengths: Ints) -> Ints:
    """The numbers in blocks of integers, none of which is empty."""
    starts = starts_of(lengths)
    shapes = set(map(len, packed))
    if shapes == {2}:
        firsts, strides = zip(*packed, strict=True)
        return _regular(np.array(firsts, np.int64), np.array(strides, np.int64), lengths, starts)
    if shapes == {3}:
        firsts, kinds, contents = zip(*packed, strict=True)
        if len(set(kinds)) == 1:
            _check_lengths(kinds[0], contents, lengths - 1)
            numbers = np.empty(int(lengths.sum()), np.int64)
            numbers[~_begins(starts, len(numbers))] = _differences(kinds[0], contents)
            return _summed(numbers, np.array(firsts, np.int64), lengths, starts)
    return _mixed(packed, lengths, starts)


def _mixed(packed: Sequence[Packed], lengths: Ints, starts: Ints) -> Ints:
    firsts = np.array([column[0] for column in packed], np.int64)
    strides = np.array([column[1] if len(column) == 2 else 0 for column in packed], np.int64)
    kinds = [column[1] if len(column) == 3 else None for column in packed]
    numbers = np.repeat(strides, lengths)
    begins = _begins(starts, len(numbers))
    for kind in {kind for kind in kinds if kind is not None}:
        chosen = np.fromiter((other == kind for other in kinds), bool, len(kinds))
        contents = [column[2] for column, wanted in zip(packed, chosen, strict=True) if wanted]
        _check_lengths(kind, contents, lengths[chosen] - 1)
        numbers[np.repeat(chosen, lengths) & ~begins] = _differences(kind, contents)
    return _summed(numbers, firsts, lengths, starts)


def _begins(starts: Ints, rows: int) -> NDArray[np.bool_]:
    begins = np.zeros(rows, bool)
    begins[starts] = True
    return begins


def _summed(numbers: Ints, firsts: Ints, lengths: Ints, starts: Ints) -> Ints:
    """From differences to numbers, in place.

    Sums over all blocks, minus the sum before each block. Sums that overflow wrap around, and back
    again.
    """
    numbers[starts] = firsts
    np.cumsum(numbers, out=numbers)
    numbers -= np.repeat(numbers[starts] - firsts, lengths)
    return numbers


def floats(contents: Sequence[bytes], lengths: Ints) -> NDArray[np.float64]:
    """The values of blocks of 8-byte floats."""
    _check_lengths("q", contents, lengths)
    return np.frombuffer(b"".join(contents), "<f8")


def _regular(first: Ints, strides: Ints, lengths: Ints, starts: Ints) -> Ints:
    numbers = np.arange(int(lengths.sum()))
    stride = int(strides[0])
    if (strides == stride).all():
        if stride != 1:
            numbers *= stride
    else:
        numbers *= np.repeat(strides, lengths)
    numbers += np.repeat(first - strides * starts, lengths)
    return numbers


def _differences(kind: str, contents: Sequence[Any]) -> NDArray[Any]:
    if kind == _ANY:  # Up to 65 bits: bits beyond 64 wrap around like the sums.
        flat = [difference for content in contents for difference in content]
        return np.array([(value + 2**63) % 2**64 - 2**63 for value in flat], np.int64)
    return np.frombuffer(b"".join(contents), _TYPECODES[kind])


def _check_lengths(kind: str, contents: Sequence[Any], lengths: Ints) -> None:
    """Check each block, so that one block's surplus does not fill another's gap."""
    size = 1 if kind == _ANY else np.dtype(_TYPECODES[kind]).itemsize
    found = np.fromiter(map(len, contents), np.int64, len(contents))
    if not np.array_equal(found, lengths * size):
        raise ValueError(f"blocks of {kind!r} do not hold as many numbers as they say")

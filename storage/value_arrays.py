"""Many blocks of batches to long arrays at once, where one call a block would cost more than its
values do: batches of hundreds of short series are common.

What is called *packed* here is what a batch's payload holds (see `value_codec`); all arrays have
the rows of the first block, then those of the second, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """The numbers of blocks of whole numbers, none of them empty."""
    first = np.array([column[0] for column in packed], np.int64)
    starts = starts_of(lengths)
    kinds = [column[1] if len(column) == 3 else None for column in packed]
    irregular = {kind for kind in kinds if kind is not None}
    strides = np.array([column[1] if len(column) == 2 else 0 for column in packed], np.int64)
    if not irregular:
        return _regular(first, strides, lengths, starts)
    # Sums of differences, over all blocks and then less what came before each: sums that are
    # too large wrap around, twice.
    numbers = np.repeat(strides, lengths)
    begins = np.zeros(len(numbers), bool)
    begins[starts] = True
    for kind in irregular:
        chosen = np.fromiter((other == kind for other in kinds), bool, len(kinds))
        rows = np.repeat(chosen, lengths)
        rows[begins] = False
        contents = [column[2] for column, wanted in zip(packed, chosen, strict=True) if wanted]
        _check_lengths(kind, contents, lengths[chosen] - 1)
        numbers[rows] = _differences(kind, contents)
    numbers[starts] = first
    np.cumsum(numbers, out=numbers)
    numbers -= np.repeat(numbers[starts] - first, lengths)
    return numbers


def floats(contents: Sequence[bytes], lengths: Ints) -> NDArray[np.float64]:
    """The values of blocks of 8-byte floats."""
    _check_lengths("q", contents, lengths)
    return np.frombuffer(b"".join(contents), "<f8")


def _regular(first: Ints, strides: Ints, lengths: Ints, starts: Ints) -> Ints:
    numbers = np.arange(int(lengths.sum()))
    one = int(strides[0])
    if (strides == one).all():
        if one != 1:
            numbers *= one
    else:
        numbers *= np.repeat(strides, lengths)
    numbers += np.repeat(first - strides * starts, lengths)
    return numbers


def _differences(kind: str, contents: Sequence[Any]) -> NDArray[Any]:
    if kind == _ANY:  # Of up to 65 bits: what is beyond 64 wraps around like the sums.
        flat = [difference for content in contents for difference in content]
        return np.array([(one + 2**63) % 2**64 - 2**63 for one in flat], np.int64)
    return np.frombuffer(b"".join(contents), _TYPECODES[kind])


def _check_lengths(kind: str, contents: Sequence[Any], lengths: Ints) -> None:
    """One block's surplus must not fill another's gap."""
    size = 1 if kind == _ANY else np.dtype(_TYPECODES[kind]).itemsize
    found = np.fromiter(map(len, contents), np.int64, len(contents))
    if not np.array_equal(found, lengths * size):
        raise ValueError(f"blocks of {kind!r} do not hold as many numbers as they say")


def check_described(described: Mapping[str, Any], block: Mapping[str, Any]) -> None:
    """That a block has the columns that the batch says it has. Raises ValueError."""
    columns = len(described["columns"]) or 1
    if len(block["v"]) != columns:
        raise ValueError(f"a block has {len(block['v'])} columns instead of {columns}")

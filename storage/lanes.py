"""Arithmetic on thousands of whole numbers at once, without NumPy.

A column of 64-bit numbers is one large number with a lane of 64 bits for each, and Python
subtracts, masks and compares such numbers at the speed of memory. The lanes stay apart as long as
none has to borrow from the next: if no number is negative and no difference is below zero.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, Literal, overload

_ORDER: Final[Literal["little"]] = "little"
_LANE: Final = 8
_LANE_BITS: Final = 8 * _LANE
_ONE_LANE: Final = (1 << _LANE_BITS) - 1
_NEGATIVE: Final = 1 << 63
_STRIDE_MAX: Final = 1 << 31
_FEW: Final = 64
_ABOVE_31: Final = (1 << 64) - (1 << 31)
_SHIFT: Final = 42
_RECIPROCAL: Final = (1 << _SHIFT) // 1_000 + 1
# By width in bytes: the bits that are zero in differences that fit into it with their sign.
_ABOVE: Final = tuple((nbytes, (1 << 64) - (1 << 8 * nbytes - 1)) for nbytes in (1, 2, 4))


class LaneNumbers(Sequence[int]):
    """Numbers that are not below a `base`, kept as lanes: an array of them is made when needed."""

    __slots__ = ("_array", "_base", "_n", "offsets")

    def __init__(self, base: int, offsets: int, n: int) -> None:
        self.offsets = offsets
        self._base = base
        self._n = n
        self._array: array[int] | None = None

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[int]: ...
    def __getitem__(self, place: int | slice) -> int | Sequence[int]:
        if place == 0 and self._n:
            return self._base + (self.offsets & _ONE_LANE)
        return self.as_array()[place]

    def __iter__(self) -> Iterator[int]:
        return iter(self.as_array())

    def as_array(self) -> array[int]:
        """The numbers as 64-bit integers."""
        if self._array is None:
            numbers = array("q")
            lanes = self.offsets + _ones(self._n) * self._base
            numbers.frombytes(lanes.to_bytes(self._n * _LANE, _ORDER))
            self._array = numbers
        return self._array


def narrow_differences(numbers: array[int] | LaneNumbers) -> tuple[int, bytes] | None:
    """The width in bytes of the differences of neighbours, and the differences, little-endian.

    Regular numbers give 0 and no bytes. Returns None for negative or decreasing numbers and for
    differences of 2³¹ or more, which take the plain way.
    """
    n = len(numbers) - 1
    if sys.byteorder != _ORDER or n < 1:
        return None
    if isinstance(numbers, LaneNumbers):
        lanes = numbers.offsets
    else:
        lanes = int.from_bytes(numbers.tobytes(), _ORDER)
    above, below = lanes >> _LANE_BITS, lanes & _all_bits(n)
    # A lane that had borrowed would hold 2⁶³ or more, as the numbers are less than that apart.
    differences = above - below
    if differences < 0 or (below | above) & _masks(n, _NEGATIVE):
        return None
    stride = (differences & _ONE_LANE) if n else 0
    if stride < _STRIDE_MAX and differences == _ones(n) * stride:
        return 0, b""
    nbytes = next((width for width, zeros in _ABOVE if not differences & _masks(n, zeros)), None)
    if nbytes is None:
        return None
    content = memoryview(differences.to_bytes(n * _LANE, _ORDER))
    narrow = content.cast("B") if nbytes == 1 else content.cast("H" if nbytes == 2 else "I")
    return nbytes, narrow[:: _LANE // nbytes].tobytes()


def in_thousands(numbers: array[int]) -> array[int] | LaneNumbers:
    """Each number divided by 1,000 and rounded down, as from nanoseconds to microseconds."""
    n, first = len(numbers), numbers[0] // 1_000 if numbers else 0
    if n >= _FEW and first >= 0 and sys.byteorder == _ORDER:
        above = int.from_bytes(numbers.tobytes(), _ORDER) - _ones(n) * (1_000 * first)
        # As above: a lane that had borrowed would be large.
        if above >= 0 and not above & _masks(n, _ABOVE_31):
            # Exact for numbers of 31 bits, and no lane overflows.
            quotients = (above * _RECIPROCAL >> _SHIFT) & _masks(n, (1 << 64 - _SHIFT) - 1)
            return LaneNumbers(first, quotients, n)
    return array("q", [number // 1_000 for number in numbers])


@lru_cache(maxsize=4)
def _all_bits(n: int) -> int:
    return (1 << _LANE_BITS * n) - 1


@lru_cache(maxsize=4)
def _ones(n: int) -> int:
    return int.from_bytes(b"\1\0\0\0\0\0\0\0" * n, _ORDER)


@lru_cache(maxsize=8)
def _masks(n: int, value: int) -> int:
    return int.from_bytes(value.to_bytes(_LANE, _ORDER) * n, _ORDER)

"""Arithmetic on thousands of whole numbers at once, without NumPy.

A column of 64-bit numbers is one large number with a lane of 64 bits for each, and Python
subtracts, masks and compares such numbers at the speed of memory. The lanes stay apart as long as
none has to borrow from the next: if no number is negative and no difference is below zero.
"""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache
from typing import Final, Literal

_ORDER: Final[Literal["little"]] = "little"
_LANE: Final = 8
_LANE_BITS: Final = 8 * _LANE
_NEGATIVE: Final = 1 << 63
_FEW: Final = 64
_ABOVE_31: Final = (1 << 64) - (1 << 31)
_SHIFT: Final = 42
_RECIPROCAL: Final = (1 << _SHIFT) // 1_000 + 1
# By width in bytes: the bits that are zero in differences that fit into it with their sign.
_ABOVE: Final = tuple((nbytes, (1 << 64) - (1 << 8 * nbytes - 1)) for nbytes in (1, 2, 4))


def narrow_differences(numbers: array[int]) -> tuple[int, bytes] | None:
    """The width in bytes of the differences of neighbours, and the differences, little-endian.

    Regular numbers give 0 and no bytes. Returns None for negative or decreasing numbers and for
    differences of 2³¹ or more, which take the plain way.
    """
    n = len(numbers) - 1
    if sys.byteorder != _ORDER or n < 1:
        return None
    all_lanes = int.from_bytes(numbers.tobytes(), _ORDER)
    above = all_lanes >> _LANE_BITS
    below = all_lanes & _all_bits(n)
    # A lane that had borrowed would hold 2⁶³ or more, as the numbers are less than that apart.
    differences = above - below
    if differences < 0 or (below | above) & _in_all_lanes(n, _NEGATIVE):
        return None
    nbytes = next(
        (width for width, zeros in _ABOVE if not differences & _in_all_lanes(n, zeros)), None
    )
    if nbytes is None:
        return None
    if differences == _in_all_lanes(n, numbers[1] - numbers[0]):
        return 0, b""
    lanes = memoryview(differences.to_bytes(n * _LANE, _ORDER))
    narrow = lanes.cast("B") if nbytes == 1 else lanes.cast("H" if nbytes == 2 else "I")
    return nbytes, narrow[:: _LANE // nbytes].tobytes()


def in_thousands(numbers: array[int]) -> array[int]:
    """Each number divided by 1,000 and rounded down, as from nanoseconds to microseconds."""
    n, first = len(numbers), numbers[0] // 1_000 if numbers else 0
    if n >= _FEW and first >= 0 and sys.byteorder == _ORDER:
        above = int.from_bytes(numbers.tobytes(), _ORDER) - _ones(n) * (1_000 * first)
        # As above: a lane that had borrowed would be large.
        if above >= 0 and not above & _in_all_lanes(n, _ABOVE_31):
            # Exact for numbers of 31 bits, and no lane overflows.
            quotients = (above * _RECIPROCAL >> _SHIFT) & _in_all_lanes(n, (1 << 64 - _SHIFT) - 1)
            divided = array("q")
            divided.frombytes((quotients + _ones(n) * first).to_bytes(n * _LANE, _ORDER))
            return divided
    return array("q", [number // 1_000 for number in numbers])


def _in_all_lanes(n: int, value: int) -> int:
    return _ones(n) * value if value < 1 << 32 else _masks(n, value)


@lru_cache(maxsize=4)
def _all_bits(n: int) -> int:
    return (1 << _LANE_BITS * n) - 1


@lru_cache(maxsize=4)
def _ones(n: int) -> int:
    return int.from_bytes(b"\1\0\0\0\0\0\0\0" * n, _ORDER)


@lru_cache(maxsize=8)
def _masks(n: int, value: int) -> int:
    return int.from_bytes(value.to_bytes(_LANE, _ORDER) * n, _ORDER)

"""Where the two formats of spools keep what: slots, marks and the fields of records.

`spool_format` describes format 2, which is written. Format 1 is only read: an older runlore may
have left such files. It differs in this:

- Files are called `<writer id>-<n>.spool`. The header has 64 bytes: magic "rlspool\\1", lap u64,
  and zeros. It has no CRC and does not say whose it is.
- A slot has 32 bytes: `step i64 | time i64 (µs since 1970 UTC) | value f64 or i64 | series u32
  | mark u32`. It holds nothing twice, so damaged bits are not noticed.
- In form w the first float is in the BEGIN slot, and three are in each later one; the others of
  more than one slot hold three numbers, or 28 bytes of content in form b, which has a CRC.
- There are no intents.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from runlore.storage import spool_format
from runlore.storage.spool_format import HEADER_NBYTES, LAP_MAX, PIECE, SLOT, SpoolOwner

MAGIC_1: Final = b"rlspool\1"
SUFFIX_1: Final = ".spool"
_HEADER_1: Final = Struct("=8sQ48x")


class Layout(NamedTuple):
    """The places of fields in a format, in words of 32 bits (marks) or 64 bits (all others).

    `number` and `mark` are those of a slot's end, and `again` how much later they are repeated (0:
    they are not). A record of form w holds `first_floats` from `first_float` on in its BEGIN slot,
    and `numbers` in each later one. `piece` bytes of packed content are in such a slot. Times are
    in `1 / time_divisor` µs. `span` is more than a record's values for each of its slots.
    """

    header: int
    slot: int
    number: int
    mark: int
    again: int
    first_float: int
    first_floats: int
    numbers: int
    piece: int
    time_divisor: int
    span: int

    @property
    def words(self) -> int:
        """The 64-bit words of a slot."""
        return self.slot // 8

    def float_place(self, place: int) -> int:
        """The word, counted from a record's first, of a float of form w."""
        if place < self.first_floats:
            return self.first_float + place
        later, rest = divmod(place - self.first_floats, self.numbers)
        return (1 + later) * self.words + rest


LAYOUT_1: Final = Layout(
    header=_HEADER_1.size,
    slot=32,
    number=6,
    mark=7,
    again=0,
    first_float=2,
    first_floats=1,
    numbers=3,
    piece=28,
    time_divisor=1,
    span=4,
)
LAYOUT_2: Final = Layout(
    header=HEADER_NBYTES,
    slot=SLOT,
    number=12,
    mark=13,
    again=2,
    first_float=4,
    first_floats=2,
    numbers=6,
    piece=PIECE,
    time_divisor=1_000,
    span=6,
)


class SegmentHeader(NamedTuple):
    """What the header of a file says: the lap, the layout, and in format 2 the owner."""

    lap: int
    layout: Layout
    owner: SpoolOwner | None

    def owner_is(self, writer_id: str) -> bool:
        """Whether it may be this writer's: format 1 does not say."""
        return self.owner is None or self.owner.writer_id == writer_id


def read_header(content: bytes) -> SegmentHeader | None:
    """The header at the beginning of a file; None if it was never used or is no spool's."""
    second = spool_format.unpack_header(content)
    if second is not None:
        return SegmentHeader(second.lap, LAYOUT_2, second.owner)
    if len(content) >= _HEADER_1.size:
        magic, lap = _HEADER_1.unpack_from(content)
        if magic == MAGIC_1 and 0 < lap <= LAP_MAX:
            return SegmentHeader(lap, LAYOUT_1, None)
    return None

"""Format 2 of logged values in a spool, between the call that logs them and the log.

A spool is one or two files `spools/<writer id>-<n>.spool2`, locked (`flock`) while their writer
lives. All numbers are in the byte order of the machine, as a spool never leaves it. A file is a
segment: a header of 192 bytes, and then slots of 64 bytes. The header is twice the same 96 bytes:

    magic "rlspool\\2" | lap u64 | device u64 | inode u64 | file system u64 | writer id 16 bytes
    | boot id 16 bytes | start of the process i64 (µs since 1970 UTC) | user id u32 | process id u32
    | CRC-32 of these 88 bytes u32 | 4 zeros

If only one of them has the right CRC, that one counts; if both have, the greater lap does. Device,
inode and file system (`f_fsid` of statvfs) are those of the file itself, so that a copy can be told
from it: see `file_identity`. A file of zeros was never used.

A slot of a single value is

    step i64 | time i64 (ns since 1970 UTC) | value f64 or i64
    | step i64 | time i64 | value f64 or i64
    | series u32 | mark u32 | series u32 | mark u32

so it holds everything twice. That is the checksum: to store a field again costs less than to
compute anything from it, and a reader of a dead process's spool finds each damaged bit. Where the
copies of series and mark differ, the one counts whose mark makes sense, if the other's makes none;
a record with any other difference is not read, and counted.

The marks are written last and name the lap, a number that increases with each use of a segment: a
slot with another mark is torn or from an earlier lap. A record of several slots begins in one with
the mark BEGIN (2³⁰ + lap) and ends in one with the mark END (2³¹ + lap), which a record of one slot
has, too; the slots between have zeros there. The place of a mark never holds anything else, so a
reader that lost a record finds the next one. The other 48 bytes of a slot after the first of a
record hold content.

A series has a form, which says what its slots hold:

    f, i   one value, a float or a whole number of 64 bits, as above
    w      n floats: one for each of several columns, or each of several series; BEGIN slot:
           `step | time | step | time | 2 floats`, then 6 floats a slot, zeros at the end. The n
           floats follow each other, and then the same n floats again
    F, I   many floats, whole numbers, of one series at consecutive steps; BEGIN slot:
           `step | time | count u32 | CRC-32 u32 | step | time | count u32 | CRC-32 u32`, then 6
           numbers a slot; the CRC is that of the numbers
    G, J   the same, and then as many steps, which the CRC covers, too
    b      anything as msgpack: BEGIN slot as in F with a length in bytes for the count, then 48
           bytes a slot, zeros at the end. Integers beyond 64 bits are of the extension type 1, as
           hexadecimal digits; a row is an array

Series number 0 is a record of form b that defines a series before its first use in a segment:
[number, run id, form, [[name, columns, kind, description], ...]]. Number 2³² − 1 marks an unused
slot. Number 2³² − 2 is a record of form b with an intent, the end of a run that could not be
written to the log: {"run", "status", "error" (a map of texts, or nil), "observed_at" (µs)}. Whoever
drains the spool records it.

The time is that of the writer's clock, or the one that the caller gave with the value.

A slot, and a record of form w of up to 64 slots, is never half on disk with both of its marks: they
lie in one page or in two adjacent ones. Longer records have a CRC, because a power failure may lose
a page in the middle.

What cannot be decoded is set aside in a file `<name>.damaged`, which nobody reads.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Sequence
from functools import cache
from struct import Struct
from typing import Any, Final, NamedTuple

import msgpack

from runlore.storage.file_identity import FileIdentity
from runlore.storage.value_codec import Series, pack_other

SUFFIX: Final = ".spool2"
SLOT: Final = 64
SEGMENT_NBYTES: Final = 4 << 20
MAGIC: Final = b"rlspool\2"

_HEADER: Final = Struct("=8sQQQQ16s16sqII")
_CHECK: Final = Struct("=I4x")
_HEADER_COPY_NBYTES: Final = _HEADER.size + _CHECK.size
HEADER_NBYTES: Final = 2 * _HEADER_COPY_NBYTES

FLOAT: Final = Struct("=qqdqqd16s")
INT: Final = Struct("=qqqqqq16s")
SIZED: Final = Struct("=qqIIqqII16s")
_MARKS: Final = Struct("=IIII")
MARKS_NBYTES: Final = _MARKS.size

END: Final = 1 << 31
BEGIN: Final = 1 << 30
LAP_MAX: Final = BEGIN - 1

DEFINITION: Final = 0
FILLER: Final = 2**32 - 1
INTENT: Final = 2**32 - 2

WIDE_MAX: Final = 3 * 63 + 1
"""The floats of a record of form w: more could take more slots than two pages hold."""

PIECE: Final = SLOT - MARKS_NBYTES
"""The bytes of content in a slot after the first of a record."""

_NO_MARKS: Final = bytes(MARKS_NBYTES)


class SpoolOwner(NamedTuple):
    """Whose a spool's file is: which file, of which writer, in which process."""

    file: FileIdentity
    writer_id: str
    boot_id: str
    started_at: int
    uid: int
    pid: int


class Header(NamedTuple):
    """The header of a segment: its lap, and its owner."""

    lap: int
    owner: SpoolOwner


class Channel(NamedTuple):
    """The meaning of a series number: the run, the form and the series of its slots."""

    run_id: str
    form: str
    series: tuple[Series, ...]


class SpoolRecord(NamedTuple):
    """A record's slots, without the fields that are filled in on write.

    `nbytes` is a multiple of a slot; `fields` are size and CRC in the BEGIN slot, and `rest` is the
    slots after it, with room for the last marks at the end.
    """

    fields: tuple[int, int]
    rest: bytes

    @property
    def nbytes(self) -> int:
        return SLOT + len(self.rest)


class EndIntent(NamedTuple):
    """The end of a run that could not be written to the log when it came.

    `status` is the run's last, `error` the error document of a failed one; `observed_at` is when
    it ended, in µs since 1970 UTC by its writer's clock.
    """

    run_id: str
    status: str
    error: dict[str, str] | None
    observed_at: int


def pack_header(lap: int, owner: SpoolOwner) -> bytes:
    """The bytes of a header."""
    fields = _HEADER.pack(
        MAGIC,
        lap,
        *owner.file,
        bytes.fromhex(owner.writer_id),
        bytes.fromhex(owner.boot_id.replace("-", "")),
        owner.started_at,
        owner.uid,
        owner.pid,
    )
    return 2 * (fields + _CHECK.pack(zlib.crc32(fields)))


def unpack_header(content: bytes) -> Header | None:
    """The header at the beginning of a file; None if it is not one of this format."""
    found = [
        header
        for start in (0, _HEADER_COPY_NBYTES)
        if (header := _unpacked_copy(content[start : start + _HEADER_COPY_NBYTES])) is not None
    ]
    return max(found, default=None, key=lambda header: header.lap)


def _unpacked_copy(content: bytes) -> Header | None:
    if len(content) < _HEADER_COPY_NBYTES:
        return None
    magic, lap, device, inode, file_system, writer, boot, *process = _HEADER.unpack_from(content)
    (check,) = _CHECK.unpack_from(content, _HEADER.size)
    if magic != MAGIC or check != zlib.crc32(content[: _HEADER.size]) or lap > LAP_MAX:
        return None
    identity = FileIdentity(device, inode, file_system)
    return Header(lap, SpoolOwner(identity, writer.hex(), _as_uuid(boot.hex()), *process))


def _as_uuid(digits: str) -> str:
    """The boot id as the system writes it; "" where there was none."""
    if digits == "0" * 32:
        return ""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def marks(number: int, mark: int) -> bytes:
    """The last bytes of a slot. Made once for many slots: to pack them takes as long as a value."""
    return _MARKS.pack(number, mark, number, mark)


def columns_of(channel: Channel) -> int:
    """The number of values in a record of form w."""
    return max(len(channel.series), len(channel.series[0].columns))


@cache
def wide(columns: int) -> Struct:
    """The record of this many floats, at least two:
    step, time, step, time, the first two, marks, the others, all again, marks."""
    full, last = divmod(2 * columns - 3, 6)
    last += 1
    return Struct(
        "=qqqqdd16s" + "dddddd16x" * full + "d" * last + f"{8 * (6 - last)}x{MARKS_NBYTES}s"
    )


def wide_slots(columns: int) -> int:
    """The number of slots of a record of this many floats."""
    return 1 + (columns + 1) // 3


def packed(value: Any) -> SpoolRecord:
    """A record of form b of a value, or of a row as a tuple. Raises TypeError for other types."""
    data: bytes = msgpack.packb(value, default=pack_other)
    padded = data + bytes(-len(data) % PIECE)
    rest = b"".join(
        padded[start : start + PIECE] + _NO_MARKS for start in range(0, len(padded), PIECE)
    )
    return SpoolRecord((len(data), zlib.crc32(data)), rest)


def many(values: array[Any], steps: array[int] | None) -> SpoolRecord:
    """A record of form F, I, G or J of values of one type, and perhaps their steps."""
    data = values.tobytes() + (b"" if steps is None else steps.tobytes())
    padded = memoryview(data + bytes(-len(data) % PIECE)).cast("Q")
    a_slot, held = SLOT // 8, PIECE // 8
    rest = bytearray(len(padded) // held * SLOT)
    slots = memoryview(rest).cast("Q")
    for column in range(held):
        slots[column::a_slot] = padded[column::held]
    return SpoolRecord((len(values), zlib.crc32(data)), bytes(rest))


def definition(number: int, channel: Channel) -> SpoolRecord:
    """The record that defines a series number."""
    return packed([number, *channel])


def intent_record(intent: EndIntent) -> SpoolRecord:
    """The record of an intent."""
    return packed(
        {
            "run": intent.run_id,
            "status": intent.status,
            "error": intent.error,
            "observed_at": intent.observed_at,
        }
    )


def form_of(value: Any) -> str:
    """The form that holds a scalar exactly."""
    kind = type(value)
    if kind is float:
        return "f"
    return "i" if kind is int and -(2**63) <= value < 2**63 else "b"


def are_floats(values: Sequence[Any]) -> bool:
    """Whether a record of form w holds these values exactly."""
    return set(map(type, values)) == {float}

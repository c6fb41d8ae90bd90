"""A file in the folder of spools, which a process that died or a stranger may have left.

Reading it as a living process's and recovering it raises nothing. What gets into the log can be
decoded by the log's readers and by the tables; the values that are counted are those that are
there. The file is gone or set aside afterwards, and recovering the folder again finds nothing.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from runlore.domain.events import ValuesLogged
from runlore.domain.ids import check_run_id, run_id_of
from runlore.domain.status import TERMINAL
from runlore.projections.points import points_of
from runlore.storage.codec import fact_of
from runlore.storage.file_identity import FileIdentity
from runlore.storage.memory_log import MemoryLog
from runlore.storage.spool_content import intent_of
from runlore.storage.spool_folder import Recovery, live_values
from runlore.storage.spool_format import (
    BEGIN,
    DEFINITION,
    END,
    HEADER_NBYTES,
    INTENT,
    LAP_MAX,
    SLOT,
    EndIntent,
    SpoolOwner,
    SpoolRecord,
    intent_record,
    pack_header,
    unpack_header,
)
from runlore.storage.spool_layout import MAGIC_1
from runlore.storage.value_reader import block_of, read_batch
from runlore.testing.logs import all_rows, check_head
from tests.fuzz.mutations import (
    MSGPACK_VALUES,
    NUMBERS,
    mutated_bytes,
    mutated_tree,
    packed,
    unpacked,
)
from tests.fuzz.target import Broken, Target
from tests.held import below
from tests.logged_values import records_in
from tests.storage.test_spool_folder import (
    ANN,
    HOSTILE,
    LAP,
    defining,
    journal_of,
    msgpacked,
    one,
    sized,
    slots_of_all_forms,
)

_OWNER: Final = SpoolOwner(FileIdentity(1, 2, 3), ANN, "", 1, 2, 3)
_FORMAT_1: Final = Path(__file__).parents[2] / "storage" / "format_1.spool"


def with_header(slots: bytes, lap: int = LAP) -> bytes:
    """An input."""
    return pack_header(lap, _OWNER) + slots


def seeds() -> list[bytes]:
    """Values of all forms, a file of format 1, and the hostile files of other tests."""
    intent = sized(INTENT, intent_record(EndIntent("r", "Failed", {"code": "UserError"}, 17)))
    made = [with_header(slots_of_all_forms(), lap=1), _FORMAT_1.read_bytes()[: 64 + 32 * 200]]
    made += [with_header(defining(1) + one(1, 0, 2.5) + intent)]
    return made + [with_header(slots) for slots in HOSTILE.values()]


# --- structure ----------------------------------------------------------------------------------


class _Slots(NamedTuple):
    """A record as it is in the file: its series number, and whether it has several slots."""

    content: bytes
    number: int
    is_long: bool


def _records(slots: bytes) -> list[_Slots]:
    found, at = [], 0
    while at + SLOT <= len(slots):
        number, mark = struct.unpack_from("=II", slots, at + SLOT - 16)
        stop = at + SLOT
        if mark & BEGIN:
            while stop + SLOT <= len(slots):
                stop += SLOT
                if struct.unpack_from("=I", slots, stop - 12)[0] & END:
                    break
        found.append(_Slots(slots[at:stop], number, bool(mark & BEGIN)))
        at = stop
    return found


def _content(record: _Slots) -> bytes:
    """The bytes of a sized record after its BEGIN slot, without marks."""
    return b"".join(
        record.content[at : at + SLOT - 16] for at in range(SLOT, len(record.content), SLOT)
    )


def mutate(data: bytes, random: Random) -> bytes:
    """A file with other records, whose marks, copies and checksums are right."""
    header = unpack_header(data)
    if header is None or random.random() < 0.05:
        return _mutated_format_1(data, random)
    lap, slots = header.lap, data[HEADER_NBYTES:]
    records = _records(slots)
    if not records or random.random() < 0.02:
        return with_header(slots, random.choice((lap, lap + 1, 0, 1, LAP_MAX, LAP_MAX + 1)))
    for _ in range(random.choice((1, 1, 2))):
        at = random.randrange(len(records))
        match random.randrange(7):
            case 0:
                del records[at]
            case 1:
                records.insert(random.randrange(len(records) + 1), records[at])
            case 2:
                other = random.randrange(len(records))
                records[at], records[other] = records[other], records[at]
            case _:
                records[at] = _mutated_record(records[at], lap, random)
        if not records:
            break
    return with_header(b"".join(record.content for record in records), lap)


def _mutated_record(record: _Slots, lap: int, random: Random) -> _Slots:
    number = record.number
    if random.random() < 0.1:
        number = random.choice((0, 1, 2, 3, 7, INTENT, INTENT + 1))
    if not record.is_long:
        if random.random() < 0.2:
            return record._replace(
                content=mutated_bytes(record.content, random)[:SLOT].ljust(SLOT, b"\0")
            )
        words = list(struct.unpack_from("=qqq", record.content))
        choice = random.choice(NUMBERS)
        number_of_64_bits = int(choice) if isinstance(choice, int) else random.getrandbits(64)
        words[random.randrange(3)] = (number_of_64_bits + 2**63) % 2**64 - 2**63
        twice = struct.pack("=qqqqqq", *words, *words)
        return record._replace(content=twice + struct.pack("=IIII", *(number, lap | END) * 2))
    step, time, count, _ = struct.unpack_from("=qqII", record.content)
    content = _content(record)
    tree = content[:count]
    if number in (DEFINITION, INTENT) or random.random() < 0.5:
        try:
            tree = packed(mutated_tree(unpacked(tree), random, MSGPACK_VALUES)) or tree
        except ValueError:
            tree = mutated_bytes(tree, random)
        return record._replace(content=sized(number, msgpacked(tree[:4_000]), step, lap))
    content = mutated_bytes(content, random)
    content += bytes(-len(content) % 48)
    if random.random() < 0.3:
        count = random.choice((0, 1, count + 1, 2 * count, 2**31, 2**32 - 1))
        step = random.choice((0, step, 2**63 - 1, -(2**63)))
    held = [length for length in (8 * count, 16 * count) if length <= len(content)]
    check = zlib.crc32(content[: random.choice(held)] if held else content)
    rest = b"".join(content[at : at + 48] + bytes(16) for at in range(0, len(content), 48))
    return record._replace(
        content=sized(number, SpoolRecord((count % 2**32, check), rest or bytes(64)), step, lap)
    )


def _mutated_format_1(data: bytes, random: Random) -> bytes:
    """Bytes of the format without checksums, after a header that counts."""
    head = MAGIC_1 + struct.pack("=Q48x", 1)
    rest = data[len(head) :] if data.startswith(MAGIC_1) else data[HEADER_NBYTES:]
    return head + mutated_bytes(rest, random)


# --- the property -------------------------------------------------------------------------------


def check(data: bytes) -> None:
    header = unpack_header(data)
    writer_id = ANN if header is None else header.owner.writer_id
    suffix = ".spool" if data.startswith(MAGIC_1) else ".spool2"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{writer_id}-0{suffix}"
        path.write_bytes(data)
        os.utime(path, (0, 0))
        log = MemoryLog()
        live = live_values(below(Path(folder)), log, "r")
        for parts in (part for of_writer in live.pieces.values() for part in of_writer):
            for part in parts:
                block_of(part)
        told: list[str] = []
        count = _recovered(Path(folder), log, told)
        left = os.listdir(folder)
        expected = [f"{path.name}.damaged"] if told else []
        if left != expected:
            raise Broken(f"told {told}, and left {left}")
        _check_log(log, count)
        if _recovered(Path(folder), log, told) != 0 or len(told) > 1:
            raise Broken("something was recovered twice")


def _recovered(folder: Path, log: MemoryLog, told: list[str]) -> int:
    def record(writer_id: str, ends: Sequence[EndIntent]) -> None:
        for end in ends:
            check_run_id(end.run_id)
            data = packed(
                {
                    "run": end.run_id,
                    "status": end.status,
                    "error": end.error,
                    "observed_at": end.observed_at,
                }
            )
            if end.status not in TERMINAL or data is None or intent_of(data) != end:
                raise Broken(f"{end} is not an end that can be recorded")

    recovery = Recovery(
        below(folder), journal_of(log), warn=told.append, record=record, from_copies=True
    )
    return recovery.run()


def _check_log(log: MemoryLog, count: int) -> None:
    """All that is in the log can be read by all that reads it."""
    found = 0
    check_head(log)
    for row in all_rows(log):
        fact = fact_of(row)
        if fact.topic != ValuesLogged.topic:
            continue
        assert fact.data is not None
        run_id = run_id_of(row.stream)
        if run_id is None:
            raise Broken(f"values in the stream {row.stream!r}")
        blocks = read_batch(fact.data)
        found += sum(map(len, blocks))
        rows = sum(len(block) * max(1, len(block.series.columns)) for block in blocks)
        points = list(points_of([(1, fact)], {}))
        if sum(map(len, points)) != rows:
            raise Broken(f"{rows} values make {sum(map(len, points))} rows of tables")
        records_in(log, run_id)
    if found != count:
        raise Broken(f"{count} values were recovered, and {found} are in the log")


_DEEP: Final = b"\x81\xa1a" * 1_000 + b"\xc0"
_DEEP_NAME: Final = b"\x94\x01\xa1r\xa1w\x91\x94" + _DEEP + b"\x90\xa6scalar\xa0"
_DEEP_END: Final = b"\x83\xa3run" + _DEEP + b"\xa6status\xa6Failed\xa5error\xc0"


TARGET: Final = Target(
    "spool",
    check,
    seeds,
    mutate,
    regressions={
        "a name that is nested deeply": with_header(sized(DEFINITION, msgpacked(_DEEP_NAME))),
        "an end that is nested deeply": with_header(sized(INTENT, msgpacked(_DEEP_END))),
    },
    max_nbytes=1 << 14,
    quick=150,
)

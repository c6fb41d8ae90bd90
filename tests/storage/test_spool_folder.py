"""Spools of dead processes: recovered, told if they are damaged, left alone in copies."""

from __future__ import annotations

import math
import os
import random
import shutil
import tempfile
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain.events import WriterOpened
from runlore.storage.errors import LogBusy, LogCorrupt
from runlore.storage.event_log import StoredRow
from runlore.storage.file_identity import identity_of
from runlore.storage.held_path import hold
from runlore.storage.journal import Journal
from runlore.storage.memory_log import MemoryLog
from runlore.storage.spool_folder import Recovery, is_copied, live_values, recover
from runlore.storage.spool_format import (
    BEGIN,
    DEFINITION,
    END,
    FLOAT,
    INTENT,
    SIZED,
    SLOT,
    Channel,
    EndIntent,
    SpoolOwner,
    SpoolRecord,
    definition,
    intent_record,
    marks,
    pack_header,
    packed,
    unpack_header,
)
from runlore.storage.this_process import boot_id
from runlore.storage.value_buffer import ValueBuffer
from runlore.storage.value_codec import Series
from runlore.storage.value_reader import block_of
from tests.examples import few
from tests.held import below
from tests.logged_values import records_in, records_of

ANN = "a" * 32
LAP = 5
LOSS = Series("loss")


def journal_of(log: MemoryLog) -> Journal:
    opened = WriterOpened(
        actor="ann", host="node1", boot_id="b", pid=7, process="train.py", client_version="0"
    )
    return Journal(log, lambda: opened)


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "lab" / "spools"
    folder.mkdir(parents=True)
    return folder


class Telling:
    """A recovery, and what it told and recorded."""

    def __init__(self, folder: Path, log: MemoryLog, **options: Any) -> None:
        self.told: list[str] = []
        self.ends: list[EndIntent] = []
        self.recovery = Recovery(
            below(folder), journal_of(log), warn=self.told.append, record=self._record, **options
        )

    def _record(self, writer_id: str, ends: Sequence[EndIntent]) -> None:
        self.ends.extend(ends)

    def run(self) -> int:
        return self.recovery.run()


# --- spools made by hand -------------------------------------------------------------------------


def spool_of_the_dead(
    folder: Path, slots: bytes, *, writer_id: str = ANN, lap: int = LAP, n: int = 0
) -> Path:
    """A file as a process that has died leaves it."""
    path = folder / f"{writer_id}-{n}.spool2"
    with path.open("wb") as file:
        owner = SpoolOwner(identity_of(file.fileno()), writer_id, boot_id(), 1, 2, 3)
        file.write(pack_header(lap, owner) + slots)
    return path


def one(number: int, step: int, value: float, lap: int = LAP) -> bytes:
    twice = (step, 2_000 * step, value) * 2
    return FLOAT.pack(*twice, marks(number, lap | END))


def sized(number: int, record: SpoolRecord, step: int = 0, lap: int = LAP) -> bytes:
    twice = (step, 7_000, *record.fields) * 2
    begin = SIZED.pack(*twice, marks(number, lap | BEGIN))
    return begin + record.rest[:-16] + marks(number, lap | END)


def msgpacked(data: bytes) -> SpoolRecord:
    """A record of form b of any bytes, with the right CRC."""
    padded = data + bytes(-len(data) % 48)
    rest = b"".join(padded[at : at + 48] + bytes(16) for at in range(0, len(padded), 48))
    return SpoolRecord((len(data), zlib.crc32(data)), rest)


def defining(number: int, form: str = "f", *series: Series, run_id: str = "r") -> bytes:
    return sized(DEFINITION, definition(number, Channel(run_id, form, series or (LOSS,))))


def values_in(log: MemoryLog, run_id: str = "r") -> list[Any]:
    return [record.value for record in records_in(log, run_id)]


# --- damage --------------------------------------------------------------------------------------


def slots_of_all_forms() -> bytes:
    buffer = ValueBuffer(journal_of(MemoryLog()), warn=lambda _: None)
    run = buffer.of_run("r", fresh=True)
    for value in (0.5, -1.0, 7, "text", True):
        run.log(LOSS, value, None)
    run.log_wide([LOSS, Series("acc"), Series("f1")], [1.0, 2.0, 3.0], 9)
    run.log_row(Series("row", ("a", "b"), "row"), (1.0, "b"))
    run.log_many(LOSS, array("d", [1.0, 2.0]), [5, 7])
    (region,) = buffer.spool().undrained()
    slots = bytes(region.segment.slots[: region.stop * SLOT])
    buffer.close("lab")
    return slots


@pytest.mark.long
@pytest.mark.parametrize("stride", [37, pytest.param(5, marks=pytest.mark.slow)])
def test_no_flipped_bit_becomes_a_wrong_value(folder: Path, stride: int) -> None:
    slots = slots_of_all_forms()
    lap = 1

    def recovered(flip: int | None) -> tuple[list[Any], bool]:
        path = spool_of_the_dead(folder, slots, lap=lap)
        if flip is not None:
            content = bytearray(path.read_bytes())
            content[flip // 8] ^= 1 << flip % 8
            path.write_bytes(content)
            os.utime(path, (0, 0))
        log = MemoryLog()
        telling = Telling(folder, log)
        telling.run()
        found = [(r.series, r.step, r.time, r.value) for r in records_in(log, "r")]
        return found, bool(telling.told)

    expected, told = recovered(None)
    assert len(expected) == 11 and not told
    count = {"right": 0, "lost and told": 0}
    for flip in range(0, 8 * (192 + len(slots)), stride):
        found, told = recovered(flip)
        if found == expected:
            count["right"] += 1
            continue
        rest = iter(expected)
        assert told and all(value in rest for value in found), f"bit {flip} is not told"
        count["lost and told"] += 1
    assert count["right"] > 0 and count["lost and told"] > 0


@settings(max_examples=few(60))
@given(st.data(), st.sampled_from(["format_1.spool", "format_2.spool2"]))
def test_no_damage_makes_a_recovery_fail(data: st.DataObject, name: str) -> None:
    kept = Path(__file__).with_name(name)
    content = bytearray(kept.read_bytes())
    header = unpack_header(bytes(content))
    writer_id = ANN if header is None else header.owner.writer_id
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(64, len(content) - 1))
        damage = data.draw(st.binary(min_size=1, max_size=80))[: len(content) - at]
        content[at : at + len(damage)] = damage
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{writer_id}-0{kept.suffix}"
        path.write_bytes(content)
        os.utime(path, (0, 0))
        log = MemoryLog()
        live_values(below(Path(folder)), log, "r")
        Telling(Path(folder), log, from_copies=True).run()
        assert not path.exists()
        records_in(log, "r")  # All of it can be read again.


CONFUSION = Series("m", (), "confusion_matrix")
DEEP = b"\x91" * 5_000 + b"\xc0"
HOSTILE = {
    "a definition that is no msgpack": sized(0, msgpacked(b"\xc1")),
    "a definition without its parts": sized(0, packed([1, "r", "f"])),
    "a definition of another type": sized(0, packed(7)),
    "a series without its parts": sized(0, packed([1, "r", "f", [["loss"]]])),
    "a name that is a number": sized(0, packed([1, "r", "f", [[7, [], "scalar", ""]]])),
    "a name of control characters": sized(0, packed([1, "r", "f", [["a\n", [], "scalar", ""]]])),
    "a definition nested deeply": sized(0, msgpacked(DEEP)),
    "an unknown form": sized(0, packed([1, "r", "x", [["loss", [], "scalar", ""]]])),
    "a form that cannot be hashed": sized(0, packed([1, "r", [], [["loss", [], "scalar", ""]]])),
    "a reserved number": sized(0, packed([INTENT, "r", "f", [["loss", [], "scalar", ""]]])),
    "no series": sized(0, packed([1, "r", "f", []])),
    "a run in another folder": defining(1, run_id="../x/values/y") + one(1, 0, 1.0),
    "a matrix in form w": defining(1, "w", CONFUSION, LOSS),
    "a matrix that is a number": defining(1, "b", CONFUSION) + sized(1, packed(7)),
    "a row in form f": defining(1, "f", Series("row", ("a", "b"), "row")) + one(1, 0, 1.0),
    "a row of another width": defining(1, "b", Series("row", ("a", "b"), "row"))
    + sized(1, packed([1, 2, 3])),
    "a text for a row": defining(1, "b", Series("row", ("a", "b"), "row")) + sized(1, packed("ab")),
    "a definition without a series": sized(DEFINITION, definition(1, Channel("r", "f", ()))),
    "columns of one name": defining(1, "w", Series("row", ("a", "a"), "row")),
    "a value nested deeply": defining(1, "b") + sized(1, msgpacked(DEEP)),
    "a value of a foreign type": defining(1, "b") + sized(1, packed(msgpack.ExtType(7, b"x"))),
    "an integer of no digits": defining(1, "b") + sized(1, packed(msgpack.ExtType(1, b"zz"))),
    "a time for a value": defining(1, "b") + sized(1, packed(msgpack.Timestamp(1, 2))),
    "a map for a value": defining(1, "b") + sized(1, packed({"a": 1})),
    "steps beyond 64 bits": defining(1, "F")
    + sized(1, SpoolRecord((1, zlib.crc32(bytes(8))), bytes(64)), step=2**63 - 1),
    "a second meaning": defining(1) + one(1, 0, 1.0) + defining(1, "w", LOSS, Series("acc")),
    "a value without a definition": one(1, 0, 1.0),
    "an intent of no run": sized(INTENT, packed({"run": "../x", "status": "Failed"})),
    "an intent that is no end": sized(INTENT, intent_record(EndIntent("r", "Running", None, 1))),
    "an intent of no map": sized(INTENT, packed([1, 2])),
    "rubbish": random.Random(0).randbytes(64 * 50) + one(1, 0, 1.0),
}


@pytest.mark.parametrize("slots", HOSTILE.values(), ids=HOSTILE)
def test_hostile_spool_is_set_aside_and_told_once(
    folder: Path, log: MemoryLog, slots: bytes
) -> None:
    good = defining(2, "f", Series("good"), run_id="s")
    path = spool_of_the_dead(folder, good + one(2, 0, 2.5) + slots + one(2, 1, 3.5))
    telling = Telling(folder, log)
    telling.run()
    assert values_in(log, "s") == [2.5, 3.5]
    assert values_in(log) == ([1.0] if slots is HOSTILE["a second meaning"] else [])
    assert telling.ends == []
    [told] = telling.told
    assert "damaged" in told and f"{path}.damaged" in told
    assert [found.name for found in folder.iterdir()] == [f"{ANN}-0.spool2.damaged"]
    assert telling.run() == 0 and len(telling.told) == 1


def test_run_that_is_damaged_in_the_log_stops_only_its_own_writers(
    folder: Path, log: MemoryLog
) -> None:
    ended = sized(INTENT, intent_record(EndIntent("r", "Failed", None, 1)))
    blocked = spool_of_the_dead(folder, defining(1) + one(1, 0, 1.0) + ended, writer_id="0" * 32)
    spool_of_the_dead(folder, defining(1) + one(1, 0, 2.0) + ended, writer_id="1" * 32)

    def record(writer_id: str, ends: Sequence[EndIntent]) -> None:
        if writer_id == "0" * 32:
            raise LogCorrupt("an event of run/r is damaged")

    recovery = Recovery(below(folder), journal_of(log), record=record)
    for _ in range(2):
        with pytest.raises(LogCorrupt):
            recovery.run()
        assert sorted(values_in(log)) == [1.0, 2.0]
        assert list(folder.iterdir()) == [blocked]


@pytest.mark.parametrize("version", [b"x", 0])
def test_values_are_recovered_after_a_batch_that_is_damaged(
    folder: Path, log: MemoryLog, version: Any
) -> None:
    """A flipped bit in the type or size of a number puts the batch in another place."""
    journal = journal_of(log)

    def recover_one(lap: int) -> None:
        series = sized(DEFINITION, definition(1, Channel("r", "f", (LOSS,))), lap=lap)
        spool_of_the_dead(folder, series + one(1, lap, lap / 2, lap), lap=lap)
        recover(below(folder), journal)

    recover_one(1)
    recover_one(2)
    read = log.read_stream

    def with_damage(stream: str, **bounds: Any) -> Sequence[StoredRow]:
        rows = list(read(stream, **bounds))
        if rows and "/values/" in stream:
            rows.append(rows.pop(0)._replace(version=version, state=b"torn"))
        return rows

    log.read_stream = with_damage  # type: ignore[method-assign]
    recover_one(3)
    assert values_in(log) == [0.5, 1.0, 1.5]


def test_file_that_is_no_spool_is_set_aside_when_it_is_old(folder: Path, log: MemoryLog) -> None:
    path = folder / f"{ANN}-0.spool2"
    path.write_bytes(b"no spool" * 100)
    telling = Telling(folder, log)
    telling.run()
    assert path.exists() and telling.told == []  # Its owner may be about to lock it.
    os.utime(path, (0, 0))
    telling.run()
    assert [found.name for found in folder.iterdir()] == [f"{ANN}-0.spool2.damaged"]
    assert len(telling.told) == 1


def test_file_that_was_never_used_is_removed(folder: Path, log: MemoryLog) -> None:
    path = folder / f"{ANN}-0.spool2"
    path.write_bytes(bytes(10_000))
    os.utime(path, (0, 0))
    telling = Telling(folder, log)
    telling.run()
    assert list(folder.iterdir()) == [] and telling.told == []


def test_what_is_no_file_of_a_writer_is_left_alone(folder: Path, log: MemoryLog) -> None:
    precious = folder.parent / "precious"
    precious.write_text("mine")
    (folder / f"{ANN}-0.spool2").symlink_to(precious)
    os.mkfifo(folder / f"{ANN}-1.spool2")
    (folder / "notes.spool2").write_text("notes")
    names = sorted(folder.iterdir())
    assert recover(below(folder), journal_of(log)) == 0
    assert sorted(folder.iterdir()) == names and precious.read_text() == "mine"


def test_damaged_spool_of_an_erasable_workspace_is_overwritten(
    folder: Path, log: MemoryLog
) -> None:
    path = spool_of_the_dead(folder, defining(1) + one(1, 0, 2.5) + sized(1, packed(7)))
    telling = Telling(folder, log, wipe=True)
    with path.open("rb") as file:
        assert telling.run() == 1
        content = file.read()
    [told] = telling.told
    assert "overwritten" in told and not list(folder.iterdir())
    assert content == bytes(len(content)) != b""


def test_file_under_the_name_of_another_writer_is_not_read(folder: Path, log: MemoryLog) -> None:
    path = spool_of_the_dead(folder, defining(1) + one(1, 0, 2.5))
    path.rename(folder / f"{'b' * 32}-0.spool2")
    assert live_values(below(folder), log, "r").pieces == {}
    telling = Telling(folder, log)
    assert telling.run() == 0
    assert len(telling.told) == 1


# --- ends that could not be written --------------------------------------------------------------


END_OF_R = EndIntent("r", "Failed", {"code": "UserError", "message": "no"}, 17)


def test_end_is_recorded_after_the_values_by_the_next_process(folder: Path) -> None:
    log = MemoryLog()
    seen: list[Any] = []
    spool_of_the_dead(folder, defining(1) + sized(INTENT, intent_record(END_OF_R)) + one(1, 0, 2.5))

    def record(writer_id: str, ends: Sequence[EndIntent]) -> None:
        seen.append((list(ends), values_in(log)))

    recovery = Recovery(below(folder), journal_of(log), record=record)
    assert recovery.run() == 1
    assert seen == [([END_OF_R], [2.5])]
    assert list(folder.iterdir()) == []


def test_end_waits_until_it_can_be_recorded(folder: Path, log: MemoryLog) -> None:
    spool_of_the_dead(folder, defining(1) + one(1, 0, 2.5) + sized(INTENT, intent_record(END_OF_R)))

    def refuse(writer_id: str, ends: Sequence[EndIntent]) -> None:
        raise LogBusy("busy")

    with pytest.raises(LogBusy):
        Recovery(below(folder), journal_of(log), record=refuse).run()
    telling = Telling(folder, log)
    assert telling.run() == 0  # Its values were written before.
    assert telling.ends == [END_OF_R]
    assert values_in(log) == [2.5]


def test_end_in_an_older_segment_is_recorded(folder: Path, log: MemoryLog) -> None:
    old = sized(INTENT, intent_record(END_OF_R), lap=1)
    new = sized(DEFINITION, definition(1, Channel("r", "f", (LOSS,))), lap=2) + one(1, 0, 1.0, 2)
    spool_of_the_dead(folder, old, lap=1)
    spool_of_the_dead(folder, new, lap=2, n=1)
    telling = Telling(folder, log)
    assert telling.run() == 1
    assert telling.ends == [END_OF_R]


# --- copies --------------------------------------------------------------------------------------


def test_copied_spool_is_read_and_not_recovered(folder: Path, log: MemoryLog) -> None:
    spool_of_the_dead(folder, defining(1) + one(1, 0, 2.5))
    copy = folder.parent.with_name("copy")
    shutil.copytree(folder.parent, copy)
    assert is_copied(hold(copy)) and not is_copied(hold(folder.parent))
    telling = Telling(copy / "spools", log)
    assert telling.run() == 0
    assert telling.told == [] and len(list((copy / "spools").iterdir())) == 1
    [pieces] = live_values(below(copy / "spools"), log, "r").pieces.values()
    assert [list(part.columns[0]) for parts in pieces for part in parts] == [[2.5]]

    adopting = Telling(copy / "spools", log, from_copies=True)
    assert adopting.run() == 1
    assert values_in(log) == [2.5] and not is_copied(hold(copy))


def test_moved_spool_is_recovered(folder: Path, log: MemoryLog) -> None:
    spool_of_the_dead(folder, defining(1) + one(1, 0, 2.5))
    moved = folder.parent.rename(folder.parent.with_name("moved"))
    assert recover(below(moved / "spools"), journal_of(log)) == 1


def test_on_a_network_the_spools_of_other_boots_wait(
    folder: Path, log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_a_network(folder: Path, *, same_kernel: bool) -> bool:
        return False

    monkeypatch.setattr("runlore.storage.spool_folder.shows_locks_of", on_a_network)
    path = spool_of_the_dead(folder, defining(1) + one(1, 0, 2.5))
    with path.open("r+b") as file:
        other = "00000000-0000-0000-0000-000000000001"
        owner = SpoolOwner(identity_of(file.fileno()), ANN, other, 1, 2, 3)
        file.write(pack_header(LAP, owner))
    assert recover(below(folder), journal_of(log)) == 0
    spool_of_the_dead(folder, defining(1) + one(1, 0, 2.5))
    assert recover(below(folder), journal_of(log)) == 1


# --- kept bytes -----------------------------------------------------------------------------------

LOGGED = [
    ("loss", 0, 0.5),
    ("loss", 1, -1.0),
    ("loss", 2, math.inf),
    ("n", 0, 7),
    ("text", 0, "é" * 40),
    ("flag", 0, True),
    ("big", 0, 2**70),
    ("none", 0, None),
    ("loss", 9, 0.25),
    ("a", 4, 1.0),
    ("b", 4, 2.0),
    ("c", 4, 3.0),
    ("row", 0, (1.0, 2.0, 3.0, 4.0)),
    ("mixed", 0, (1, "b")),
    *(("many", step, step + 1.0) for step in range(4)),
    ("many_at", 2, 5),
    ("many_at", 4, 6),
    ("many_at", 6, 7),
    ("many_at", 9, 8),
]


@pytest.mark.parametrize("name", ["format_1.spool", "format_2.spool2"])
def test_spools_of_both_formats_are_read_for_good(folder: Path, log: MemoryLog, name: str) -> None:
    """The files were left by killed processes of commit 96927dc and of the first of format 2."""
    kept = Path(__file__).with_name(name)
    header = unpack_header(kept.read_bytes())
    writer_id = ANN if header is None else header.owner.writer_id
    shutil.copy(kept, folder / f"{writer_id}-0{kept.suffix}")
    [pieces] = live_values(below(folder), log, "r").pieces.values()
    live = records_of([block_of(part) for piece in pieces for part in piece])
    telling = Telling(folder, log, from_copies=True)
    assert telling.run() == len(LOGGED)
    for found in (live, records_in(log, "r")):
        assert [(r.series.name, r.step, r.value) for r in found] == LOGGED
        assert {r.time // 10**12 for r in found} == {1795}  # µs, in 2026.
    ends = [EndIntent("r", "Failed", {"code": "UserError", "message": "é"}, 1_795_978_148_659_665)]
    assert telling.ends == (ends if kept.suffix == ".spool2" else [])
    assert telling.told == [] and list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["format_1.spool", "format_2.spool2"])
def test_text_that_was_changed_in_either_format_is_told_and_not_read(
    folder: Path, log: MemoryLog, name: str
) -> None:
    kept = Path(__file__).with_name(name)
    before, after = "é".encode() * 3, "è".encode() * 3
    content = kept.read_bytes()
    assert before in content
    header = unpack_header(content)
    writer_id = ANN if header is None else header.owner.writer_id
    path = folder / f"{writer_id}-0{kept.suffix}"
    path.write_bytes(content.replace(before, after, 1))
    os.utime(path, (0, 0))
    [pieces] = live_values(below(folder), log, "r").pieces.values()
    live = records_of([block_of(part) for piece in pieces for part in piece])
    telling = Telling(folder, log, from_copies=True)
    telling.run()
    for found in (live, records_in(log, "r")):
        assert [r.value for r in found] == [value for name, _, value in LOGGED if name != "text"]
    assert telling.told


def test_older_runlore_does_not_see_files_of_format_2(folder: Path) -> None:
    path = spool_of_the_dead(folder, defining(1))
    assert list(folder.glob("*.spool")) == []  # As 96927dc looks for spools, to delete rubbish.
    assert path.exists()


def test_spool_of_format_1_in_a_copied_folder_is_left_alone(folder: Path, log: MemoryLog) -> None:
    shutil.copy(Path(__file__).with_name("format_1.spool"), folder / f"{'b' * 32}-0.spool")
    spool_of_the_dead(folder, defining(1) + one(1, 0, 2.5))
    copy = folder.parent.with_name("copy")
    shutil.copytree(folder.parent, copy)
    assert recover(below(copy / "spools"), journal_of(log)) == 0
    assert recover(below(folder), journal_of(log)) == len(LOGGED) + 1

"""The spool: every form comes back exactly and in order, whatever happens to segments and files."""

from __future__ import annotations

import errno
import math
import os
import random
import stat
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain.errors import InvalidInput
from runlore.domain.events import WriterOpened
from runlore.storage import segment, spool
from runlore.storage.errors import LogBusy, TooManyOpenFiles, ValuesDropped
from runlore.storage.event_log import Drained, NewEvent, StoredRow
from runlore.storage.journal import Journal
from runlore.storage.memory_log import MemoryLog
from runlore.storage.run_values import RunValues
from runlore.storage.segment import SLOTS
from runlore.storage.spool_folder import Recovery, live_values, recover
from runlore.storage.spool_format import (
    BEGIN,
    END,
    FLOAT,
    SEGMENT_NBYTES,
    SLOT,
    SUFFIX,
    Channel,
    EndIntent,
    wide,
    wide_slots,
)
from runlore.storage.value_buffer import ValueBuffer
from runlore.storage.value_codec import Series
from runlore.storage.value_reader import block_of
from tests.examples import few
from tests.failing_disks import no_descriptors
from tests.held import below
from tests.logged_values import records_in, records_of
from tests.processes import LIMIT_S, Child, in_child, wait_until
from tests.strategies import int64s, scalars

LOSS = Series("loss")


class Log(MemoryLog):
    """A log that can refuse."""

    refuses: Exception | None = None

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        if self.refuses is not None:
            raise self.refuses
        return super().append(events, drained=drained)


def journal_of(log: MemoryLog) -> Journal:
    opened = WriterOpened(
        actor="ann", host="node1", boot_id="b", pid=7, process="train.py", client_version="0"
    )
    return Journal(log, lambda: opened)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spools"


@pytest.fixture
def buffer(log: Log, folder: Path) -> Iterator[ValueBuffer]:
    buffer = ValueBuffer(journal_of(log), below(folder))
    yield buffer
    log.refuses = None
    buffer.close("lab")


def exact(value: Any) -> Any:
    if isinstance(value, float):
        return "float", math.copysign(1, value), "nan" if math.isnan(value) else value
    return tuple(map(exact, value)) if isinstance(value, tuple) else (type(value).__name__, value)


def found_in(log: MemoryLog, run_id: str = "r") -> list[tuple[str, int, Any]]:
    return [(r.series.name, r.step, exact(r.value)) for r in records_in(log, run_id)]


# --- what is logged comes back ------------------------------------------------------------------

names = st.sampled_from(["loss", "acc", "f1"])
floats = st.floats()
calls = st.one_of(
    st.tuples(st.just("put"), names, floats),
    st.tuples(st.just("put_at"), names, floats, int64s),
    st.tuples(st.just("log"), names, scalars),
    st.tuples(st.just("row"), st.just("row"), st.lists(scalars, min_size=3, max_size=3)),
    st.tuples(st.just("floats"), st.just("table"), st.lists(floats, min_size=5, max_size=5)),
    st.tuples(
        st.just("wide"),
        st.lists(names, min_size=1, max_size=3, unique=True),
        st.none() | int64s,
        st.randoms(use_true_random=False),
    ),
    st.tuples(st.just("many"), names, st.lists(floats | int64s, min_size=1, max_size=20)),
    st.tuples(
        st.just("many_at"),
        names,
        st.lists(floats, min_size=2, max_size=9) | st.lists(int64s, min_size=2, max_size=9),
        st.randoms(use_true_random=False),
    ),
    st.tuples(st.just("flush")),
    st.tuples(st.just("park")),
)


class Model:
    """What a run's values should be, told in the plainest way."""

    def __init__(self) -> None:
        self.records: list[tuple[str, int, Any]] = []
        self._steps: dict[str, int] = {}

    def add(self, name: str, value: Any, step: int | None = None) -> None:
        if step is None:
            step = self._steps.get(name, 0)
            self._steps[name] = step + 1
        self.records.append((name, step, exact(value)))


def do(values: RunValues, model: Model, call: Sequence[Any]) -> None:
    kind, name, *rest = (*call, "")[: max(2, len(call))]
    if kind == "put":
        (values.puts.get(name) or values.put(Series(name)))(rest[0])
        model.add(name, rest[0])
    elif kind == "put_at":
        (values.puts_at.get(name) or values.put_at(Series(name)))(*rest)
        model.add(name, *rest)
    elif kind == "log":
        values.log(Series(name), rest[0], None)
        model.add(name, rest[0])
    elif kind in ("row", "floats"):
        columns = tuple(f"c{n}" for n in range(len(rest[0])))
        values.log_row(Series(name, columns, "row"), tuple(rest[0]))
        model.add(name, tuple(rest[0]))
    elif kind == "wide":
        step, rng = rest
        row = [rng.random() for _ in name]
        values.log_wide([Series(one) for one in name], row, step)
        for one, value in zip(name, row, strict=True):
            model.add(one, value, step)
    elif kind == "many":
        values.log_many(Series(name), rest[0], None)
        for value in rest[0]:
            model.add(name, value)
    elif kind == "many_at":
        numbers, rng = rest
        steps = [rng.randrange(-(2**63), 2**63) for _ in numbers]
        values.log_many(Series(name), numbers, steps)
        for value, step in zip(numbers, steps, strict=True):
            model.add(name, value, step)


@settings(max_examples=few(60))
@given(st.lists(st.tuples(st.sampled_from(["r", "s"]), calls), max_size=40))
def test_any_calls_on_two_runs_come_back_in_their_order(
    all_calls: list[tuple[str, tuple[Any, ...]]],
) -> None:
    log = Log()
    buffer = ValueBuffer(journal_of(log), warn=lambda _: None)
    models = {"r": Model(), "s": Model()}
    for run_id, call in all_calls:
        if call[0] == "flush":
            buffer.flush()
        elif call[0] == "park":
            buffer.spool().park()
        else:
            do(buffer.of_run(run_id), models[run_id], call)
    buffer.close("lab")
    for run_id, model in models.items():
        assert found_in(log, run_id) == model.records


@pytest.mark.parametrize("width", range(2, 12))
def test_a_wide_record_fills_its_slots_to_the_end(width: int) -> None:
    assert wide(width).size == wide_slots(width) * SLOT


@pytest.mark.slow
def test_many_laps_keep_every_value_in_its_order(log: Log, buffer: ValueBuffer) -> None:
    values = buffer.of_run("r", fresh=True)
    texts = 0
    for number in range(3 * SLOTS):
        (values.puts.get("loss") or values.put(LOSS))(float(number))
        if number % 1_000 == 0:
            values.log(Series("text"), "x" * 1_000, None)
            texts += 1
    buffer.flush()
    records = records_in(log, "r")
    assert [r.value for r in records if r.series == LOSS] == [float(n) for n in range(3 * SLOTS)]
    assert len(records) == 3 * SLOTS + texts
    assert [r.step for r in records if r.series == LOSS] == list(range(3 * SLOTS))


def test_a_value_that_is_larger_than_a_segment_is_kept(log: Log, buffer: ValueBuffer) -> None:
    values = buffer.of_run("r", fresh=True)
    values.log(LOSS, 1.0, None)
    values.log(Series("text"), "x" * 6_000_000, None)
    values.log(LOSS, 2.0, None)
    buffer.flush()
    assert [len(r.value) if r.series.name == "text" else r.value for r in records_in(log, "r")] == [
        1.0,
        6_000_000,
        2.0,
    ]


def test_a_call_that_was_interrupted_leaves_a_hole_and_no_other_trace(
    log: Log, buffer: ValueBuffer
) -> None:
    values = buffer.of_run("r", fresh=True)
    values.log(LOSS, 1.0, None)
    offsets = buffer.spool()._segment.offsets
    for _ in range(3):  # Ctrl-C came after the slot was given out, before it was stored.
        next(offsets)
    values.log(LOSS, 2.0, None)
    buffer.flush()
    assert [r.value for r in records_in(log, "r")] == [1.0, 2.0]


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_record_that_is_torn_is_passed_over(log: Log, buffer: ValueBuffer, cut: int) -> None:
    values = buffer.of_run("r", fresh=True)
    values.log(LOSS, 1.0, None)
    values.log(Series("text"), "x" * 80, None)
    values.log(LOSS, 2.0, None)
    slots = buffer.spool()._segment.slots
    marks = memoryview(bytes(slots)).cast("I")[13::16].tolist()
    lap = buffer.spool()._segment.lap
    begin = max(place for place, mark in enumerate(marks) if mark == lap | BEGIN)
    assert marks[begin + 2] == lap | END
    place = (begin + (0, 2, 0)[cut - 1]) * SLOT
    if cut < 3:
        slots[place + 48 : place + 64] = bytes(16)
    else:  # Power failed: the marks are there, and not what is between them.
        slots[place + SLOT : place + SLOT + 4] = b"yyyy"
    buffer.flush()
    assert [r.value for r in records_in(log, "r")] == [1.0, 2.0]


# --- times --------------------------------------------------------------------------------------


def test_time_is_that_of_the_clock_in_microseconds(log: Log) -> None:
    buffer = ValueBuffer(journal_of(log), clock_ns=lambda: 1_795_978_148_659_665_999)
    values = buffer.of_run("r", fresh=True)
    values.log(LOSS, 1.0, None)
    values.log(LOSS, "text", None)
    values.log_many(LOSS, [1.0, 2.0], None)
    values.log_wide([Series("f1"), Series("acc")], [1.0, 2.0], 7)
    for _ in range(200):
        values.put(LOSS)(1.0)
    buffer.close("lab")
    assert {r.time for r in records_in(log, "r")} == {1_795_978_148_659_665}


@pytest.mark.parametrize("given_at", [0, -1, 1_700_000_000_123_456, 2**63 // 1_000])
def test_given_time_takes_the_place_of_the_clocks(log: Log, given_at: int) -> None:
    buffer = ValueBuffer(journal_of(log))
    values = buffer.of_run("r", fresh=True)
    for value in (1.0, 7, "text"):
        values.log(LOSS, value, None, given_at=given_at)
    values.log(Series("row", ("a", "b"), "row"), (1, "b"), None, given_at=given_at)
    buffer.close("lab")
    assert [r.time for r in records_in(log, "r")] == [given_at] * 4


def test_time_that_a_spool_cannot_hold_is_refused(buffer: ValueBuffer) -> None:
    values = buffer.of_run("r", fresh=True)
    with pytest.raises(InvalidInput, match="give one between 1678 and 2261"):
        values.log(LOSS, 1.0, None, given_at=2**63 // 1_000 + 1)
    assert not buffer.waiting


# --- ends that cannot be written ----------------------------------------------------------------

END_OF_R = EndIntent("r", "Failed", {"code": "UserError", "message": "no"}, 17)


class Ends:
    """Records ends, unless it refuses."""

    def __init__(self) -> None:
        self.seen: list[EndIntent] = []
        self.refuses: Exception | None = None

    def __call__(self, *given: Any) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.seen += given[-1]


def left_in(folder: Path, log: Log) -> list[EndIntent]:
    """The ends that the next process finds."""
    ends = Ends()
    Recovery(below(folder), journal_of(log), record=ends).run()
    return ends.seen


def test_end_is_recorded_when_the_log_can_be_written(log: Log, folder: Path) -> None:
    ends = Ends()
    buffer = ValueBuffer(journal_of(log), below(folder), record_ends=ends)
    ends.refuses = log.refuses = LogBusy("busy")
    with pytest.warns(RuntimeWarning, match="busy") as told:
        buffer.put_end(END_OF_R)
        wait_until(lambda: len(told) > 0, "the thread tried")
    assert ends.seen == []
    ends.refuses = log.refuses = None
    wait_until(lambda: ends.seen == [END_OF_R], "the thread tries again")
    buffer.close("lab")
    assert ends.seen == [END_OF_R] and list(folder.iterdir()) == []


def test_end_that_cannot_be_recorded_at_the_close_is_left_to_others(log: Log, folder: Path) -> None:
    ends = Ends()
    buffer = ValueBuffer(journal_of(log), below(folder), record_ends=ends)
    buffer.of_run("r", fresh=True).log(LOSS, 1.0, None)
    buffer.put_end(END_OF_R)
    ends.refuses = LogBusy("busy")
    with pytest.warns(RuntimeWarning, match="busy"):
        buffer.close("lab")
    assert left_in(folder, log) == [END_OF_R]
    assert [r.value for r in records_in(log, "r")] == [1.0]
    assert list(folder.iterdir()) == []


@pytest.mark.processes
def test_end_outlives_its_segments_and_its_process(log: Log, folder: Path) -> None:
    other = END_OF_R._replace(run_id="s")

    def child() -> int:
        ends = Ends()
        ends.refuses = LogBusy("busy")
        buffer = ValueBuffer(journal_of(log), below(folder), record_ends=ends, wipes=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = buffer.of_run("r", fresh=True)
            buffer.put_end(END_OF_R._replace(status="Completed"))
            buffer.put_end(END_OF_R)  # It takes the place of the one before.
            for _ in range(3):
                values.log(Series("text"), "x" * 3_000_000, None)
                buffer.flush()
            buffer.put_end(other)
            buffer.spool().settle(other)
            for _ in range(2):  # As many as there are files: only what waits is repeated.
                values.log(Series("text"), "x" * 3_000_000, None)
                buffer.flush()
        return buffer.spool()._lap

    assert in_child(child) > 4
    assert left_in(folder, Log()) == [END_OF_R]


# --- steps --------------------------------------------------------------------------------------


def test_steps_that_are_given_and_counted_in_one_metric_are_said_once(log: Log) -> None:
    said: list[str] = []
    buffer = ValueBuffer(journal_of(log), warn=said.append)
    values = buffer.of_run("r", fresh=True)
    for step in (None, 7, None, 8):
        values.log(LOSS, 1.0, step)
    values.log(Series("acc"), 1.0, 5)
    values.log(Series("acc"), 1.0, 6)
    buffer.close("lab")
    assert [(name, step) for name, step, _ in found_in(log)] == [
        ("loss", 0),
        ("loss", 7),
        ("loss", 1),
        ("loss", 8),
        ("acc", 5),
        ("acc", 6),
    ]
    assert len(said) == 1
    assert "metric 'loss' is logged both with and without a step" in said[0]


def test_metrics_whose_counts_differ_keep_their_own_steps(log: Log, buffer: ValueBuffer) -> None:
    values = buffer.of_run("r", fresh=True)
    values.log(LOSS, 0.0, None)
    for number in range(2):
        values.log_wide([LOSS, Series("acc")], [1.0 + number, 2.0], None)
    buffer.flush()
    assert [(name, step) for name, step, _ in found_in(log)] == [
        ("loss", 0),
        ("loss", 1),
        ("acc", 0),
        ("loss", 2),
        ("acc", 1),
    ]


# --- files --------------------------------------------------------------------------------------


def log_some(values: RunValues, n: int = 2_000) -> list[tuple[str, int, Any]]:
    model = Model()
    rng = random.Random(0)
    for _ in range(n):
        some = [rng.random() for _ in range(5)]
        name = rng.choice("abc")
        forms = [
            ("put", name, some[0]),
            ("put_at", "given", some[0], rng.randrange(100)),
            ("log", name, some[0]),
            ("row", "row", [1, "a", None]),
            ("floats", "table", some),
            ("wide", rng.sample("abc", 2), None, rng),
            ("wide", ["at", "once"], rng.randrange(100), rng),
            ("many", name, some),
        ]
        do(values, model, rng.choice(forms))
    return model.records


@pytest.mark.processes
@pytest.mark.parametrize("written", [False, True], ids=["mapped", "written"])
def test_what_a_dead_process_left_is_recovered_once(
    log: Log, folder: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    monkeypatch.setattr(spool, "copies_on_write", lambda _: written)
    buffer = ValueBuffer(journal_of(log), below(folder))

    def child() -> list[tuple[str, int, Any]]:
        return log_some(buffer.of_run("r", fresh=True))  # And ends without any clean-up.

    expected = Child(child).result()
    [path] = folder.glob(f"*{SUFFIX}")
    assert (path.stat().st_size == SEGMENT_NBYTES) is not written

    survivor = journal_of(log)
    assert recover(below(folder), survivor) == len(expected)
    assert recover(below(folder), survivor) == 0
    assert found_in(log) == expected
    assert not list(folder.glob("*"))


def test_a_living_process_is_left_alone_and_its_values_are_seen(
    log: Log, folder: Path, buffer: ValueBuffer
) -> None:
    expected = log_some(buffer.of_run("r", fresh=True), 200)  # Before some are drained beside.
    assert recover(below(folder), journal_of(log)) == 0
    live = live_values(below(folder), log, "r")
    [pieces] = live.pieces.values()
    records = [r for piece in pieces for r in records_of([block_of(part) for part in piece])]
    assert [(r.series.name, r.step, exact(r.value)) for r in records] == expected
    assert live_values(below(folder), log, "another").pieces == {}

    buffer.flush()
    assert live_values(below(folder), log, "r").pieces == {}


@pytest.mark.parametrize("spare", [0, 1])
def test_a_spool_that_no_descriptor_is_left_for_is_not_passed_over(
    log: Log, folder: Path, buffer: ValueBuffer, spare: int
) -> None:
    log_some(buffer.of_run("r", fresh=True))
    spools = below(folder)
    with no_descriptors(spare=spare), pytest.raises(TooManyOpenFiles):
        live_values(spools, log, "r")
    assert live_values(spools, log, "r").pieces


def test_without_room_for_files_values_wait_in_memory(
    log: Log, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool, "make_file", full)
    buffer = ValueBuffer(journal_of(log), below(folder))
    with pytest.warns(RuntimeWarning, match="No space left") as caught:
        expected = log_some(buffer.of_run("r", fresh=True))
    assert len(caught) == 1
    buffer.close("lab")
    assert found_in(log) == expected


def test_a_file_that_takes_no_more_leaves_the_rest_in_memory(
    log: Log, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "copies_on_write", lambda _: True)
    writes = 0
    write = segment.SpoolFile.write

    def until_full(self: segment.SpoolFile, data: memoryview, offset: int) -> None:
        nonlocal writes
        writes += 1
        if writes > 500:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, data, offset)

    monkeypatch.setattr(segment.SpoolFile, "write", until_full)
    buffer = ValueBuffer(journal_of(log), below(folder))
    with pytest.warns(RuntimeWarning, match="No space left"):
        expected = log_some(buffer.of_run("r", fresh=True))
    buffer.close("lab")
    assert found_in(log) == expected


@pytest.mark.parametrize("call", ["make_file", "SpoolFile.write"])
def test_values_that_waited_in_memory_are_followed_by_values_in_a_file(
    log: Log, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """As soon as there is room: else they would be lost with the process, without a warning."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool, "copies_on_write", lambda _: call == "SpoolFile.write")
    buffer = ValueBuffer(journal_of(log), below(folder))
    values = buffer.of_run("r", fresh=True)
    with monkeypatch.context() as disk, pytest.warns(RuntimeWarning, match="No space left"):
        disk.setattr(
            f"runlore.storage.{'spool' if call == 'make_file' else 'segment'}.{call}", full
        )
        values.log(LOSS, 1.0, None)
        buffer.flush()
        values.log(LOSS, 2.0, None)  # There is no room yet.
    buffer.flush()
    values.log(LOSS, 3.0, None)

    [pieces] = live_values(below(folder), log, "r").pieces.values()
    records = [r for piece in pieces for r in records_of([block_of(part) for part in piece])]
    assert [(r.step, r.value) for r in records] == [(2, 3.0)]
    buffer.close("lab")
    assert [r.value for r in records_in(log, "r")] == [1.0, 2.0, 3.0]


def test_a_wait_in_memory_is_told_again_after_each_flush(
    log: Log, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool, "make_file", full)
    buffer = ValueBuffer(journal_of(log), below(folder))
    values = buffer.of_run("r", fresh=True)
    for number in range(3):
        with pytest.warns(RuntimeWarning, match="No space left"):
            values.log(LOSS, float(number), None)
        buffer.flush()
    buffer.close("lab")


@pytest.mark.parametrize("spare", range(5))
def test_a_file_that_cannot_be_finished_for_want_of_descriptors_is_removed(
    tmp_path: Path, spare: int
) -> None:
    """Else it would be in the way of the next attempt."""
    path = below(tmp_path) / "one"
    with no_descriptors(spare=spare):
        try:
            made = segment.make_file(path, SEGMENT_NBYTES, "writer", mapped=True)
        except OSError as error:
            assert error.errno == errno.EMFILE
        else:
            made.remove()
    assert not path.exists()


def spool_without_a_thread(folder: Path, complaints: list[OSError]) -> spool.Spool:
    return spool.Spool(
        "a" * 32,
        below(folder),
        wake=lambda: None,
        filled=lambda: None,
        make_room=lambda: False,
        complain=complaints.append,
    )


def test_a_spare_file_that_could_not_be_made_is_made_when_it_is_needed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[OSError] = []
    own = spool_without_a_thread(folder, complaints)
    channel = Channel("r", "f", (LOSS,))
    own.put_one(channel, 0, 0.5, FLOAT)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(spool, "make_file", full)
        own.make_spare()
    assert [error.errno for error in complaints] == [errno.ENOSPC]
    for step in range(SLOTS):
        own.put_one(channel, step, 0.5, FLOAT)

    assert len(list(folder.iterdir())) == 2
    assert own.is_on_disk
    own.drained(own.undrained())
    own.remove()
    assert not list(folder.iterdir())


def test_values_that_no_file_takes_are_not_on_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    own = spool_without_a_thread(folder, [])
    channel = Channel("r", "f", (LOSS,))
    # A file without room: neither its zeros nor its header can be written.
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwritev", full)
        patched.setattr(os, "pwrite", full)
        own.put_one(channel, 0, 0.5, FLOAT)
        assert len(list(folder.iterdir())) == 1
        assert not own.is_on_disk
    own.drained(own.undrained())
    assert own.is_on_disk
    own.put_one(channel, 1, 0.5, FLOAT)
    assert own.is_on_disk
    own.drained(own.undrained())
    own.remove()


@pytest.mark.slow
def test_values_beyond_the_memory_kept_for_them_are_dropped_and_counted(
    log: Log, folder: Path
) -> None:
    buffer = ValueBuffer(journal_of(log), below(folder), max_memory_segments=2)
    log.refuses = LogBusy("busy")
    values = buffer.of_run("r", fresh=True)
    with (
        pytest.warns(RuntimeWarning, match="keep waiting: busy"),
        pytest.warns(RuntimeWarning, match="new ones are dropped") as told,
    ):
        for number in range(5 * SLOTS):
            (values.puts.get("loss") or values.put(LOSS))(float(number))
    assert len(told) == 2
    with pytest.raises(LogBusy):
        buffer.flush()
    log.refuses = None
    with pytest.raises(ValuesDropped, match="logged values were dropped") as raised:
        buffer.flush()
    buffer.flush()  # ValuesDropped is raised once.
    kept = [r.value for r in records_in(log, "r")]
    assert kept == [float(n) for n in range(len(kept))]
    assert len(kept) + raised.value.count == 5 * SLOTS
    values.put(LOSS)(7.0)
    buffer.close("lab")
    assert [r.value for r in records_in(log, "r")][-1] == 7.0


def test_a_forked_child_waits_for_no_thread_that_is_not_there(log: Log, folder: Path) -> None:
    """A thread of the parent may have held the lock in the moment of the fork."""
    buffer = ValueBuffer(journal_of(log), below(folder))
    buffer.of_run("r", fresh=True).log(LOSS, 1.0, None)
    parents = buffer.spool()
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with parents.lock:
            held.set()
            let_go.wait(LIMIT_S)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(LIMIT_S)
    child = threading.Thread(target=buffer.after_fork_in_child, daemon=True)
    child.start()
    child.join(5)
    is_stuck = child.is_alive()
    let_go.set()
    holder.join()
    assert not is_stuck


@pytest.mark.parametrize(("wipes", "mode"), [(False, 0o644), (True, 0o600)])
def test_files_are_private_where_the_log_is_sealed(tmp_path: Path, wipes: bool, mode: int) -> None:
    before = os.umask(0o022)
    try:
        buffer = ValueBuffer(journal_of(MemoryLog()), below(tmp_path / "spools"), wipes=wipes)
        buffer.of_run("r").log(Series("loss"), 1.0, None)
        [*made] = (tmp_path / "spools").iterdir()
        assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {mode}
        buffer.close("lab")
    finally:
        os.umask(before)

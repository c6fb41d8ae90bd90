"""Logged values on their way to the log: none lost, none twice, in their order."""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from runlore.domain.errors import RunEnded, WorkspaceClosed
from runlore.domain.events import WriterOpened
from runlore.domain.ids import values_stream
from runlore.storage.driver_errors import OperationalError
from runlore.storage.errors import LogBusy
from runlore.storage.event_log import Drained, NewEvent, ReadStream, StoredRow
from runlore.storage.journal import Journal
from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.segment import SLOTS
from runlore.storage.value_buffer import ValueBuffer
from runlore.storage.value_codec import Series
from runlore.testing.logs import all_rows
from tests.held import below
from tests.logged_values import records_in
from tests.processes import LIMIT_S, Child, in_child, in_child_without_threads, wait_until

LOSS = Series("loss")
ACC = Series("acc")


class Log(MemoryLog):
    """A log that can fail before it stores, or after."""

    def __init__(self) -> None:
        super().__init__()
        self.before: BaseException | None = None
        self.after: list[BaseException] = []
        self.appends = 0

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        self.appends += 1
        if self.before is not None:
            raise self.before
        rows = super().append(events, drained=drained)
        if self.after:
            raise self.after.pop()
        return rows

    def append_decided(
        self,
        decide: Callable[[ReadStream], Sequence[NewEvent]],
        *,
        drained: Drained | None = None,
    ) -> tuple[StoredRow, ...]:
        raise AssertionError("values need no decision")


def journal_of(log: MemoryLog) -> Journal:
    opened = WriterOpened(
        actor="ann", host="node1", boot_id="b", pid=7, process="train.py", client_version="0"
    )
    return Journal(log, lambda: opened)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def buffer(log: Log) -> Iterator[ValueBuffer]:
    buffer = ValueBuffer(journal_of(log))
    yield buffer
    log.before = None
    buffer.close("lab")


def values_in(log: MemoryLog, run_id: str = "r") -> list[object]:
    return [record.value for record in records_in(log, run_id)]


def steps_in(log: MemoryLog, run_id: str = "r") -> list[int]:
    return [record.step for record in records_in(log, run_id)]


# --- order, steps -------------------------------------------------------------------------


def test_values_of_all_series_keep_their_order(log: Log, buffer: ValueBuffer) -> None:
    values = buffer.of_run("r")
    values.log(LOSS, 1.0, None)
    values.log(ACC, "low", None)
    values.log(LOSS, 2.0, None)
    values.log_many(ACC, ["mid", "high"], None)
    buffer.flush()
    values.log(LOSS, 3.0, None)
    buffer.flush()

    found = records_in(log, "r")

    assert [(r.series.name, r.step, r.value) for r in found] == [
        ("loss", 0, 1.0),
        ("acc", 0, "low"),
        ("loss", 1, 2.0),
        ("acc", 1, "mid"),
        ("acc", 2, "high"),
        ("loss", 2, 3.0),
    ]
    times = [record.time for record in found]
    assert times == sorted(times)


def test_a_given_step_is_kept(log: Log, buffer: ValueBuffer) -> None:
    values = buffer.of_run("r")
    values.log(LOSS, 1.0, 100)
    values.log(LOSS, 2.0, -5)
    values.log_many(LOSS, [3.0, 4.0], [7, 7])
    buffer.flush()
    assert steps_in(log) == [100, -5, 7, 7]


def test_series_of_one_name_with_other_columns_count_for_themselves(
    log: Log, buffer: ValueBuffer
) -> None:
    values = buffer.of_run("r")
    table = Series("loss", ("a", "b"), "row")
    for _ in range(2):
        values.log(LOSS, 1.0, None)
        values.log(table, (1, 2), None)
    buffer.flush()
    assert steps_in(log) == [0, 0, 1, 1]


def test_steps_continue_after_a_run_is_attached_again(log: Log, buffer: ValueBuffer) -> None:
    buffer.of_run("r").log_many(LOSS, [1.0, 2.0, 3.0], None)
    buffer.flush()
    again = ValueBuffer(journal_of(log))

    again.of_run("r").log(LOSS, 4.0, None)
    again.of_run("r").log(ACC, 0.5, None)
    again.of_run("other").log(LOSS, 9.0, None)
    again.close("lab")

    assert steps_in(log) == [0, 1, 2, 3, 0]
    assert steps_in(log, "other") == [0]


def test_a_fresh_run_looks_nothing_up(buffer: ValueBuffer, log: Log) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a fresh run has no values yet")

    log.read_log = never  # type: ignore[method-assign, assignment]  # The point of the test.
    buffer.of_run("r", fresh=True).log(LOSS, 1.0, None)
    buffer.flush()


@pytest.mark.slow
def test_very_many_values_are_several_batches(log: Log, buffer: ValueBuffer) -> None:
    buffer.of_run("r", fresh=True).log_many(LOSS, [0.5] * 120_000, None)
    buffer.flush()
    assert [row.topic for row in all_rows(log)] == ["writer.opened"] + ["run.values_logged"] * 4
    assert steps_in(log) == list(range(120_000))


# --- flushing -----------------------------------------------------------------------------


def test_values_arrive_by_themselves(log: Log, buffer: ValueBuffer) -> None:
    buffer.of_run("r").log(LOSS, 1.0, None)
    wait_until(lambda: values_in(log) == [1.0], "the background thread")
    buffer.of_run("r").log(LOSS, 2.0, None)
    wait_until(lambda: values_in(log) == [1.0, 2.0], "the background thread")


def test_a_full_segment_is_written_before_its_time(
    log: Log, buffer: ValueBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_FIRST_INTERVAL_S", "_LAST_INTERVAL_S"):
        monkeypatch.setattr(f"runlore.storage.value_buffer.{name}", 1_000.0)
    values = buffer.of_run("r", fresh=True)
    values.log(LOSS, 0.0, None)
    wait_until(lambda: not buffer._parked, "the background thread lets values gather")
    assert not values_in(log)
    for _ in range(SLOTS):
        values.log(LOSS, 0.5, None)
    wait_until(lambda: len(values_in(log)) > SLOTS // 2, "the full segment is in the log")


def test_a_flush_with_nothing_to_write_writes_nothing(log: Log, buffer: ValueBuffer) -> None:
    buffer.flush()
    buffer.of_run("r").log(LOSS, 1.0, None)
    buffer.flush()
    appends = log.appends
    buffer.flush()
    assert log.appends == appends


def test_all_runs_are_written_in_one_transaction(log: Log, buffer: ValueBuffer) -> None:
    for n in range(5):
        buffer.of_run(f"r{n}").log(LOSS, float(n), None)
    buffer.flush()
    assert log.appends == 1
    assert [values_in(log, f"r{n}") for n in range(5)] == [[float(n)] for n in range(5)]


def test_a_failing_flush_keeps_the_values_in_their_order(log: Log, buffer: ValueBuffer) -> None:
    values = buffer.of_run("r")
    values.log_many(LOSS, [1.0, 2.0], None)
    log.before = LogBusy("busy")
    with pytest.raises(LogBusy):
        buffer.flush()
    values.log(LOSS, 3.0, None)
    assert buffer.waiting

    log.before = None
    buffer.flush()

    assert values_in(log) == [1.0, 2.0, 3.0]


def test_a_failure_in_the_background_warns_once_and_keeps_trying(
    log: Log, buffer: ValueBuffer
) -> None:
    log.before = LogBusy("busy")
    with pytest.warns(RuntimeWarning, match="keep waiting: busy") as caught:
        buffer.of_run("r").log(LOSS, 1.0, None)
        wait_until(lambda: log.appends >= 3, "three attempts")
        log.before = None
        wait_until(lambda: values_in(log) == [1.0], "the value")
    assert len(caught) == 1


def test_the_background_goes_on_where_warnings_are_errors(log: Log, buffer: ValueBuffer) -> None:
    log.before = LogBusy("busy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        buffer.of_run("r").log(LOSS, 1.0, None)
        wait_until(lambda: log.appends >= 2, "two attempts")
        log.before = None
        wait_until(lambda: values_in(log) == [1.0], "the value")


def test_a_value_that_cannot_be_stored_takes_no_other_with_it(
    log: Log, buffer: ValueBuffer
) -> None:
    """The SDK lets none through; if one comes, it is refused at once."""
    values = buffer.of_run("r")
    values.log(LOSS, 1.0, None)
    with pytest.raises(TypeError, match="cannot log a complex"):
        values.log(ACC, 1j, None)
    values.log(ACC, 2.0, None)
    buffer.flush()
    assert [(r.series.name, r.step, r.value) for r in records_in(log, "r")] == [
        ("loss", 0, 1.0),
        ("acc", 0, 2.0),
    ]


# --- outcomes that were not learned -------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "times"), [(KeyboardInterrupt(), 1), (OperationalError("lost"), 3)], ids=repr
)
def test_values_that_were_stored_without_our_knowing_are_not_written_twice(
    log: Log, buffer: ValueBuffer, error: BaseException, times: int
) -> None:
    values = buffer.of_run("r")
    values.log_many(LOSS, [0.0, 1.0], None)
    buffer.flush()
    values.log_many(LOSS, [2.0, 3.0], None)
    log.after = [error] * times

    with pytest.raises(type(error)):
        buffer.flush()
    values.log(LOSS, 4.0, None)
    buffer.flush()
    values.log(LOSS, 5.0, None)
    buffer.flush()

    assert values_in(log) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_values_of_a_refused_change_were_written_with_the_refusal(
    log: Log, buffer: ValueBuffer
) -> None:
    values = buffer.of_run("r")
    values.log(LOSS, 1.0, None)
    with pytest.raises(RunEnded), buffer.taken() as batch:
        buffer.journal.append(batch.pending, drained=batch.drained)
        raise RunEnded("r", "Completed", "Failed")
    buffer.flush()
    assert values_in(log) == [1.0]


def test_values_wait_on_when_the_block_that_took_them_fails(log: Log, buffer: ValueBuffer) -> None:
    values = buffer.of_run("r")
    values.log(LOSS, 1.0, None)
    with pytest.raises(ZeroDivisionError), buffer.taken():
        _ = 1 / 0
    values.log(LOSS, 2.0, None)
    buffer.flush()
    assert values_in(log) == [1.0, 2.0]


# --- threads ------------------------------------------------------------------------------


@pytest.fixture
def eager_switches() -> Iterator[None]:
    """Threads take turns every few instructions, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_switches")
def test_threads_lose_no_value_while_others_flush(log: Log, buffer: ValueBuffer) -> None:
    values = buffer.of_run("r", fresh=True)
    series = [Series(f"thread {n}") for n in range(3)]

    def train(of_thread: Series) -> None:
        for n in range(3_000):
            values.log(of_thread, n, n)

    threads = [threading.Thread(target=train, args=(one,)) for one in series]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        buffer.flush()
    buffer.flush()

    found = records_in(log, "r")
    assert len(found) == 9_000
    for one in series:
        assert [record.value for record in found if record.series == one] == list(range(3_000))


@pytest.mark.usefixtures("eager_switches")
def test_threads_share_the_steps_of_a_series(log: Log, buffer: ValueBuffer) -> None:
    values = buffer.of_run("r")
    start = threading.Barrier(4)

    def train() -> None:
        start.wait(LIMIT_S)
        for _ in range(250):
            values.log(LOSS, 1.0, None)

    threads = [threading.Thread(target=train) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    buffer.flush()
    assert sorted(steps_in(log)) == list(range(1_000))


def test_all_users_of_a_buffer_share_the_steps_of_a_run(log: Log, buffer: ValueBuffer) -> None:
    def use() -> None:
        values = buffer.of_run("r")
        for _ in range(100):
            values.log(LOSS, 1.0, None)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    buffer.flush()
    assert sorted(steps_in(log)) == list(range(800))


def test_a_value_logged_during_the_close_starts_no_thread_that_outlives_it(
    log: Log, tmp_path: Path
) -> None:
    of_others = set(threading.enumerate())  # Other tests' buffers may still be open.
    buffer = ValueBuffer(journal_of(log), below(tmp_path / "spools"))
    values = buffer.of_run("r")
    values.log(LOSS, 1.0, None)
    append = log.append

    def append_while_another_logs(*args: Any, **options: Any) -> tuple[StoredRow, ...]:
        other = threading.Thread(target=values.log, args=(LOSS, 2.0, None))
        log.append = append  # type: ignore[method-assign]  # Only the first time.
        other.start()
        other.join(LIMIT_S)
        return append(*args, **options)

    log.append = append_while_another_logs  # type: ignore[method-assign]
    buffer.close("lab")

    assert set(threading.enumerate()) <= of_others
    assert list((tmp_path / "spools").iterdir()) == []
    assert values_in(log) == [1.0, 2.0]


# --- forks --------------------------------------------------------------------------------


@pytest.mark.processes
def test_a_forked_child_writes_nothing_of_its_parent(tmp_path: Path) -> None:
    log = open_sqlite(tmp_path / "log.db")
    opened = WriterOpened(
        actor="a", host="h", boot_id="b", pid=os.getpid(), process="p", client_version="0"
    )
    buffer = ValueBuffer(Journal(log, lambda: opened))
    values = buffer.of_run("r", fresh=True)
    values.log_many(LOSS, [1.0, 2.0], None)

    def child() -> str:
        assert not buffer.waiting
        values.log(LOSS, 3.0, None)
        buffer.flush()
        return buffer.journal.writer_id

    child_id = in_child(child)
    buffer.close("lab")

    assert child_id != buffer.journal.writer_id
    assert len(log.read_stream(values_stream("r", child_id))) == 1
    assert len(log.read_stream(values_stream("r", buffer.journal.writer_id))) == 1
    assert sorted(str(record.value) for record in records_in(log, "r")) == ["1.0", "2.0", "3.0"]


@pytest.mark.processes
def test_the_background_of_a_forked_child_writes_too(log: Log, buffer: ValueBuffer) -> None:
    values = buffer.of_run("r", fresh=True)
    values.log(LOSS, 1.0, None)

    def child() -> list[object]:
        values.log(LOSS, 2.0, None)
        wait_until(lambda: values_in(log) == [2.0], "the child's background thread")
        return values_in(log)

    assert in_child(child) == [2.0]
    wait_until(lambda: values_in(log) == [1.0], "the parent's background thread")


@pytest.mark.processes
def test_forks_beside_threads_that_log_leave_both_sides_working(
    log: Log, buffer: ValueBuffer
) -> None:
    values = buffer.of_run("r", fresh=True)
    stop = threading.Event()
    logged = [0, 0]

    def train(number: int) -> None:
        while not stop.is_set():
            values.log(Series(f"thread {number}"), logged[number], None)
            logged[number] += 1
            time.sleep(0.0002)  # The children read all of it.

    def child() -> list[object]:
        values.log(LOSS, -1.0, None)
        wait_until(lambda: -1.0 in values_in(log), "the child's background thread")
        return [record.value for record in records_in(log, "r") if record.series == LOSS]

    threads = [threading.Thread(target=train, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    try:
        children = [Child(child) for _ in range(4)]
        assert [one.result() for one in children] == [[-1.0]] * 4
    finally:
        stop.set()
        for thread in threads:
            thread.join(LIMIT_S)
    buffer.flush()
    found = records_in(log, "r")
    for number in range(2):
        of_thread = [r.value for r in found if r.series.name == f"thread {number}"]
        assert of_thread == list(range(logged[number]))


@pytest.mark.processes
def test_values_of_a_process_that_can_start_no_thread_are_written_in_the_end(
    log: Log, buffer: ValueBuffer
) -> None:
    def child() -> list[object]:
        values = buffer.of_run("r")
        with pytest.warns(RuntimeWarning, match="can't start new thread") as caught:
            values.log(LOSS, 1.0, None)
            values.log(LOSS, 2.0, None)
        assert len(caught) == 1
        buffer.flush()
        values.log(LOSS, 3.0, None)
        buffer.close("lab")
        return values_in(log)

    assert in_child_without_threads(child) == [1.0, 2.0, 3.0]


# --- the end ------------------------------------------------------------------------------


def test_closing_writes_what_waits_and_ends_the_thread(log: Log, buffer: ValueBuffer) -> None:
    before = set(threading.enumerate())
    buffer.of_run("r").log(LOSS, 1.0, None)
    assert set(threading.enumerate()) > before
    buffer.close("lab")
    buffer.close("lab")
    assert values_in(log) == [1.0]
    assert set(threading.enumerate()) <= before


@pytest.mark.processes
def test_a_value_after_the_end_is_refused_and_a_fork_does_not_mind(
    log: Log, buffer: ValueBuffer
) -> None:
    values = buffer.of_run("r")
    buffer.close("lab")
    with pytest.raises(WorkspaceClosed, match="'lab' is closed"):
        values.log(LOSS, 1.0, None)
    assert in_child(lambda: "fine") == "fine"  # An error in a fork's hook would fail this test.


def test_a_close_that_cannot_write_leaves_the_buffer_open(log: Log, buffer: ValueBuffer) -> None:
    values = buffer.of_run("r")
    values.log(LOSS, 1.0, None)
    log.before = LogBusy("busy")
    with pytest.raises(LogBusy):
        buffer.close("lab")
    log.before = None
    values.log(LOSS, 2.0, None)
    buffer.close("lab")
    assert values_in(log) == [1.0, 2.0]

"""Writers that are killed (SIGKILL) at fault points and at random moments.

After each kill: every acknowledged event is there, no transaction is there in part, the head
equals what the leaves give, and others go on at once.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest

from runlore.domain import run, run_commands, run_state
from runlore.domain.decision import Decision
from runlore.domain.events import RunCreated, WriterOpened
from runlore.domain.ids import run_stream
from runlore.domain.run_state import RunState
from runlore.domain.status import Status
from runlore.storage.database import Database
from runlore.storage.event_log import Drained, NewEvent, ReadStream, StoredRow
from runlore.storage.journal import Journal, StreamState
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.stamp import Stamped
from runlore.storage.value_buffer import ValueBuffer
from runlore.storage.value_codec import Series
from runlore.testing.logs import check_head, new_events
from tests.chaos.rounds import KILLS
from tests.logged_values import records_in

PER_CALL = 3


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives that")


class Doomed(SqliteLog):
    """Kills its process at one point of the call that is chosen."""

    def __init__(self, path: Path, point: str, after_calls: int) -> None:
        super().__init__(Database(path))
        self.point = point
        self.calls_left = after_calls

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        self.calls_left -= 1
        self._at("before")
        rows = super().append(events, drained=drained)
        self._at("after")
        return rows

    def append_decided(
        self,
        decide: Callable[[ReadStream], Sequence[NewEvent]],
        *,
        drained: Drained | None = None,
    ) -> tuple[StoredRow, ...]:
        def decided(read_stream: ReadStream) -> Sequence[NewEvent]:
            self._at("begun")
            return decide(read_stream)

        return super().append_decided(decided, drained=drained)

    def _insert(self, connection: sqlite3.Connection, stamped: Stamped) -> None:
        super()._insert(connection, stamped)
        self._at("inserted")

    def _at(self, point: str) -> None:
        if self.calls_left <= 0 and point == self.point:
            die()


def acknowledged(child: Callable[[Callable[[int], None]], None]) -> list[int]:
    """What a child acknowledged until it was killed, by its own hand or ours."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read_end)
            child(lambda number: void(os.write(write_end, number.to_bytes(4, "big"))))
        finally:
            os._exit(1)  # Whatever happened: the rest of this program is the parent's.
    os.close(write_end)
    killer = threading.Timer(random.uniform(0.0, 0.04), os.kill, [pid, signal.SIGKILL])
    if child.__name__ == "until_killed":
        killer.start()
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == -signal.SIGKILL
    return [int.from_bytes(answer[i : i + 4], "big") for i in range(0, len(answer), 4)]


def void(_: object) -> None:
    return None


@pytest.mark.parametrize("point", ["before", "begun", "inserted", "after"])
def test_a_writer_killed_at_a_fault_point_loses_nothing_that_was_acknowledged(
    tmp_path: Path, point: str
) -> None:
    path = tmp_path / "log.db"
    survivor = open_sqlite(path, lock_timeout_s=10)
    for number in range(KILLS):
        stream = f"run/{number}"

        def child(acknowledge: Callable[[int], None], stream: str = stream) -> None:
            log = Doomed(path, point, after_calls=random.randint(1, 4))
            for call in count(1):
                log.append(new_events(stream, versions_of(call)))
                acknowledge(call)

        calls = acknowledged(child)

        survivor.append(new_events("run/survivor", [number + 1]))
        stored = [row.version for row in survivor.read_stream(stream)]
        killed_after_commit = point == "after"
        assert stored == [
            v for c in range(1, len(calls) + 1 + killed_after_commit) for v in versions_of(c)
        ]
        check_head(survivor)
        late = open_sqlite(path, lock_timeout_s=10)
        check_head(late)
        late.close()
    survivor.close()


def versions_of(call: int) -> range:
    return range((call - 1) * PER_CALL + 1, call * PER_CALL + 1)


def test_writers_killed_at_random_moments_lose_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    survivor = open_sqlite(path, lock_timeout_s=10)
    for number in range(KILLS):
        stream = f"run/{number}"

        def until_killed(acknowledge: Callable[[int], None], stream: str = stream) -> None:
            log = open_sqlite(path)
            for call in count(1):
                log.append(new_events(stream, versions_of(call)))
                acknowledge(call)

        calls = acknowledged(until_killed)

        survivor.append(new_events("run/survivor", [number + 1]))
        stored = [row.version for row in survivor.read_stream(stream)]
        assert len(stored) % PER_CALL == 0
        assert len(stored) // PER_CALL - len(calls) in (0, 1)
        assert stored == list(range(1, len(stored) + 1))
        check_head(survivor)
    survivor.close()


def test_trainers_killed_at_random_moments_lose_no_change_and_no_flushed_value(
    tmp_path: Path,
) -> None:
    """The whole way: journal, decisions, value batches in the background and by flush."""
    path = tmp_path / "log.db"
    survivor = open_sqlite(path, lock_timeout_s=10)
    for number in range(KILLS):
        run_id = f"r{number}"

        def until_killed(acknowledge: Callable[[int], None], run_id: str = run_id) -> None:
            train(path, run_id, acknowledge)

        steps = acknowledged(until_killed)

        check_head(survivor)
        state = run_state.fold(None, journal_of(survivor).facts(run_stream(run_id)))
        done = len(steps)
        properties = len(state.properties) if state else 0
        assert properties - done in (0, 1)
        values = [record.value for record in records_in(survivor, run_id)]
        assert values == [float(n) for n in range(len(values))]
        assert len(values) >= done * 10
    survivor.close()


def journal_of(log: SqliteLog) -> Journal:
    opened = WriterOpened(
        actor="a", host="h", boot_id="b", pid=os.getpid(), process="p", client_version="0"
    )
    return Journal(log, lambda: opened)


def train(path: Path, run_id: str, acknowledge: Callable[[int], None]) -> None:
    journal = journal_of(open_sqlite(path))
    buffer = ValueBuffer(journal)
    folded: StreamState[RunState | None] = StreamState(run_stream(run_id), run_state.fold, None)
    created = RunCreated(
        run_id=run_id,
        experiment_id="e",
        experiment_name="lab",
        status=Status.RUNNING,
        root_id=run_id,
    )
    journal.change(folded, lambda state: Decision((created,)))
    values = buffer.of_run(run_id, fresh=True)
    for step in count(1):
        for n in range(10):
            values.log(Series("loss"), float((step - 1) * 10 + n), None)
        command = run_commands.AddProperties({f"step {step}": str(step)})
        decide = partial(decided, command, journal.writer_id)
        with buffer.taken() as batch:
            journal.change(folded, decide, values=batch)
        acknowledge(step)


def decided(command: run_commands.Command, writer_id: str, state: RunState | None) -> Decision:
    return run.decide(state, command, writer_id)

"""Several writers, any clocks: an answer as of a time is that of the definition, and for ever."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runlore.domain.errors import MomentInFuture
from runlore.storage.as_of_times import NEVER_SETTLED
from runlore.storage.clock import SKEW_US
from runlore.storage.database import Database
from runlore.storage.event_log import EventLog, ForeignEvent
from runlore.storage.memory_log import MemoryLog
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.stamp import observed_at
from runlore.storage.verification import verify_log
from runlore.testing.logs import NOON, Clock, all_rows, check_head, new_events
from tests.examples import few

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:this machine's clock says:RuntimeWarning"),
]

TEN_YEARS: Final = 3_650 * SKEW_US
hosts = st.sampled_from(["ann", "bob", "cat"])
offsets = st.one_of(
    st.integers(-20, 20),
    st.sampled_from([-NOON, -NOON - 5, -TEN_YEARS, -SKEW_US, SKEW_US, TEN_YEARS, 2 * TEN_YEARS]),
)
"""What a clock is fast, in µs; the slowest stands at 1970, or before."""


class WildClocks(RuleBasedStateMachine):
    """The memory log, the SQLite log, and the definition in `runlore.storage.as_of_times`."""

    @initialize()
    def open(self) -> None:
        self.now = NOON
        self.offset = dict.fromkeys(("ann", "bob", "cat"), 0)
        self.clock = NOON
        sqlite = SqliteLog(Database(":memory:"), clock=lambda: self.clock)
        sqlite.create_table()
        self.logs: list[EventLog] = [MemoryLog(clock=lambda: self.clock), sqlite]
        self.observed: list[int] = []  # Of each event, with what was settled before it.
        self.settled_before: list[int] = []
        self.version = self.recorded = 0
        self.settled = NEVER_SETTLED
        self.answers: dict[int, int] = {}

    def as_of(self, time: int) -> int:
        """The end of the longest prefix of events that were observed, each by itself or by a later
        one, at or before the time, and not after a later time had been settled.
        """
        counts = [
            observed <= time and settled < time
            for observed, settled in zip(self.observed, self.settled_before, strict=True)
        ]
        position = 0
        while position < len(counts) and any(counts[position:]):
            position += 1
        return position

    # --- time -----------------------------------------------------------------------------

    @rule(microseconds=st.integers(0, 15))
    def time_passes(self, microseconds: int) -> None:
        self.now += microseconds

    @rule(host=hosts, offset=offsets)
    def a_clock_is_set(self, host: str, offset: int) -> None:
        self.offset[host] = offset

    # --- writers --------------------------------------------------------------------------

    def stamped(self, count: int, observed: int) -> None:
        self.observed += [observed] * count
        self.settled_before += [self.settled] * count

    @rule(host=hosts, count=st.integers(1, 3))
    def append(self, host: str, count: int) -> None:
        self.clock = self.now + self.offset[host]
        events = new_events("run/r", range(self.version + 1, self.version + count + 1))
        self.version += count
        for log in self.logs:
            rows = log.append(events)
            assert {observed_at(row) for row in rows} == {max(0, self.clock)}
        self.stamped(count, max(0, self.clock))
        self.recorded = max(self.recorded, self.clock)

    @rule(host=hosts)
    def append_of_another_application(self, host: str) -> None:
        """It has no metadata, so it counts from the time on at which it is recorded."""
        self.clock = self.now + self.offset[host]
        self.recorded = max(self.recorded, self.clock)
        event = ForeignEvent(f"order-{uuid4()}", 1, "shop:Ordered", b"{}")
        for log in self.logs:
            log.append_foreign([event])
        self.stamped(1, self.recorded)

    # --- questions ------------------------------------------------------------------------

    @rule(host=hosts, ago=st.integers(-5, 30), offset=st.sampled_from([0, -TEN_YEARS, TEN_YEARS]))
    def ask(self, host: str, ago: int, offset: int) -> None:
        self.clock = self.now + self.offset[host]
        time = self.now - ago + offset
        known = max(self.clock, min(self.recorded - 1, self.clock + SKEW_US))
        if time > max(known, self.settled):
            for log in self.logs:
                with pytest.raises(MomentInFuture):
                    log.settle(time)
            return
        self.settled = max(self.settled, time)
        self.recorded = max(self.recorded, self.settled + 1)
        self.answers.setdefault(time, self.as_of(time))
        for log in self.logs:
            log.settle(time)

    @invariant()
    def every_answer_is_the_first_one(self) -> None:
        if not hasattr(self, "logs"):
            return
        for log in self.logs:
            assert {time: log.position_at(time) for time in self.answers} == self.answers

    @rule()
    def ask_everything(self) -> None:
        """Without settling: the answers of this moment."""
        times = {time + n for time in (*self.observed, *self.answers, self.now) for n in (-1, 0, 1)}
        for log in self.logs:
            assert {t: log.position_at(t) for t in times} == {t: self.as_of(t) for t in times}

    def teardown(self) -> None:
        if not hasattr(self, "logs"):
            return
        self.ask_everything()
        memory, sqlite = self.logs
        assert [row[6:8] for row in all_rows(memory)] == [row[6:8] for row in all_rows(sqlite)]
        for log in self.logs:
            check_head(log, settled_until=self.settled)
            assert verify_log(log, clock=lambda: NOON + 3 * TEN_YEARS).holds


TestWildClocks = WildClocks.TestCase
TestWildClocks.settings = settings(max_examples=few(50), stateful_step_count=40)


@pytest.mark.parametrize("next_one", [5, 100])
def test_a_time_that_an_older_runlore_settled_stays_settled(next_one: int) -> None:
    """It moved the head's time, and had no table to say why."""
    clock = Clock(NOON)
    database = Database(":memory:")
    log = SqliteLog(database, clock=clock)
    log.create_table()
    [first] = log.append(new_events("run/r", [1]))
    with database.write() as connection:
        connection.execute("UPDATE log_head SET recorded_at = ?", (NOON + 61,))
    log = SqliteLog(database, clock=clock)

    clock.now = NOON + next_one
    log.append(new_events("run/r", [2]))
    clock.now = NOON + 5
    log.append(new_events("run/r", [3]))

    assert [log.position_at(NOON + later) for later in (0, 5, 60)] == [first.position] * 3
    assert log.position_at(NOON + 61) == 3
    assert verify_log(log, clock=clock).holds


def test_the_example_of_the_documentation() -> None:
    """In docs/time-travel.md; here in minutes from 10:00."""
    minute = 60_000_000
    clock = Clock()
    log = MemoryLog(clock=clock)

    def at(minutes: int) -> int:
        clock.now = NOON + minutes * minute
        return clock.now

    for position, (minutes, offset) in enumerate([(0, 0), (5, TEN_YEARS), (10, 0)], 1):
        clock.now = at(minutes) + offset
        log.append(new_events("run/r", [position]))
    before = [log.position_at(at(minutes)) for minutes in (0, 9, 10, 13, 15)]
    clock.now = at(20)
    log.settle(NOON + 15 * minute)
    clock.now = at(13)  # Cy's clock, at 10:21.
    [row] = log.append(new_events("run/r", [4]))
    answers = [log.position_at(at(minutes)) for minutes in (0, 9, 10, 13, 15)]

    assert before == answers == [1, 1, 3, 3, 3]
    assert (observed_at(row), row.recorded_at) == (at(13), at(5) + TEN_YEARS)
    assert log.position_at(at(15) + 1) == 4

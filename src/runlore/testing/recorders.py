"""The contract suite of recorders: what `EventLog` promises, sentence by sentence.

A test module of any package subclasses it and says how its log is made:

    class TestMyLog(EventLogContract):
        @pytest.fixture
        def log(self, clock: Clock, tmp_path: Path) -> Iterator[EventLog]:
            log = MyLog(tmp_path, clock=clock)
            yield log
            log.close()

A log whose runs can be erased takes `ErasableLogContract` of `erasable_recorders` instead. Tests
that fork have the mark `processes`; register it in the settings of pytest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final
from uuid import uuid4

import msgpack
import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent

from runlore.domain.errors import MomentInFuture
from runlore.storage.errors import LogTooNew, VersionConflict
from runlore.storage.event_log import (
    Drained,
    DrainedMark,
    EventLog,
    NewEvent,
    ReadStream,
    StoredRow,
)
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery
from runlore.storage.stamp import observed_at
from runlore.storage.verification import verify_log
from runlore.testing.children import Child, in_child
from runlore.testing.logs import (
    NOON,
    Clock,
    all_rows,
    asking_for,
    check_head,
    new_event,
    new_events,
)
from runlore.testing.waiting import LIMIT_S

HOUR: Final = 3_600_000_000
TEN_YEARS: Final = 3_650 * 24 * HOUR


class EventLogContract:
    """Tests of the contract of `EventLog`; a subclass overrides the fixture `log`."""

    survives_close: ClassVar[bool] = True
    """Whether a log that is used again after `close()` still holds its events."""
    is_erasable: ClassVar[bool] = False

    @pytest.fixture
    def clock(self) -> Clock:
        """The clock by which the log records; tests set it."""
        return Clock()

    @pytest.fixture
    def log(self, clock: Clock, tmp_path: Path) -> Iterator[EventLog]:
        """An empty log that takes its times from `clock`; closed after the test."""
        raise NotImplementedError("override the fixture `log`")

    # --- append -------------------------------------------------------------------------------

    def test_append_stores_the_events_and_returns_them_as_stored_in_order(
        self, log: EventLog, clock: Clock
    ) -> None:
        events = [new_event("run/a", 1), new_event("run/b", 1, "run.tag_set", b"\x81\xa1v\x01")]

        rows = log.append(events)

        assert [(r.stream, r.version, r.topic, r.state, r.event_id) for r in rows] == [
            event[:5] for event in events
        ]
        assert [msgpack.unpackb(row.metadata or b"") for row in rows] == [{"writer": "w"}] * 2
        assert [row.recorded_at for row in rows] == [clock.now] * 2
        assert rows[0].position < rows[1].position
        assert all_rows(log) == list(rows)

    def test_appending_nothing_stores_nothing(self, log: EventLog) -> None:
        assert log.append([]) == ()
        assert log.head() == LogHead()

    def test_append_is_atomic_when_a_version_is_taken(self, log: EventLog) -> None:
        log.append([new_event("run/b", 1)])
        before = check_head(log)

        with pytest.raises(VersionConflict, match="another event holds"):
            log.append([new_event("run/a", 1), new_event("run/b", 1), new_event("run/c", 1)])

        assert log.head() == before
        assert len(all_rows(log)) == 1

    def test_append_is_atomic_when_an_event_cannot_be_written(self, log: EventLog) -> None:
        with pytest.raises(UnicodeEncodeError):
            log.append([new_event("run/a", 1), new_event("run/caf\udce9", 1)])

        assert all_rows(log) == []
        assert log.append([new_event("run/a", 1)])

    def test_one_call_cannot_hold_a_version_twice(self, log: EventLog) -> None:
        with pytest.raises(VersionConflict):
            log.append([new_event("run/a", 1), new_event("run/a", 1)])
        assert all_rows(log) == []

    def test_a_conflict_is_also_the_librarys_integrity_error(self, log: EventLog) -> None:
        log.append([new_event()])
        with pytest.raises(IntegrityError):
            log.append([new_event()])

    def test_repeating_a_call_with_the_same_events_is_a_success_and_changes_nothing(
        self, log: EventLog, clock: Clock
    ) -> None:
        events = [*new_events("run/a", [1, 2]), new_event("run/b", 1)]
        first = log.append(events)
        log.append([new_event("run/c", 1)])
        before = check_head(log)
        clock.now += 1

        assert log.append(events) == first
        assert log.append(list(events)) == first
        assert log.head() == before
        assert len(all_rows(log)) == 4

    def test_known_events_together_with_new_ones_are_no_repetition(self, log: EventLog) -> None:
        known = new_event("run/a", 1)
        log.append([known])
        with pytest.raises(VersionConflict):
            log.append([known, new_event("run/a", 2)])
        assert len(all_rows(log)) == 1

    def test_the_same_content_with_another_event_id_is_another_event(self, log: EventLog) -> None:
        log.append([new_event("run/a", 1)])
        with pytest.raises(VersionConflict):
            log.append([new_event("run/a", 1)])

    def test_after_a_conflict_the_log_goes_on(self, log: EventLog) -> None:
        log.append(new_events("run/a", [1]))
        with pytest.raises(VersionConflict):
            log.append(new_events("run/a", [1]))
        log.append(new_events("run/a", [2]))
        assert [row.version for row in log.read_stream("run/a")] == [1, 2]
        check_head(log)

    # --- the log's version --------------------------------------------------------------------

    def test_the_version_of_a_log_is_the_greatest_that_an_event_asks_for(
        self, log: EventLog
    ) -> None:
        assert log.version == 1
        log.append(new_events("run/a", [1, 2]))
        assert log.version == 1
        log.append([new_event("run/a", 3), asking_for(2, "run/a", 4), new_event("run/a", 5)])
        assert log.version == 2
        log.append_decided(lambda _: new_events("run/a", [6]))
        log.insert_events([StoredEvent("order-1", 1, "shop:Ordered", b"{}")])
        assert log.version == 2
        assert log.known_version >= 2
        check_head(log)

    def test_an_event_that_is_not_stored_raises_no_version(self, log: EventLog) -> None:
        log.append(new_events("run/a", [1]))
        with pytest.raises(VersionConflict):
            log.append([asking_for(2, "run/b", 1), new_event("run/a", 1)])
        assert log.version == 1

    def test_a_log_of_an_unknown_version_is_read_but_not_written_to(
        self, log: EventLog, clock: Clock
    ) -> None:
        unknown = log.known_version + 1
        log.append([new_event("run/a", 1), asking_for(unknown, "run/a", 2)])
        rows, head = all_rows(log), check_head(log)
        clock.now += 1

        attempts: list[Callable[[], object]] = [
            lambda: log.append(new_events("run/a", [3])),
            lambda: log.append(new_events("run/v", [1]), drained=Drained("w", 1, 1)),
            lambda: log.append_decided(lambda _: new_events("run/a", [3])),
            lambda: log.append_all(lambda: new_events("run/a", [3])),
            lambda: log.insert_events([StoredEvent("order-1", 1, "shop:Ordered", b"{}")]),
            lambda: log.settle(clock.now),
        ]
        for attempt in attempts:
            with pytest.raises(LogTooNew, match="upgrade runlore") as refused:
                attempt()
            assert (refused.value.version, refused.value.known_version) == (unknown, unknown - 1)

        assert (all_rows(log), log.head(), log.drained_marks()) == (rows, head, {})
        assert log.version == unknown

    # --- append_decided -----------------------------------------------------------------------

    def test_a_decision_reads_the_newest_state_and_its_events_are_stored(
        self, log: EventLog
    ) -> None:
        known = log.append(new_events("run/a", [1, 2]))
        seen: list[Sequence[StoredRow]] = []

        def decide(read_stream: ReadStream) -> list[NewEvent]:
            seen.append(read_stream("run/a"))
            seen.append(read_stream("run/missing"))
            return new_events("run/a", [3])

        rows = log.append_decided(decide)

        assert [tuple(rows) for rows in seen] == [known, ()]
        assert [row.version for row in rows] == [3]
        assert all_rows(log) == [*known, *rows]
        check_head(log)

    def test_a_decision_that_raises_stores_nothing_and_its_exception_goes_on(
        self, log: EventLog
    ) -> None:
        class Refused(Exception):
            pass

        def decide(read_stream: ReadStream) -> list[NewEvent]:
            read_stream("run/a")
            raise Refused

        with pytest.raises(Refused):
            log.append_decided(decide)
        assert all_rows(log) == []
        assert log.append([new_event()])

    def test_a_decision_for_nothing_stores_nothing(self, log: EventLog) -> None:
        assert log.append_decided(lambda read_stream: []) == ()
        assert log.head() == LogHead()

    def test_no_other_writer_comes_between_a_decision_and_its_events(self, log: EventLog) -> None:
        attempted = threading.Event()
        finished = threading.Event()

        def append_from_elsewhere() -> None:
            attempted.set()
            log.append(new_events("run/rival", [1]))
            finished.set()

        rival = threading.Thread(target=append_from_elsewhere)

        def decide(read_stream: ReadStream) -> list[NewEvent]:
            rival.start()
            assert attempted.wait(LIMIT_S)
            assert not finished.wait(0.05)
            return new_events("run/decided", [1, 2])

        log.append_decided(decide)
        rival.join(LIMIT_S)

        assert finished.is_set()
        assert [row.stream for row in all_rows(log)] == ["run/decided"] * 2 + ["run/rival"]

    def test_a_decision_for_a_taken_version_is_a_conflict_and_stores_nothing(
        self, log: EventLog
    ) -> None:
        log.append(new_events("run/a", [1]))
        with pytest.raises(VersionConflict):
            log.append_decided(lambda read_stream: [new_event("run/b", 1), new_event("run/a", 1)])
        assert len(all_rows(log)) == 1

    def test_a_decision_that_is_repeated_with_the_same_events_is_a_success(
        self, log: EventLog
    ) -> None:
        events = new_events("run/a", [1, 2])
        first = log.append_decided(lambda read_stream: events)
        before = log.head()

        assert log.append_decided(lambda read_stream: events) == first
        assert log.append(events) == first
        assert log.head() == before

    def test_a_conflict_that_a_decision_itself_raises_is_not_taken_for_a_repetition(
        self,
        log: EventLog,
    ) -> None:
        def decide(read_stream: ReadStream) -> list[NewEvent]:
            raise VersionConflict("decided so")

        with pytest.raises(VersionConflict, match="decided so"):
            log.append_decided(decide)

    # --- append_all ---------------------------------------------------------------------------

    def test_very_many_events_are_stored_in_their_order_and_at_one_time(
        self, log: EventLog, clock: Clock
    ) -> None:
        events = [new_event(f"run/{number % 7}", 1 + number // 7) for number in range(2_500)]

        def given() -> Iterator[NewEvent]:
            for event in events:
                clock.now += 1  # Time goes on meanwhile.
                yield event

        log.append([new_event("run/first", 1)])
        log.append_all(given)

        rows = all_rows(log)[1:]
        assert [row.event_id for row in rows] == [event.event_id for event in events]
        assert len({row.recorded_at for row in rows}) == 1
        check_head(log)

    def test_of_very_many_events_none_is_stored_if_one_cannot_be(self, log: EventLog) -> None:
        class Broken(Exception):
            pass

        def given(last: NewEvent | None) -> Iterator[NewEvent]:
            for number in range(2_500):
                yield asking_for(2, f"run/{number}")
            if last is None:
                raise Broken
            yield last

        log.append([new_event("run/taken", 1)])
        before = check_head(log)
        for last, error in ((new_event("run/taken", 1), VersionConflict), (None, Broken)):
            with pytest.raises(error):
                log.append_all(partial(given, last))
            assert (check_head(log), log.version) == (before, 1)
        log.append_all(partial(given, new_event("run/free", 1)))
        assert len(all_rows(log)) == 2_502
        assert log.version == 2

    def test_repeating_very_many_events_is_a_success_and_changes_nothing(
        self, log: EventLog
    ) -> None:
        events = [new_event(f"run/{number}") for number in range(2_500)]
        log.append_all(lambda: events)
        before = check_head(log)

        log.append_all(lambda: iter(events))

        assert check_head(log) == before
        with pytest.raises(VersionConflict):
            log.append_all(lambda: [*events, new_event("run/new")])
        log.append_all(lambda: [])
        assert check_head(log) == before

    # --- reading ------------------------------------------------------------------------------

    def test_a_stream_is_read_by_increasing_version_whatever_the_order_of_appending(
        self,
        log: EventLog,
    ) -> None:
        log.append([new_event("run/a", 2), new_event("run/b", 1), new_event("run/a", 1)])
        log.append([new_event("run/a", 3)])
        assert [row.version for row in log.read_stream("run/a")] == [1, 2, 3]

    def test_a_stream_is_read_after_a_version_and_up_to_a_position(self, log: EventLog) -> None:
        rows = log.append(new_events("run/a", range(1, 6)))

        assert list(log.read_stream("run/a", after_version=3)) == list(rows[3:])
        assert list(log.read_stream("run/a", after_version=5)) == []
        assert list(log.read_stream("run/a", upto_position=rows[2].position)) == list(rows[:3])
        assert list(log.read_stream("run/a", upto_position=0)) == []
        both = log.read_stream("run/a", after_version=1, upto_position=rows[2].position)
        assert list(both) == list(rows[1:3])

    def test_a_stream_that_does_not_exist_is_empty(self, log: EventLog) -> None:
        assert list(log.read_stream("run/missing")) == []
        assert list(log.read_log(LogQuery(prefix="run/missing/"))) == []
        assert log.count_events(LogQuery(prefix="run/missing/")) == 0

    def test_events_are_counted_up_to_a_position(self, log: EventLog) -> None:
        rows = log.append(new_events("run/a/x", range(1, 6)))
        # Next to "run/a/" in the order of names, on both sides.
        log.append([new_event(stream) for stream in ("run/a0", "run/a.", "run/a", "run/b/x")])

        assert log.count_events(LogQuery(prefix="run/a/")) == 5
        assert log.count_events(LogQuery(prefix="run/a/", upto_position=rows[2].position)) == 3
        assert log.count_events(LogQuery(prefix="run/a/", upto_position=0)) == 0

    def test_a_page_of_a_stream_holds_the_streams_below_it_and_no_others(
        self, log: EventLog
    ) -> None:
        names = ["run/r", "run/r/values/w", "run/rr", "run/r0", "run", "run/r/values/v"]
        log.append([new_event(name) for name in names])

        rows = log.read_log(LogQuery(limit=10, under="run/r"))
        plain = log.read_plain(LogQuery(limit=1, under="run/r", after_position=rows[0].position))

        assert [row.stream for row in rows] == ["run/r", "run/r/values/w", "run/r/values/v"]
        assert plain == [tuple(rows[1])[:-1]]

    def test_positions_are_those_of_a_stream_and_of_the_streams_below_it(
        self, log: EventLog
    ) -> None:
        names = ["run/r/values/w", "run/rr", "run/r", "run/r0", "run", "run/r/values/v", "run/r-"]
        rows = log.append([new_event(name) for name in names])
        log.append([new_event("run/r", 2)])
        own = [rows[0].position, rows[2].position, rows[5].position]

        assert list(log.positions_of(LogQuery(under="run/r"))) == [*own, log.head().position]
        assert list(log.positions_of(LogQuery(under="run/r", upto_position=own[-1]))) == own
        assert (
            list(log.positions_of(LogQuery(under="run/r", upto_position=own[-1] - 1))) == own[:-1]
        )
        assert list(log.positions_of(LogQuery(under="run/missing"))) == []

    def test_a_page_of_topics_is_full_of_them(self, log: EventLog) -> None:
        rows = log.append(
            [new_event("run/a", n, topic) for n, topic in enumerate(["x", "y", "z", "x"], 1)]
        )

        assert list(log.read_log(LogQuery(limit=2, topics=["x", "z"]))) == [rows[0], rows[2]]
        assert list(log.read_log(LogQuery(limit=9, topics=["x"], under="run/a"))) == [
            rows[0],
            rows[3],
        ]

    def test_streams_with_a_prefix_are_read_by_increasing_position(self, log: EventLog) -> None:
        names = ["run/r/values/w2", "run/r", "run/r/values/w1", "run/r/values0", "run/rr/values/w1"]
        log.append([new_event(name, 1) for name in names])
        log.append([new_event("run/r/values/w2", 2)])

        rows = log.read_log(LogQuery(prefix="run/r/values/"))

        assert [(row.stream, row.version) for row in rows] == [
            ("run/r/values/w2", 1),
            ("run/r/values/w1", 1),
            ("run/r/values/w2", 2),
        ]

    @pytest.mark.parametrize("prefix", ["run/%", "run/_", "run/*", "experiment/schä", "\U0010fffe"])
    def test_a_prefix_is_meant_literally(self, log: EventLog, prefix: str) -> None:
        log.append([new_event("run/abc", 1), new_event(f"{prefix}z", 1), new_event(prefix, 1)])
        assert [row.stream for row in log.read_log(LogQuery(prefix=prefix))] == [
            f"{prefix}z",
            prefix,
        ]
        assert log.count_events(LogQuery(prefix=prefix)) == 2

    def test_streams_with_a_prefix_can_be_cut_at_a_position_and_chosen_by_topic(
        self,
        log: EventLog,
    ) -> None:
        rows = log.append(
            [new_event("run/a", n, topic) for n, topic in enumerate(["x", "y", "z", "x"], 1)]
        )
        assert list(log.read_log(LogQuery(prefix="run/", topics=("x", "z")))) == [
            rows[0],
            rows[2],
            rows[3],
        ]
        assert list(log.read_log(LogQuery(prefix="run/", upto_position=rows[1].position))) == list(
            rows[:2]
        )
        chosen = log.read_log(
            LogQuery(prefix="run/", topics=("x",), upto_position=rows[1].position)
        )
        assert list(chosen) == [rows[0]]

    def test_the_whole_log_is_read_in_pages(self, log: EventLog) -> None:
        rows = log.append(new_events("run/a", range(1, 8)))
        pages: list[list[StoredRow]] = []
        after = 0
        while page := log.read_log(LogQuery(after_position=after, limit=3)):
            pages.append(list(page))
            after = page[-1].position

        assert [len(page) for page in pages] == [3, 3, 1]
        assert [row for page in pages for row in page] == list(rows)

    def test_plain_rows_are_those_of_the_log_without_their_leaves(self, log: EventLog) -> None:
        rows = log.append(new_events("run/a", range(1, 8)))
        bounds: dict[str, Any] = {
            "after_position": rows[0].position,
            "upto_position": rows[5].position,
        }
        assert list(log.read_plain(LogQuery(limit=100))) == [tuple(row)[:-1] for row in rows]
        assert list(log.read_plain(LogQuery(limit=3, **bounds))) == [
            tuple(row)[:-1] for row in rows[1:4]
        ]
        assert list(log.read_plain(LogQuery(limit=100, **bounds))) == [
            tuple(row)[:-1] for row in rows[1:6]
        ]

    def test_the_first_bound_of_a_page_is_exclusive_and_the_last_inclusive(
        self, log: EventLog
    ) -> None:
        rows = log.append(new_events("run/a", range(1, 6)))
        page = log.read_log(
            LogQuery(after_position=rows[0].position, upto_position=rows[3].position, limit=100)
        )
        assert list(page) == list(rows[1:4])
        assert list(log.read_log(LogQuery(limit=0))) == []
        assert list(log.read_log(LogQuery(after_position=rows[-1].position, limit=5))) == []

    # --- head, times --------------------------------------------------------------------------

    def test_an_empty_log_has_an_empty_head(self, log: EventLog) -> None:
        assert log.head() == LogHead()
        assert (log.head().position, log.head().size) == (0, 0)

    def test_the_head_equals_what_the_leaves_of_all_rows_give(self, log: EventLog) -> None:
        for n in range(1, 34):
            log.append(new_events(f"run/{n % 3}", range(n * 10, n * 10 + n % 4)))
            check_head(log)
        assert log.head().size == len(all_rows(log))

    def test_times_never_decrease_when_the_clock_jumps_back(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append([new_event("run/a", 1)])
        clock.now = NOON - 3_600_000_000
        log.append(new_events("run/a", [2, 3]))
        clock.now = NOON + 5
        log.append([new_event("run/a", 4)])

        rows = all_rows(log)

        assert [row.recorded_at for row in rows] == [NOON, NOON, NOON, NOON + 5]
        assert [msgpack.unpackb(row.metadata or b"").get("observed_at") for row in rows] == [
            None,
            NOON - 3_600_000_000,
            NOON - 3_600_000_000,
            None,
        ]
        check_head(log)

    def test_the_position_at_a_time_is_the_last_observed_until_then(
        self, log: EventLog, clock: Clock
    ) -> None:
        assert log.position_at(NOON) == 0
        first = log.append(new_events("run/a", [1, 2]))
        clock.now += 10
        second = log.append(new_events("run/a", [3, 4]))

        assert log.position_at(NOON - 1) == 0
        assert log.position_at(NOON) == first[-1].position
        assert log.position_at(NOON + 9) == first[-1].position
        assert log.position_at(NOON + 10) == second[-1].position
        assert log.position_at(NOON + 10**12) == second[-1].position

    @pytest.mark.filterwarnings("ignore:this machine's clock says:RuntimeWarning")
    def test_an_event_of_a_clock_ten_years_ahead_counts_from_the_next_one_on(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        clock.now = NOON + TEN_YEARS
        ahead = log.append(new_events("run/b", [1, 2]))
        clock.now = NOON + 20
        assert log.position_at(NOON + 20) == 1
        assert log.position_at(NOON + TEN_YEARS) == ahead[-1].position

        [after] = log.append(new_events("run/a", [2]))

        assert after.recorded_at == NOON + TEN_YEARS
        assert observed_at(after) == NOON + 20
        assert log.position_at(NOON + 19) == 1
        assert log.position_at(NOON + 20) == after.position
        assert log.position_at(NOON + TEN_YEARS) == after.position
        check_head(log)

    @pytest.mark.filterwarnings("ignore:this machine's clock says:RuntimeWarning")
    def test_answers_as_of_settled_times_are_those_of_the_definition_for_ever(
        self, log: EventLog, clock: Clock
    ) -> None:
        """Against a model: the definition in `runlore.storage.as_of_times`, event by event."""
        random = Random(13)
        hosts = [0, 3, -40, TEN_YEARS, -TEN_YEARS]  # What each host's clock is off by.
        now, count, settled = NOON, 0, 0
        as_of: list[int] = []  # Of each event.
        answers: dict[int, int] = {}

        def model(time: int) -> int:
            return max((p for p, since in enumerate(as_of, 1) if since <= time), default=0)

        for _ in range(150):
            now += random.choice((0, 0, 1, 5))
            clock.now = now + random.choice(hosts)
            events = random.randint(1, 3)
            rows = log.append(new_events("run/a", range(count + 1, count + events + 1)))
            count += events
            as_of += [max(clock.now, settled + 1)] * events
            assert [observed_at(row) for row in rows] == [clock.now] * events

            clock.now = now + random.choice((0, 3, -40))
            times = [now - random.choice((0, 1, 4, 30)), random.choice((NOON, now)) - TEN_YEARS]
            asked = random.choice([*times, None, None, None])
            if asked is not None and asked <= clock.now:
                log.settle(asked)
                settled = max(settled, asked)
                answers.setdefault(asked, model(asked))
            for time in (*times, now + TEN_YEARS, *answers):
                assert log.position_at(time) == model(time)
            assert {time: log.position_at(time) for time in answers} == answers

        assert len(answers) > 20
        assert len(set(answers.values())) > 10
        check_head(log, settled_until=settled)
        assert verify_log(log, clock=lambda: now + TEN_YEARS).findings == ()

    def test_what_was_until_a_settled_time_never_changes_though_clocks_are_behind(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        clock.now = NOON + 100
        log.settle(NOON + 60)
        answers = [log.position_at(NOON + later) for later in range(61)]

        clock.now = NOON + 30  # Another host's, say.
        [row] = log.append(new_events("run/a", [2]))

        assert row.recorded_at == NOON + 61
        assert observed_at(row) == NOON + 30
        assert [log.position_at(NOON + later) for later in range(61)] == answers

    def test_a_time_at_which_something_was_observed_is_settled_so_that_nothing_joins_it(
        self, log: EventLog, clock: Clock
    ) -> None:
        [first] = log.append(new_events("run/a", [1]))
        log.settle(NOON)

        [second] = log.append(new_events("run/a", [2]))

        assert second.recorded_at == NOON + 1
        assert observed_at(second) == NOON
        assert log.position_at(NOON) == first.position

    def test_a_time_before_a_settled_one_is_settled_already(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        log.settle(NOON)
        head = log.head()
        clock.now = NOON - 10  # It jumped back: even so NOON - 1 is over, as far as the log goes.

        log.settle(NOON - 1)

        assert log.head() == head

    def test_a_time_that_has_not_passed_cannot_be_settled(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        head = check_head(log)

        with pytest.raises(MomentInFuture, match="has not passed"):
            log.settle(NOON + 1)

        assert log.head() == head

    @pytest.mark.filterwarnings("ignore:this machine's clock says:RuntimeWarning")
    def test_a_time_before_the_last_event_has_passed_even_if_this_clock_is_slow(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        clock.now = NOON - 10

        log.settle(NOON - 1)

        clock.now = NOON + TEN_YEARS
        log.append(new_events("run/a", [2]))
        clock.now = NOON + 5
        with pytest.raises(MomentInFuture, match="has not passed"):
            log.settle(NOON + TEN_YEARS - 1)  # It would bind all writers for ten years.

    def test_a_clock_that_is_days_behind_the_last_event_warns_once_and_is_not_refused(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        clock.now -= 23 * HOUR
        log.append(new_events("run/a", [2]))
        clock.now -= 100 * HOUR

        with pytest.warns(RuntimeWarning, match="4 days behind the clock") as warned:
            log.append(new_events("run/a", [3]))
        log.append(new_events("run/a", [4]))
        clock.now -= 100 * HOUR
        log.append(new_events("run/a", [5]))

        assert len(warned) == 1
        assert len(all_rows(log)) == 5

    def test_a_clock_after_a_rest_of_months_does_not_warn_but_after_one_of_ten_years(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        clock.now += 9_000 * HOUR
        log.append(new_events("run/a", [2]))
        clock.now += TEN_YEARS
        with pytest.warns(RuntimeWarning, match="days ahead of the clock"):
            log.append(new_events("run/a", [3]))

    # --- threads, forks, life -----------------------------------------------------------------

    def test_threads_append_whole_calls_and_readers_see_positions_grow(self, log: EventLog) -> None:
        seen: list[int] = []
        done = threading.Event()

        def append(name: int) -> None:
            for call in range(25):
                log.append(new_events(f"run/{name}", range(call * 3 + 1, call * 3 + 4)))

        def tail() -> None:
            while True:
                finished = done.is_set()  # Asked first: one more look after the last append.
                seen.extend(
                    row.position
                    for row in log.read_log(LogQuery(after_position=max(seen, default=0), limit=9))
                )
                if finished and seen and seen[-1] == log.head().position:
                    return

        reader = threading.Thread(target=tail)
        writers = [threading.Thread(target=append, args=(name,)) for name in range(4)]
        for thread in (reader, *writers):
            thread.start()
        for thread in writers:
            thread.join(LIMIT_S)
        done.set()
        reader.join(LIMIT_S)

        rows = all_rows(log)
        assert seen == [row.position for row in rows]
        assert len(rows) == 4 * 25 * 3
        for call in (rows[i : i + 3] for i in range(0, len(rows), 3)):
            assert len({row.stream for row in call}) == 1
            assert [row.version - call[0].version for row in call] == [0, 1, 2]
        check_head(log)

    @pytest.mark.processes
    def test_a_forked_child_uses_the_log_at_once_and_the_parent_goes_on(
        self, log: EventLog
    ) -> None:
        before = log.append(new_events("run/parent", [1]))

        def child() -> list[tuple[str, int]]:
            log.append(new_events("run/child", [1]))
            log.append_decided(lambda read_stream: new_events("run/child", [2]))
            check_head(log)
            return [(row.stream, row.version) for row in all_rows(log)]

        assert in_child(child) == [("run/parent", 1), ("run/child", 1), ("run/child", 2)]
        log.append(new_events("run/parent", [2]))
        check_head(log)
        assert all_rows(log)[0] == before[0]
        assert [row.version for row in log.read_stream("run/parent")] == [1, 2]

    @pytest.mark.processes
    def test_forks_beside_a_thread_that_appends_leave_both_sides_working(
        self, log: EventLog
    ) -> None:
        stop = threading.Event()
        count = 0

        def append() -> None:
            nonlocal count
            while not stop.is_set():
                log.append(new_events("run/parent", [count + 1]))
                count += 1

        writer = threading.Thread(target=append)
        writer.start()
        try:
            children = [
                Child(partial(log.append, new_events(f"run/child{n}", [1, 2]))) for n in range(5)
            ]
            assert [len(child.result()) for child in children] == [2] * 5
        finally:
            stop.set()
            writer.join(LIMIT_S)
        assert [row.version for row in log.read_stream("run/parent")] == list(range(1, count + 1))
        check_head(log)

    def test_closing_twice_is_once_and_later_calls_open_again(self, log: EventLog) -> None:
        log.append([new_event("run/a", 1)])
        log.close()
        log.close()
        if not self.survives_close:
            return
        log.append([new_event("run/a", 2)])
        assert [row.version for row in log.read_stream("run/a")] == [1, 2]

    # --- subscriptions ------------------------------------------------------------------------

    def test_a_subscription_gives_what_is_there_and_then_what_comes(self, log: EventLog) -> None:
        log.append(new_events("run/a", [1, 2]))
        later = threading.Thread(target=lambda: log.append(new_events("run/a", [3])))

        with log.subscribe(gt=log.head().position - 1) as subscription:
            first = next(subscription)
            later.start()
            second = next(subscription)
        later.join(LIMIT_S)

        assert [first.originator_version, second.originator_version] == [2, 3]
        assert (first.originator_id, first.topic, first.state) == ("run/a", "run.started", b"\x80")

    def test_a_subscription_to_topics_passes_over_the_others(self, log: EventLog) -> None:
        log.append([new_event("run/a", n, topic) for n, topic in enumerate("xyxyz", 1)])
        with log.subscribe(topics=["y", "z"]) as subscription:
            assert [next(subscription).originator_version for _ in range(3)] == [2, 4, 5]

    def test_a_waiting_subscription_can_be_stopped_from_another_thread(self, log: EventLog) -> None:
        subscription = log.subscribe(gt=0)
        ended = threading.Event()

        def wait() -> None:
            assert list(subscription) == []
            ended.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        subscription.stop()
        assert ended.wait(LIMIT_S)
        waiting.join(LIMIT_S)

    @pytest.mark.processes
    def test_a_forked_child_can_go_on_with_a_subscription(self, log: EventLog) -> None:
        log.append(new_events("run/a", [1, 2]))
        with log.subscribe() as subscription:
            next(subscription)

            def child() -> int:
                log.append(new_events("run/a", [3]))
                return [next(subscription).originator_version for _ in range(2)][-1]

            assert in_child(child) == 3

    # --- foreign applications on the same log -------------------------------------------------

    def test_events_of_another_application_stand_beside_ours(
        self, log: EventLog, clock: Clock
    ) -> None:
        ours = log.append([new_event("run/a", 1)])
        theirs = StoredEvent("order-1", 1, "shop:Ordered", b"{}")

        [position] = log.insert_events([theirs]) or ()
        more = log.append([new_event("run/a", 2)])

        rows = all_rows(log)
        assert [row.position for row in rows] == [ours[0].position, position, more[0].position]
        assert rows[1][1:8] == ("order-1", 1, "shop:Ordered", b"{}", None, clock.now, None)
        assert log.select_events("order-1") == [theirs]
        assert [n.originator_id for n in log.select_notifications(1, 10)] == [
            "run/a",
            "order-1",
            "run/a",
        ]
        check_head(log)

    def test_another_application_cannot_take_our_versions_nor_we_theirs(
        self, log: EventLog
    ) -> None:
        log.append([new_event("run/a", 1)])
        log.insert_events([StoredEvent("order-1", 1, "shop:Ordered", b"{}")])

        with pytest.raises(IntegrityError):
            log.insert_events([StoredEvent("run/a", 1, "shop:Ordered", b"{}")])
        with pytest.raises(VersionConflict):
            log.append([new_event("order-1", 1)])
        assert len(all_rows(log)) == 2
        check_head(log)

    def test_times_of_another_applications_events_never_decrease_either(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append([new_event("run/a", 1)])
        clock.now -= 1_000
        log.insert_events([StoredEvent(f"order-{uuid4()}", 1, "shop:Ordered", b"{}")])
        assert [row.recorded_at for row in all_rows(log)] == [NOON, NOON]

    # --- spools ---------------------------------------------------------------------------------

    def test_how_far_a_spool_is_drained_is_kept_with_the_events_that_say_so(
        self, log: EventLog
    ) -> None:
        assert log.drained_marks() == {}
        log.append([new_event("run/r", 1)])
        log.append([new_event("run/r/values/w", 1)], drained=Drained("w", 3, 40))
        log.append_decided(
            lambda _: [new_event("run/r/values/v", n) for n in (1, 2)], drained=Drained("v", 1, 5)
        )
        log.append([new_event("run/r/values/w", 2)], drained=Drained("w", 4, 0))
        assert log.drained_marks() == {
            "v": DrainedMark(1, 5, log.head().position - 1),
            "w": DrainedMark(4, 0, log.head().position),
        }

    def test_a_mark_of_events_that_were_refused_is_not_kept(self, log: EventLog) -> None:
        log.append([new_event("run/r/values/w", 1)], drained=Drained("w", 1, 1))
        with pytest.raises(VersionConflict):
            log.append([new_event("run/r/values/w", 1)], drained=Drained("w", 1, 9))
        assert log.drained_marks()["w"][:2] == (1, 1)

    # --- erasing ------------------------------------------------------------------------------

    def test_a_log_says_whether_it_is_erasable(self, log: EventLog) -> None:
        assert log.erasable is self.is_erasable
        assert log.last_erasure() == 0
        if not log.erasable:
            with pytest.raises(NotImplementedError, match="not erasable"):
                log.key_of("r")

    # --- verification -------------------------------------------------------------------------

    def test_a_log_verifies(self, log: EventLog) -> None:
        log.append(new_events("run/a", range(1, 6)))
        log.append([new_event("run/b", 1)])

        found = verify_log(log)

        assert found.findings == ()
        assert (found.size, found.root) == (6, log.head().frontier.root)

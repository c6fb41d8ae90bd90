"""What an append that decides within the transaction promises, and one of very many events."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial

import pytest

from runlore.storage.errors import VersionConflict
from runlore.storage.event_log import (
    EventLog,
    NewEvent,
    ReadStream,
    StoredRow,
)
from runlore.storage.log_head import LogHead
from runlore.testing.log_contract.basis import LogContract
from runlore.testing.logs import (
    Clock,
    all_rows,
    asking_for,
    check_head,
    new_event,
    new_events,
)
from runlore.testing.waiting import LIMIT_S


class DecidingContract(LogContract):
    """Tests of `append_decided` and `append_all`."""

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

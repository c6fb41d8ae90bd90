"""What an append promises: all or nothing, once, and of a known version."""

from __future__ import annotations

from collections.abc import Callable

import msgpack
import pytest

from runlore.storage.driver_errors import IntegrityError
from runlore.storage.errors import LogTooNew, VersionConflict
from runlore.storage.event_log import Drained, EventLog, ForeignEvent
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


class AppendingContract(LogContract):
    """Tests of `append`, and of the log's version."""

    # --- append -------------------------------------------------------------------------------

    def test_append_stores_the_events_and_returns_them_as_stored_in_order(
        self, log: EventLog, clock: Clock
    ) -> None:
        events = [new_event("run/a", 1), new_event("run/b", 1, "run.tag_set", b"\x81\xa1v\x01")]

        rows = log.append(events)

        assert [(r.stream, r.version, r.topic, r.state, r.event_id) for r in rows] == [
            event[:5] for event in events
        ]
        metadata = {"writer": "w", **self.adds}
        assert [msgpack.unpackb(row.metadata or b"") for row in rows] == [metadata] * 2
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

    def test_a_conflict_is_also_an_integrity_error_of_drivers(self, log: EventLog) -> None:
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
        log.append_foreign([ForeignEvent("order-1", 1, "shop:Ordered", b"{}")])
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
            lambda: log.append_foreign([ForeignEvent("order-1", 1, "shop:Ordered", b"{}")]),
            lambda: log.settle(clock.now),
        ]
        for attempt in attempts:
            with pytest.raises(LogTooNew, match="upgrade runlore") as refused:
                attempt()
            assert (refused.value.version, refused.value.known_version) == (unknown, unknown - 1)

        assert (all_rows(log), log.head(), log.drained_marks()) == (rows, head, {})
        assert log.version == unknown

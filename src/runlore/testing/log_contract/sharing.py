"""What holds for threads, forks, subscriptions and other applications on one log."""

from __future__ import annotations

import threading
from functools import partial
from uuid import uuid4

import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent

from runlore.storage.errors import VersionConflict
from runlore.storage.event_log import EventLog, ForeignEvent
from runlore.storage.log_query import LogQuery
from runlore.storage.recorder import LogRecorder
from runlore.testing.children import Child, in_child
from runlore.testing.log_contract.basis import LogContract
from runlore.testing.logs import (
    NOON,
    Clock,
    all_rows,
    check_head,
    new_event,
    new_events,
)
from runlore.testing.waiting import LIMIT_S


class SharingContract(LogContract):
    """Tests of a log that several use at once."""

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

        with LogRecorder(log).subscribe(gt=log.head().position - 1) as subscription:
            first = next(subscription)
            later.start()
            second = next(subscription)
        later.join(LIMIT_S)

        assert [first.originator_version, second.originator_version] == [2, 3]
        assert (first.originator_id, first.topic, first.state) == ("run/a", "run.started", b"\x80")

    def test_a_subscription_to_topics_passes_over_the_others(self, log: EventLog) -> None:
        log.append([new_event("run/a", n, topic) for n, topic in enumerate("xyxyz", 1)])
        with LogRecorder(log).subscribe(topics=["y", "z"]) as subscription:
            assert [next(subscription).originator_version for _ in range(3)] == [2, 4, 5]

    def test_a_waiting_subscription_can_be_stopped_from_another_thread(self, log: EventLog) -> None:
        subscription = LogRecorder(log).subscribe(gt=0)
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
        with LogRecorder(log).subscribe() as subscription:
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

        [position] = LogRecorder(log).insert_events([theirs]) or ()
        more = log.append([new_event("run/a", 2)])

        rows = all_rows(log)
        assert [row.position for row in rows] == [ours[0].position, position, more[0].position]
        assert rows[1][1:8] == ("order-1", 1, "shop:Ordered", b"{}", None, clock.now, None)
        assert LogRecorder(log).select_events("order-1") == [theirs]
        assert [n.originator_id for n in LogRecorder(log).select_notifications(1, 10)] == [
            "run/a",
            "order-1",
            "run/a",
        ]
        check_head(log)

    def test_another_application_cannot_take_our_versions_nor_we_theirs(
        self, log: EventLog
    ) -> None:
        log.append([new_event("run/a", 1)])
        log.append_foreign([ForeignEvent("order-1", 1, "shop:Ordered", b"{}")])

        with pytest.raises(VersionConflict):
            log.append_foreign([ForeignEvent("run/a", 1, "shop:Ordered", b"{}")])
        with pytest.raises(IntegrityError):
            LogRecorder(log).insert_events([StoredEvent("run/a", 1, "shop:Ordered", b"{}")])
        with pytest.raises(VersionConflict):
            log.append([new_event("order-1", 1)])
        assert len(all_rows(log)) == 2
        check_head(log)

    def test_times_of_another_applications_events_never_decrease_either(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append([new_event("run/a", 1)])
        clock.now -= 1_000
        log.append_foreign([ForeignEvent(f"order-{uuid4()}", 1, "shop:Ordered", b"{}")])
        assert [row.recorded_at for row in all_rows(log)] == [NOON, NOON]

"""What reads promise: order, bounds, prefixes and pages."""

from __future__ import annotations

from typing import Any

import pytest

from runlore.storage.event_log import (
    EventLog,
    StoredRow,
)
from runlore.storage.log_query import LogQuery
from runlore.testing.log_contract.basis import LogContract
from runlore.testing.logs import (
    new_event,
    new_events,
)


class ReadingContract(LogContract):
    """Tests of `read_stream`, `read_log` and their like."""

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

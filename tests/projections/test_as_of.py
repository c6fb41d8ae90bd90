"""What any view or table showed when the log ended somewhere is what it shows as of there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from runlore.domain import events as ev
from runlore.projections.metric_columns import MetricColumn, MetricFilter
from runlore.projections.metric_summaries_as_of import latest_as_of
from runlore.projections.reader import RunsReader
from runlore.projections.runner import catch_up
from runlore.projections.segment_files import Bounds
from runlore.projections.user_sql import QueryFailed, QueryRefused
from runlore.storage.value_codec import Series
from tests.docs.test_sql_views import VIEWS
from tests.examples import few
from tests.logged_values import Record
from tests.projections.histories import (
    Happening,
    History,
    asked,
    histories,
    history_of,
    projection_in_memory,
    reader_of,
)

SMALL = Bounds(seal_rows=5, fan=2, merged_max_rows=20)
COLUMNS = [
    *(MetricColumn("loss", what=what) for what in ("last", "min", "max", "mean", "n")),
    *(MetricColumn("loss", what=what) for what in ("first", "latest", "n_nonfinite")),
    *(MetricColumn("loss", what=what) for what in ("last_step", "min_step", "max_step")),
    MetricColumn("roc", "tpr"),
]


def shown(reader: RunsReader, as_of: int | None = None) -> list[Any]:
    """All that SQL and tables of runs tell; as text, in which NaN is itself and 0.0 not -0.0."""
    reader = reader if as_of is None else reader.at(as_of)
    # As texts: a clock may have been beyond the year 9999, where Python's datetime ends.
    query = "SELECT COLUMNS(*)::VARCHAR FROM {} ORDER BY ALL"
    views = [repr(reader.sql(query.format(view)).fetchall()) for view in VIEWS]
    filters = [MetricFilter(MetricColumn("loss", what="min"), "<", 0.5)]
    tables = [
        repr(reader.run_table(COLUMNS, order_by=COLUMNS[1])),
        repr(reader.run_table(COLUMNS[:1], filters=filters)),
    ]
    return [*views, *tables]


@pytest.mark.long
@settings(deadline=None, max_examples=few(6))
@given(histories)
def test_every_view_as_of_a_position_is_what_it_was_when_the_log_ended_there(
    appends: Sequence[Sequence[Happening]],
) -> None:
    history = History()
    then = []
    with reader_of(history.log) as reader:
        for append in appends:
            position = history.add(*append)
            then.append((position, shown(reader)))
        for position, answers in then:
            assert shown(reader, position) == answers


def values(*numbers: float, metric: str = "loss") -> list[Record]:
    return [Record(Series(metric), step, step, number) for step, number in enumerate(numbers)]


def grown(history: History) -> list[int]:
    """The positions at which a metric of two runs grew, in three batches each."""
    history.experiment()
    history.run("r0")
    history.run("r1")
    return [
        history.values(run_id, values(0.1 * number, 0.7, 1e17 / (number + 1)))
        for number in range(3)
        for run_id in ("r0", "r1")
    ]


def test_metrics_that_went_on_in_sealed_segments_are_summed_up_again(tmp_path: Path) -> None:
    history = History()
    history.experiment()
    history.run("r0")
    then = []
    with reader_of(history.log, tmp_path, SMALL) as reader:
        for number in range(6):
            logged = values(0.1 * number, 0.7, 1e17, metric=f"m{number % 2}")
            position = history.values("r0", logged)
            then.append((position, reader.sql("FROM metrics ORDER BY ALL").fetchall()))
        [(sealed,)] = asked(reader, "SELECT count(*) FROM store.segments")
        for position, answer in then:
            assert reader.at(position).sql("FROM metrics ORDER BY ALL").fetchall() == answer

    assert sealed > 0


@pytest.mark.parametrize("points", [1, 6, 7])
def test_series_that_went_on_are_summed_up_again_a_few_at_a_time(points: int) -> None:
    history = History()
    history.experiment()
    runs = [f"r{number}" for number in range(5)]
    for number, run_id in enumerate(runs):
        history.run(run_id)
        history.values(run_id, values(0.3 * number, *[0.1] * number))
    before = history.log.head().position

    with projection_in_memory() as projection:
        connection = projection.view.connection

        def latest(as_of: int | None) -> list[Any]:
            with latest_as_of(connection, as_of, points_at_once=points) as source:
                return connection.execute(f"FROM {source} ORDER BY ALL").fetchall()

        catch_up(projection, history.log)
        answer = latest(None)
        for run_id in runs:
            history.values(run_id, values(9.0, 8.0))
        catch_up(projection, history.log)
        assert latest(None) != answer
        assert latest(before) == answer


def test_queries_of_now_and_of_earlier_take_turns() -> None:
    history = History()
    positions = grown(history)
    query = "SELECT run_id, n FROM metrics ORDER BY run_id"

    with reader_of(history.log) as reader:
        for _ in range(2):
            assert reader.at(positions[2]).sql(query).fetchall() == [("r0", 6), ("r1", 3)]
            assert reader.sql(query).fetchall() == [("r0", 9), ("r1", 9)]


def test_a_view_as_of_a_position_goes_by_its_qualified_name_too() -> None:
    history = History()
    history.experiment()
    before = history.log.head().position
    history.run("r0")

    with reader_of(history.log) as reader:
        for name in ("runs", "RUNS", '"runs"', "(FROM runs)"):
            assert reader.at(before).sql(f"SELECT count(*) FROM {name}").fetchall() == [(0,)]


@pytest.mark.parametrize(
    "query",
    [
        "FROM store.run_tags",
        'SELECT (SELECT max(value) FROM "Store".run_tags)',
        "FROM memory.main.tags",
        "FROM memory.tags",
        "SUMMARIZE store.run_tags",
        "FROM QUERY_TABLE('store.run_tags')",
        "FROM query('FROM store.run_tags')",
        "FROM query('… st'||'ore.run_tags')",
        "FROM query('FROM st'||'ore.run_tags')",
        "FROM query_table('ru' || 'ns')",
        "FROM main.tags",
        "FROM run_tags",
        "WITH t AS (FROM memory.store.run_tags) FROM t",
    ],
)
def test_only_views_can_be_named_now_and_as_of_a_moment(query: str) -> None:
    history = History()
    history.experiment()
    history.run("r0", tags={"a": "x"})
    position = history.log.head().position
    with reader_of(history.log) as reader:
        for asked_of in (reader, reader.at(position)):
            with pytest.raises(QueryRefused, match="not a view|does not offer"):
                asked_of.sql(query)
        told = reader.at(position).sql("SELECT t.value, 'store.x', 1 AS memory FROM tags t")
        assert told.fetchall() == [("x", "store.x", 1)]


def test_payloads_of_later_events_are_not_shown_whatever_is_asked() -> None:
    history = History()
    history.experiment()
    before = history.log.head().position
    history.say("run/r0", ev.TagSet(key="a", value="b"))

    with reader_of(history.log) as reader:
        for query in (f"SELECT event_data_at({before + 1})", f"SELECT event_id_at({before + 1})"):
            for asked_of in (reader, reader.at(before)):
                with pytest.raises(QueryRefused, match="does not offer"):
                    asked_of.sql(query)
        query = "SELECT count(data), count(event_id) FROM events"
        assert reader.at(before).sql(query).fetchall() == [(before, before)]
        assert reader.sql(query).fetchall() == [(before + 1, before + 1)]


def test_a_query_that_fails_as_of_a_position_leaves_the_views_of_now() -> None:
    history = History()
    history.experiment()
    before = history.log.head().position
    history.run("r0")

    with reader_of(history.log) as reader:
        with pytest.raises(QueryFailed):
            reader.at(before).sql("SELECT nothing FROM runs, events")
        found = reader.sql("SELECT count(*), (SELECT count(*) FROM runs) FROM events").fetchall()

    assert found == [(2, 1)]


def test_whoever_removed_a_tag_stands_in_its_history() -> None:
    history = history_of([])
    history.experiment()
    history.run("r0", tags={"a": "x"})
    replaced = history.say("run/r0", ev.TagSet(key="a", value="y"))
    removed = history.say("run/r0", ev.TagRemoved(key="a"))
    query = "SELECT value, to_position, removed FROM tag_history ORDER BY from_position"

    with reader_of(history.log) as reader:
        assert reader.sql(query).fetchall() == [("x", replaced, False), ("y", removed, True)]
        then = reader.at(replaced).sql(query).fetchall()

    assert then == [("x", replaced, False), ("y", None, None)]

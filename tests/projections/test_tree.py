"""Trees of runs: every question agrees with a naive recursive query over the view `runs`."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.projections.filters import RunFilter, statuses_of
from runlore.projections.reader import RunsReader
from runlore.projections.rows import RunRow
from tests.examples import few
from tests.projections.histories import Happening, History, reader_of, run_created
from tests.strategies import few_keys, few_pairs, statuses

_NAIVE = """
WITH RECURSIVE below AS (
    SELECT run_id, 1 AS distance FROM runs WHERE parent_id = $run_id
    UNION ALL
    SELECT r.run_id, b.distance + 1 FROM runs r JOIN below b ON r.parent_id = b.run_id
)
SELECT r.run_id, b.distance FROM below b JOIN runs r USING (run_id)
WHERE ($recursive OR b.distance = 1)
AND ($type IS NULL OR r.run_type = $type)
AND ($status IS NULL OR r.status = $status)
AND ($tag IS NULL OR EXISTS (FROM tags t WHERE t.run_id = r.run_id AND t.key = $tag))
AND ($property IS NULL OR EXISTS (
    FROM properties p WHERE p.run_id = r.run_id AND p.key = $property AND p.value = 'x'))
ORDER BY r.run_id
"""


class Oracle:
    """The views' rows as plain tables in another database, asked by naive recursion."""

    def __init__(self, reader: RunsReader) -> None:
        self._connection = duckdb.connect()
        for view in ("runs", "tags", "properties"):
            rows: pa.Table = reader.sql(f"FROM {view}").arrow()
            self._connection.register("source", rows)
            self._connection.execute(f"CREATE TABLE {view} AS FROM source")
            self._connection.unregister("source")

    def below(self, run_id: str, *, recursive: bool = True, **wanted: str | None) -> list[Any]:
        given = {"type": None, "status": None, "tag": None, "property": None, **wanted}
        params = {"run_id": run_id, "recursive": recursive, **given}
        return self._connection.execute(_NAIVE, params).fetchall()

    def ids_below(self, run_id: str, **wanted: Any) -> list[str]:
        return [row[0] for row in self.below(run_id, **wanted)]

    def close(self) -> None:
        self._connection.close()


@st.composite
def forests(draw: st.DrawFn) -> list[Happening]:
    """Births of up to 25 runs, each below an earlier one or below none."""
    births: list[Happening] = []
    for number in range(draw(st.integers(1, 25))):
        parent = draw(st.none() | st.integers(0, number - 1)) if number else None
        event = run_created(
            f"r{number}",
            parent_id=None if parent is None else f"r{parent}",
            status=draw(statuses),
            run_type=draw(st.none() | st.sampled_from(["sweep", "script"])),
            tags=draw(few_pairs),
            properties=draw(few_pairs),
        )
        births.append(Happening(f"run/r{number}", event))
    return births


filters = st.fixed_dictionaries(
    {
        "type": st.none() | st.sampled_from(["sweep", "script"]),
        "status": st.none() | statuses.map(str),
        "tag": st.none() | few_keys,
        "property": st.none() | few_keys,
    }
)


def ids(rows: Any) -> list[str]:
    return sorted(row.run_id for row in rows)


@settings(deadline=None, max_examples=few(12))
@given(forests(), st.integers(1, 30), st.lists(filters, min_size=1, max_size=4), st.data())
def test_children_and_descendants_with_filters_at_every_level_are_those_of_naive_recursion(
    births: list[Happening], at_once: int, chosen: list[dict[str, Any]], data: st.DataObject
) -> None:
    history = History()
    history.experiment()
    with reader_of(history.log) as reader:
        for start in range(0, len(births), at_once):
            history.add(*births[start : start + at_once])
            reader.projection.refresh()
        oracle = Oracle(reader)
        for filters in ({"type": None, "status": None, "tag": None, "property": None}, *chosen):
            run_id = data.draw(st.sampled_from(births)).stream.removeprefix("run/")
            for recursive in (True, False):
                found = reader.runs(
                    RunFilter(
                        below_run=run_id,
                        include_children=recursive,
                        type=filters["type"],
                        statuses=statuses_of(filters["status"]),
                        tags=filters["tag"],
                        properties={filters["property"]: "x"} if filters["property"] else None,
                    )
                )
                assert ids(found) == oracle.ids_below(run_id, recursive=recursive, **filters)
        tree = reader.sql("SELECT ancestor_id, run_id, distance FROM run_tree ORDER BY ALL")
        assert tree.fetchall() == sorted(
            (run_id, *row)
            for run_id in [one.stream.removeprefix("run/") for one in births]
            for row in oracle.below(run_id)
        )
        oracle.close()


def test_a_parent_may_arrive_after_its_children() -> None:
    history = History()
    history.experiment()
    history.run("grandchild", parent_id="child", root_id="parent")
    with reader_of(history.log) as reader:
        query = "SELECT run_id, parent_id, depth FROM runs ORDER BY run_id"
        assert reader.sql(query).fetchall() == [("grandchild", None, 0)]
        history.run("child", parent_id="parent", root_id="parent")
        history.run("parent")

        assert reader.sql(query).fetchall() == [
            ("child", "parent", 1),
            ("grandchild", "child", 2),
            ("parent", None, 0),
        ]
        below = RunFilter(below_run="parent", include_children=True)
        assert ids(reader.runs(below)) == ["child", "grandchild"]


@pytest.mark.parametrize("at_once", [1_000, 7], ids=["in one batch", "in many"])
def test_a_chain_of_a_thousand_runs_knows_all_that_is_below_each(at_once: int) -> None:
    history = History()
    history.experiment()
    births = [
        Happening(f"run/r{n:04}", run_created(f"r{n:04}", parent_id=f"r{n - 1:04}" if n else None))
        for n in range(1_000)
    ]
    with reader_of(history.log) as reader:
        for start in range(0, 1_000, at_once):
            history.add(*births[start : start + at_once])
            if start % 200 < at_once:
                reader.projection.refresh()

        below = list(reader.runs(RunFilter(below_run="r0000", include_children=True)))
        assert [row.run_id for row in below] == [f"r{n:04}" for n in range(999, 0, -1)]
        assert {row.root_id for row in below} == {"r0000"}
        assert ids(reader.runs(RunFilter(below_run="r0500", include_children=True))) == [
            f"r{n:04}" for n in range(501, 1000)
        ]
        assert ids(reader.runs(RunFilter(below_run="r0500"))) == ["r0501"]
        assert list(reader.runs(RunFilter(below_run="r0999", include_children=True))) == []
        depth = reader.sql("SELECT depth FROM runs WHERE run_id = 'r0999'").fetchall()
        assert depth == [(999,)]


def test_a_run_below_one_that_does_not_fit_is_found() -> None:
    history = History()
    history.experiment()
    history.run("root")
    history.run("middle", parent_id="root")
    history.run("leaf", parent_id="middle", tags={"good": None})

    with reader_of(history.log) as reader:
        assert ids(
            reader.runs(RunFilter(below_run="root", include_children=True, tags="good"))
        ) == ["leaf"]
        assert list(reader.runs(RunFilter(below_run="root", tags="good"))) == []


def test_runs_whose_paths_begin_alike_are_not_taken_for_each_other() -> None:
    history = History()
    history.experiment()
    births = [run_created(f"r{number}") for number in range(0x12)]
    history.add(*[Happening(f"run/{one.run_id}", one) for one in births])
    history.run("below the first", parent_id="r0")
    history.run("below the last", parent_id="r17")

    with reader_of(history.log) as reader:
        assert ids(reader.runs(RunFilter(below_run="r0", include_children=True))) == [
            "below the first"
        ]
        assert ids(reader.runs(RunFilter(below_run="r17", include_children=True))) == [
            "below the last"
        ]


def test_the_statuses_of_parents_and_children_are_independent() -> None:
    history = History()
    history.experiment()
    history.run("parent")
    for child, event in [
        ("bad", ev.RunFailed(error={"code": "UserError"})),
        ("off", ev.RunCanceled()),
    ]:
        history.run(child, parent_id="parent")
        history.say(f"run/{child}", event)
    history.say("run/parent", ev.RunCompleted())

    def status_by_id(rows: Any) -> dict[str, str]:
        return {row.run_id: row.status for row in rows if isinstance(row, RunRow)}

    with reader_of(history.log) as reader:
        assert status_by_id(reader.runs(RunFilter(include_children=True))) == {
            "parent": "Completed",
            "bad": "Failed",
            "off": "Canceled",
        }

"""PIVOT without its values: the values are found, and nothing is made for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore.projections.reader import RunsReader
from runlore.projections.user_sql import QueryFailed, QueryRefused
from tests.hostile.witness import connection_of
from tests.projections.histories import History, reader_of


@pytest.fixture(scope="module")
def reader() -> Iterator[RunsReader]:
    history = History()
    history.experiment()
    for number in range(3):
        history.run(f"r{number}", tags={"quality": "good", f"t{number}": "x"})
    with reader_of(history.log) as reader:
        reader.sql("FROM events")
        yield reader


def test_a_pivot_makes_a_column_of_each_value_that_is_found(reader: RunsReader) -> None:
    then = reader.at(reader.projection.refresh() - 1)
    before = connection_of(reader)
    query = "PIVOT tags ON key USING first(value) GROUP BY run_id ORDER BY run_id"

    result = reader.sql(query)

    assert result.columns == ["run_id", "quality", "t0", "t1", "t2"]
    assert result.fetchall()[1] == ("r1", "good", None, "x", None)
    assert then.sql(query).columns == ["run_id", "quality", "t0", "t1"]
    assert connection_of(reader) == before


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("PIVOT tags ON key", 4 + 4),
        ("SELECT * FROM (PIVOT tags ON key USING first(value) GROUP BY run_id)", 5),
        ("PIVOT (FROM tags WHERE key = 'none') ON key USING first(value) GROUP BY run_id", 1),
        ("PIVOT tags ON key, run_id USING count(*) GROUP BY value", 1 + 12),
        ("PIVOT tags ON key USING first(value) AS v, count(*) AS n GROUP BY run_id", 1 + 8),
        ("PIVOT tags ON key || '/' || value USING count(*) GROUP BY run_id", 1 + 4),
        ("PIVOT tags ON key IN ('quality'), value USING count(*) GROUP BY run_id", 1 + 2),
        ("WITH t AS (FROM tags) PIVOT t ON key USING first(value) GROUP BY run_id", 5),
        ("PIVOT (PIVOT tags ON key USING first(value) GROUP BY run_id) ON run_id", 4 + 3),
        ("PIVOT runs JOIN tags USING (run_id) ON key USING first(value) GROUP BY experiment", 5),
        ("PIVOT tags -- ON x\n ON /* IN */ key USING first(value) GROUP BY run_id;", 5),
    ],
)
def test_pivots_of_every_form_find_their_values(
    query: str, columns: int, reader: RunsReader
) -> None:
    assert len(reader.sql(query).columns) == columns


def test_values_of_a_pivot_stay_values_whatever_they_are(tmp_path: Path) -> None:
    history = History()
    history.experiment()
    hostile = ["'", "''", "a'), (SELECT 1) --", "__values_0", "$1", "\\", 'a"b', "x\ny", "é💥"]
    history.run("r0", tags=dict.fromkeys(hostile, "v"))
    with reader_of(history.log, tmp_path) as reader:
        result = reader.sql("PIVOT tags ON key USING first(value) GROUP BY run_id")
        assert sorted(result.columns) == sorted([*hostile, "run_id"])
        assert result.fetchall() == [("r0", *["v"] * len(hostile))]


@pytest.mark.parametrize(
    "query",
    [
        "PIVOT (FROM tags WHERE key = ?) ON key USING first(value)",
        "PIVOT tags ON key IN (SELECT 'a') USING first(value)",
        "PIVOT tags ON nothing USING first(value)",
    ],
)
def test_a_pivot_whose_values_cannot_be_found_says_so(query: str, reader: RunsReader) -> None:
    with pytest.raises((QueryRefused, QueryFailed), match="write ON column IN|nothing"):
        reader.sql(query, ["a"] if "?" in query else None)
    given = "PIVOT (FROM tags WHERE key = ?) ON key IN ('t1') USING first(value) GROUP BY run_id"
    assert reader.sql(given, ["t1"]).fetchall() == [("r1", "x")]

"""SQL of users: one reading SELECT at a time, whatever they try."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from runlore.domain import events as ev
from runlore.projections.reader import RunsReader
from runlore.projections.user_sql import RESULT_MAX_NBYTES, QueryFailed, QueryRefused
from runlore.storage.value_codec import Series
from tests.docs.test_sql_views import VIEWS
from tests.logged_values import Record
from tests.projections.histories import History, reader_of, rebuilt, tables_of

SECRET = "a secret of this machine"


@pytest.fixture(scope="module")
def history() -> History:
    history = History()
    history.experiment()
    history.run("r0", tags={"good": None})
    history.run("r1", parent_id="r0", properties={"author": "me"})
    values = [0.5, math.nan, -0.0, "text", None, 2**70]
    history.values("r0", [Record(Series("loss"), n, n, value) for n, value in enumerate(values)])
    return history


@pytest.fixture(scope="module")
def reader(history: History, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunsReader]:
    """One for all tests: none of them may leave a trace in it."""
    with reader_of(history.log, tmp_path_factory.mktemp("projections")) as reader:
        yield reader


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that no query may reach."""
    path = tmp_path / "outside.csv"
    path.write_text(f"a,b\n{SECRET},2\n")
    return path


FENCED = [
    "WITH gone AS (DELETE FROM store.runs RETURNING run_id) SELECT * FROM gone",
    "WITH new AS (INSERT INTO store.series VALUES (9, 'a', 'b', 'c') RETURNING name) FROM new",
    "WITH new AS (UPDATE store.runs SET name = 'x' RETURNING name) SELECT count(*) FROM new",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE store.runs",
    "INSERT INTO tracking VALUES ('other', 1, '')",
    "UPDATE tracking SET notification_id = 0",
    "DELETE FROM store.events",
    "TRUNCATE store.events",
    "MERGE INTO store.runs t USING store.runs s ON t.run_no = s.run_no WHEN MATCHED THEN DELETE",
    "CREATE TABLE mine (a INT)",
    "CREATE TEMP TABLE mine (a INT)",
    "CREATE OR REPLACE VIEW runs AS SELECT 1",
    "CREATE MACRO runs() AS 1",
    "CREATE SECRET (TYPE s3)",
    "ALTER TABLE store.runs ADD COLUMN mine INT",
    "DROP VIEW runs",
    "COMMENT ON TABLE store.runs IS 'mine'",
    "COPY store.runs TO '{folder}/stolen.csv'",
    "COPY (SELECT 1) TO '{folder}/stolen.parquet'",
    "COPY store.series FROM '{outside}'",
    "ATTACH '{folder}/other.duckdb'",
    "DETACH projection",
    "USE store",
    "CONNECT '{folder}/other.duckdb'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET GLOBAL memory_limit = '100GB'",
    "SET VARIABLE x = 1",
    "RESET threads",
    "PRAGMA table_info('runs')",
    "PRAGMA memory_limit = '100GB'",
    "EXPORT DATABASE '{folder}/stolen'",
    "IMPORT DATABASE '{folder}'",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN SELECT 1",
    "SELECT * FROM read_csv('{outside}')",
    "SELECT * FROM sniff_csv('{outside}')",
    "SELECT * FROM read_text('{outside}')",
    "SELECT * FROM read_blob('{outside}')",
    "SELECT * FROM read_json('{outside}')",
    "SELECT * FROM read_parquet('{outside}')",
    "SELECT * FROM parquet_metadata('{outside}')",
    "SELECT * FROM read_duckdb('{outside}')",
    "SELECT * FROM '{outside}'",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_csv('https://example.org/a.csv')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql("
    "'SELECT * FROM read_text(''{outside}'')'))",
    "SELECT * FROM query('DROP TABLE store.runs')",
    "SELECT * FROM enable_logging()",
    "SELECT * FROM force_checkpoint()",
    "SELECT getenv('HOME')",
    "SELECT * FROM history",
    "SELECT * FROM duckdb_databases()",
    "SELECT * FROM duckdb_settings()",
    "SELECT getvariable('segments')",
    "SELECT $segments",
    "",
    "-- nothing",
    "SELEC 1",
    "SELECT '\udc80'",
]
"""What must fail: it writes, leaves the database, changes settings, or is not one SELECT."""


@pytest.mark.parametrize("statement", FENCED, ids=lambda statement: ascii(statement)[:40])
def test_a_fenced_statement_fails_with_our_error_and_changes_nothing(
    statement: str, reader: RunsReader, history: History, outside: Path, tmp_path: Path
) -> None:
    query = statement.replace("{outside}", str(outside)).replace("{folder}", str(tmp_path))
    reader.projection.refresh()
    read = reader.projection.events_read

    with pytest.raises((QueryRefused, QueryFailed)) as raised:
        reader.sql(query)

    assert SECRET not in str(raised.value)
    assert isinstance(raised.value, QueryRefused | QueryFailed)
    assert raised.value.query == query
    assert list(tmp_path.iterdir()) == [outside]
    assert tables_of(reader) == rebuilt(history.log)
    assert reader.projection.events_read == read, "nothing was rebuilt"


def test_the_refusal_says_what_was_found_and_which_views_there_are(reader: RunsReader) -> None:
    with pytest.raises(QueryRefused, match="2 statements .SELECT, DROP") as raised:
        reader.sql("SELECT 1; DROP TABLE store.runs")
    listed = str(raised.value).partition("the views are ")[2].split(", ")
    assert sorted(listed) == sorted(VIEWS)
    with pytest.raises(QueryRefused, match="takes one SELECT .* got a int"):
        reader.sql(5)  # type: ignore[arg-type]  # What is tested.


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT 1;", [(1,)]),
        ("-- first\nSELECT 1 -- last", [(1,)]),
        ("VALUES (1), (2)", [(1,), (2,)]),
        ("FROM runs SELECT run_id ORDER BY run_id", [("r0",), ("r1",)]),
        ("WITH x AS (SELECT 1 AS a) SELECT a FROM x", [(1,)]),
        ("SELECT '; DROP TABLE store.runs'", [("; DROP TABLE store.runs",)]),
        ("SELECT * FROM runs WHERE false", []),
    ],
    ids=str,
)
def test_one_select_in_whatever_dress_is_answered(
    query: str, rows: list[tuple[Any, ...]], reader: RunsReader
) -> None:
    assert reader.sql(query).fetchall() == rows


def test_parameters_bind_by_place_and_by_name(reader: RunsReader) -> None:
    for params in (["r1", 1], ("r1", 1)):
        found = reader.sql("SELECT run_id FROM runs WHERE run_id = ? AND depth = ?", params)
        assert found.fetchall() == [("r1",)]
    named = reader.sql("SELECT run_id FROM runs WHERE run_id = $id", {"id": "r0"})
    assert named.fetchall() == [("r0",)]
    assert reader.sql("SELECT ?", ["'; DROP TABLE store.runs"]).fetchall() == [
        ("'; DROP TABLE store.runs",)
    ]
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert reader.sql("SELECT ? AS a, ? AS b", [moment, None]).fetchall() == [(moment, None)]
    nothing: tuple[Any, ...] = (None, [], {}, ())
    for empty in nothing:
        assert reader.sql("SELECT 1", empty).fetchall() == [(1,)]


@pytest.mark.parametrize(
    "params",
    [[], [1, 2], {"b": 1}, "x", b"x", 5, [object], [2**200], ["\udc80"]],
    ids=ascii,
)
def test_parameters_that_do_not_fit_fail_with_our_error(params: Any, reader: RunsReader) -> None:
    with pytest.raises(QueryFailed):
        reader.sql("SELECT ?", params)
    assert reader.sql("SELECT 1").fetchall() == [(1,)]


def test_arrow_pandas_polars_and_tuples_agree(reader: RunsReader) -> None:
    result = reader.sql(
        "SELECT run_id, number, created_at, duration_s, parent_id FROM runs ORDER BY number"
    )
    rows = result.fetchall()

    assert len(result) == len(rows) == 2
    assert list(result) == rows
    assert result.columns == ["run_id", "number", "created_at", "duration_s", "parent_id"]
    assert list(map(tuple, map(dict.values, result.arrow().to_pylist()))) == rows
    assert result.polars().rows() == rows
    frame = result.pandas()
    assert list(frame["run_id"]) == ["r0", "r1"]
    assert list(frame["created_at"]) == [row[2] for row in rows]
    assert list(frame["parent_id"].isna()) == [True, False]
    with duckdb.connect() as other:
        assert other.from_arrow(result).aggregate("count(*)").fetchall() == [(2,)]
    assert repr(result).startswith("SqlResult(2 rows: run_id, number")
    assert rows[0][2].utcoffset().total_seconds() == 0


def test_intervals_are_time_spans_in_every_form_and_whole_numbers_stay_whole(
    reader: RunsReader,
) -> None:
    result = reader.sql(
        "SELECT * FROM (VALUES (1, INTERVAL 90 MINUTE, [INTERVAL 1 DAY]), (NULL, NULL, NULL)) "
        "t(whole, span, spans)"
    )
    rows = [(1, timedelta(minutes=90), [timedelta(days=1)]), (None, None, None)]

    assert result.fetchall() == rows
    assert result.polars().rows() == rows
    frame = result.pandas()
    assert str(frame["whole"].dtype) == "Int32"
    assert frame["span"].tolist()[0] == timedelta(minutes=90)


def test_payloads_of_events_are_those_of_the_log_however_they_are_asked_for(tmp_path: Path) -> None:
    history = History()
    history.experiment()
    history.run("r0")
    for number in range(3_000):
        history.say("run/r0", ev.TagSet(key=f"k{number}", value=f"v{number}"))
    first = history.log.head().position - 2_999
    asked = (
        "SELECT position, json_extract_string(data, '$.value'), event_id FROM events "
        "WHERE topic = 'run.tag_set' AND {} ORDER BY position"
    )

    with reader_of(history.log, tmp_path) as reader:
        whole = reader.sql(asked.format("true")).fetchall()
        assert [row[:2] for row in whole] == [(first + n, f"v{n}") for n in range(3_000)]
        assert len({event_id for _, _, event_id in whole}) == 3_000
        assert reader.sql(asked.format("position % 40 = 0")).fetchall() == [
            row for row in whole if row[0] % 40 == 0
        ]
        assert reader.sql(asked.format("true") + " DESC").fetchall() == whole[::-1]

        history.say("run/r0", ev.TagSet(key="k", value="new"))
        (new,) = reader.sql(asked.format(f"position >= {first + 3_000}")).fetchall()
    assert new[1] == "new", "what was read ahead of the end is asked for again"


def test_numbers_that_are_hard_to_carry_arrive_in_every_form(reader: RunsReader) -> None:
    query = 'SELECT value FROM metric_points ORDER BY "index"'
    result = reader.sql(query)

    assert list(map(repr, (value for (value,) in result.fetchall()))) == [
        "0.5", "nan", "-0.0", "None", "None", repr(float(2**70)),
    ]  # fmt: skip
    assert result.arrow().column(0).null_count == 2
    assert result.polars()["value"].null_count() == 2
    assert result.polars()["value"].is_nan().sum() == 1


@pytest.mark.parametrize("at", [0, 299_999])
def test_an_error_inside_the_data_surfaces_in_the_call(at: int, reader: RunsReader) -> None:
    with pytest.raises(QueryFailed, match="inside the data"):
        reader.sql(f"SELECT CASE WHEN range = {at} THEN error('inside the data') END "
                   "FROM range(300000)")  # fmt: skip
    assert reader.sql("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT repeat('x', 1000) FROM range(100_000_000)",
        "SELECT string_agg(repeat('x', 1000), '') FROM range(10_000_000)",
    ],
    ids=["many rows", "one large value"],
)
def test_a_result_beyond_the_memory_limit_fails_and_the_reader_works_on(
    query: str, reader: RunsReader
) -> None:
    with pytest.raises(QueryFailed, match="larger than 1 GB|Out of Memory"):
        reader.sql(query)
    assert reader.sql("SELECT count(*) FROM runs").fetchall() == [(2,)]
    assert RESULT_MAX_NBYTES == 1_000_000_000


@pytest.mark.parametrize(
    "query",
    [
        "SELECT nothing FROM runs",
        "SELECT * FROM nowhere",
        "SELECT nothing()",
        "SELECT 'x'::INT",
        "SELECT max(run_id) FROM runs WHERE max(run_id) = 'r0'",
        "SELECT * FROM runs WHERE run_id = ?",
        "SELECT error('IO Error: not at all')",
    ],
)
def test_a_mistake_in_a_query_rebuilds_nothing(query: str, reader: RunsReader) -> None:
    head = reader.projection.refresh()
    read = reader.projection.events_read

    with pytest.raises((QueryFailed, QueryRefused)):
        reader.sql(query)

    assert reader.projection.refresh() == head
    assert reader.projection.events_read == read


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize(
    "query",
    [
        "SELECT sum(a.range * b.range) FROM range(10_000_000) a, range(10_000_000) b",
        "SELECT a.range FROM range(10_000_000) a, range(10_000_000) b WHERE a.range + b.range < 0",
    ],
    ids=["before the result", "within the result"],
)
def test_an_interrupt_ends_a_query_at_any_moment_and_the_reader_works_on(
    query: str, reader: RunsReader
) -> None:
    reader.projection.refresh()
    read = reader.projection.events_read
    for wait in range(20):
        timer = threading.Timer(wait / 500, os.kill, [os.getpid(), signal.SIGINT])
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            reader.sql(query)
        timer.join()
        assert reader.sql("SELECT 1").fetchall() == [(1,)]
    assert reader.projection.events_read == read

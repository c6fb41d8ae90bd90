"""SQL that attacks: it writes, shows the machine, or goes past a moment. None of it does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb
import pytest

from runlore.domain.errors import RunloreError
from runlore.projections.open_tables import OpenTables
from runlore.projections.own_projection import TablesChanged
from runlore.projections.reader import RunsReader
from runlore.projections.sql_fence import Reach, reach, tree_of
from runlore.projections.user_sql import QueryFailed, QueryRefused, Question, SqlResult, run_query
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.value_codec import Series
from tests.hostile.sql_attacks import ALLOWED, ATTACKS, COPY, DELETE, INSERT, PLACES, UPDATE
from tests.hostile.witness import files_of, state_of
from tests.logged_values import Record
from tests.projections.histories import History, reader_of, rebuilt, tables_of
from tests.projections.test_segments import SMALL, log_some

SECRET = "a secret of this machine"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log and tables, and a file with a secret."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "secret.csv").write_text(f"a,b\n{SECRET},2\n")
    return folder


@pytest.fixture(scope="module")
def reader(folder: Path) -> Iterator[RunsReader]:
    """A reader with sealed segments. One for all tests: none may leave a trace in it."""
    history = History(open_sqlite(folder / "log.sqlite"))
    history.experiment()
    for number in range(3):
        history.run(f"r{number}", tags={"quality": "good", f"t{number}": "x"})
    log_some(history, 9)
    with reader_of(history.log, folder / "tables", SMALL) as reader:
        reader.sql("SELECT count(data) FROM events")
        yield reader
    history.log.close()


@pytest.fixture
def then(reader: RunsReader) -> RunsReader:
    return reader.at(reader.projection.refresh() - 1)


def serialized(query: str) -> str:
    """The tree of a query, as `json_execute_serialized_sql` takes it."""
    with duckdb.connect() as connection:
        return str(connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])


# --- the table of attacks ---------------------------------------------------------------------


def filled(statement: str, reader: RunsReader, folder: Path) -> str:
    """The attack with the paths of this reader."""
    [segment, *_] = (folder / "tables").rglob("*.parquet")
    made = {"UPDATE": UPDATE, "INSERT": INSERT, "DELETE": DELETE, "COPY": COPY}

    def with_paths(text: str) -> str:
        text = text.replace("{segment}", str(segment)).replace("{folder}", str(folder))
        return text.replace("{secret}", f"{folder}/secret.csv")

    for name, query in made.items():
        mark = f"{{tree of {name}}}"
        if mark in statement:
            statement = statement.replace(mark, serialized(with_paths(query)))
    return with_paths(statement)


@pytest.mark.parametrize("statement", ATTACKS, ids=ascii)
def test_an_attack_is_refused_and_changes_nothing(
    statement: str, reader: RunsReader, then: RunsReader, folder: Path
) -> None:
    query = filled(statement, reader, folder)
    before = state_of(reader, folder)

    for asked_of in (reader, then):
        with pytest.raises((QueryRefused, QueryFailed)) as raised:
            asked_of.sql(query)
        said = str(raised.value)
        assert SECRET not in said
        assert str(folder) not in said or str(folder) in query

    assert state_of(reader, folder) == before


@pytest.mark.parametrize("place", PLACES)
def test_there_is_no_place_where_the_fence_does_not_look(
    place: str, reader: RunsReader, then: RunsReader
) -> None:
    for value in (
        "getvariable('segments')",
        "(SELECT max(value) FROM store.run_tags)",
        "(SELECT max(path) FROM duckdb_databases())",
    ):
        query = place.format(value=value)
        for asked_of in (reader, then):
            with pytest.raises((QueryRefused, QueryFailed)) as raised:
                asked_of.sql(query)
            if isinstance(raised.value, QueryFailed):
                assert "Parser Error" in raised.value.reason
    allowed = place.format(value="'a'")
    with duckdb.connect() as connection:
        connection.execute("SELECT json_serialize_sql(?)", [allowed])


# --- kinds of statements ----------------------------------------------------------------------

STATEMENTS = {
    "ALTER": "ALTER TABLE store.runs ADD COLUMN mine INT",
    "ATTACH": "ATTACH '{folder}/other.duckdb' AS other",
    "CALL": "CALL pragma_version()",
    "COPY": "COPY store.runs TO '{folder}/stolen.csv'",
    "CREATE": "CREATE TEMP TABLE mine (a INT)",
    "DELETE": "DELETE FROM store.runs",
    "DETACH": "DETACH projection",
    "DROP": "DROP VIEW runs",
    "EXECUTE": "EXECUTE p",
    "EXPLAIN": "EXPLAIN ANALYZE SELECT 1",
    "EXPORT": "EXPORT DATABASE '{folder}/stolen'",
    "INSERT": "INSERT INTO store.series VALUES (9, 'a', 'b', 'c')",
    "LOAD": "LOAD httpfs",
    "MERGE_INTO": "MERGE INTO store.runs t USING store.runs s ON t.run_no = s.run_no "
    "WHEN MATCHED THEN DELETE",
    "MULTI": "PIVOT store.run_tags ON key USING first(value)",
    "PRAGMA": "PRAGMA table_info('runs')",
    "PREPARE": "PREPARE p AS SELECT 1",
    "SET": "SET threads = 8",
    "TRANSACTION": "BEGIN",
    "UPDATE": "UPDATE store.runs SET name = 'x'",
    "VACUUM": "VACUUM",
}
WITHOUT_TEXT = {
    *("INVALID", "ANALYZE", "COPY_DATABASE", "CREATE_FUNC", "EXTENSION", "LOGICAL_PLAN"),
    *("RELATION", "VARIABLE_SET"),
}
"""Kinds that DuckDB names and gives to no text."""

OTHER_STATEMENTS = [
    "ANALYZE",
    "CHECKPOINT",
    "COMMENT ON TABLE store.runs IS 'mine'",
    "CONNECT '{folder}/other.duckdb'",
    "COPY FROM DATABASE projection TO memory",
    "CREATE MACRO runs() AS TABLE SELECT 1",
    "CREATE OR REPLACE TEMP VIEW runs AS SELECT 1",
    "CREATE SECRET (TYPE s3)",
    "CREATE TEMP MACRO upper(x) AS 1",
    "CREATE TYPE mine AS ENUM ('a')",
    "DEALLOCATE p",
    "IMPORT DATABASE '{folder}'",
    "INSTALL httpfs",
    "PRAGMA enable_profiling",
    "PRAGMA memory_limit = '100GB'",
    "RESET threads",
    "SET GLOBAL enable_external_access = true",
    "SET VARIABLE segments = []",
    "TRUNCATE store.runs",
    "UPDATE EXTENSIONS",
    "USE store",
]


def test_every_kind_of_statement_but_a_select_is_refused(reader: RunsReader, folder: Path) -> None:
    kinds = {name for name in dir(duckdb.StatementType) if name.isupper()}
    assert kinds == {*STATEMENTS, *WITHOUT_TEXT, "SELECT"}
    before = state_of(reader, folder)
    for kind, statement in STATEMENTS.items():
        query = statement.replace("{folder}", str(folder))
        with duckdb.connect() as connection:
            assert [one.type.name for one in connection.extract_statements(query)] == [kind]
        with pytest.raises(QueryRefused):
            reader.sql(query)
    for statement in OTHER_STATEMENTS:
        with pytest.raises((QueryRefused, QueryFailed)):
            reader.sql(statement.replace("{folder}", str(folder)))
    assert state_of(reader, folder) == before


def test_what_a_newer_duckdb_brings_is_refused_until_it_is_listed() -> None:
    with duckdb.connect() as connection:
        tree = tree_of(connection, "SELECT upper('a') FROM runs ORDER BY 1")
    assert reach("", tree).views == {"runs"}
    text = json.dumps(tree)
    for known in ('"upper"', '"SELECT_NODE"', '"BASE_TABLE"', '"ORDER_MODIFIER"', '"CONSTANT"'):
        assert known in text
        with pytest.raises(QueryRefused):
            reach("", json.loads(text.replace(known, '"something_new"')))


# --- what stays allowed -----------------------------------------------------------------------


@pytest.mark.parametrize("query", ALLOWED)
def test_what_only_reads_is_answered(query: str, reader: RunsReader, then: RunsReader) -> None:
    assert len(reader.sql(query).fetchall()) > 0
    assert len(then.sql(query).columns) > 0


def test_a_refusal_names_what_was_refused_and_the_nearest_that_is_offered(
    reader: RunsReader,
) -> None:
    for query, found, nearest in (
        ("SELECT uper('a')", "the function 'uper', which it does not offer", "upper"),
        ("FROM rnge(3)", "the table function 'rnge', which it does not offer", "range"),
        ("FROM tag", "the table 'tag', which is not a view", "tags"),
        ("FROM store.runs", "the table 'store.runs', which is not a view", "runs"),
    ):
        said = f"{found} (the nearest is {nearest!r})"
        with pytest.raises(QueryRefused) as raised:
            reader.sql(query)
        assert said in str(raised.value)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
        "SELECT " + "-" * 1 + " + ".join(["1"] * 20_000),
        "SELECT " + "[" * 3_000 + "]" * 3_000,
        "SELECT * FROM " + "(SELECT * FROM " * 500 + "runs" + ")" * 500,
        "SELECT 1\0",
        "SELECT '\ud800'",
        "PIVOT",
        "PIVOT tags ON",
        "pivot pivot on pivot using pivot",
        "WITH",
        ";",
        'SELECT 1 AS "' + "x" * 1_000_000 + '"',
    ],
    ids=lambda query: ascii(query[:30]),
)
def test_malformed_and_monstrous_queries_fail_with_our_error_or_are_answered(
    query: str, reader: RunsReader
) -> None:
    try:
        reader.sql(query).fetchall()
    except RunloreError as error:
        assert len(str(error)) < 3_000
    assert reader.sql("SELECT 1").fetchall() == [(1,)]


# --- the wall behind it -----------------------------------------------------------------------


def test_segments_cannot_be_written_and_a_change_of_one_is_noticed(tmp_path: Path) -> None:
    history = History()
    history.experiment()
    for number in range(3):
        history.run(f"r{number}")
    log_some(history, 9)
    query = (
        "SELECT run_id, metric, sum(value), count(*) FROM metric_points GROUP BY ALL ORDER BY ALL"
    )
    with reader_of(history.log, tmp_path, SMALL) as reader:
        right = reader.sql(query).fetchall()
        segments = list(tmp_path.rglob("*.parquet"))
        assert segments
        for segment in segments:
            assert segment.stat().st_mode & 0o222 == 0
            content = bytearray(segment.read_bytes())
            content[len(content) // 2] ^= 1
            segment.chmod(0o600)
            segment.write_bytes(content)
        assert reader.sql(query).fetchall() == right, "they were made again"
        for segment in tmp_path.rglob("*.parquet"):
            segment.chmod(0o600)
            segment.write_bytes(b"no Parquet at all")
        assert reader.sql(query).fetchall() == right


def test_a_query_that_gets_past_the_fence_changes_no_answer(tmp_path: Path) -> None:
    history = History()
    history.experiment()
    history.run("r0", tags={"quality": "bad"})
    log_some(history, 1)
    for number in range(9):
        history.values("r0", [Record(Series("loss"), number, 0, 1.0)])
    points = "SELECT count(*), min(value), max(value) FROM metric_points WHERE metric = 'loss'"
    with (
        reader_of(history.log, tmp_path, SMALL) as reader,
        reader_of(history.log, tmp_path, SMALL) as other,
    ):
        right = reader.sql(points).fetchall()
        reader.projection.publish()
        assert other.sql(points).fetchall() == right
        for attack in (UPDATE, INSERT, DELETE, COPY):
            [segment, *_] = sorted((tmp_path).rglob("reader-0/segments/*.parquet"))
            tree = serialized(attack.replace("{segment}", str(segment)))
            query = f"SELECT * FROM json_execute_serialized_sql($${tree}$$)"
            with pytest.raises(TablesChanged):
                reader.projection.ask(partial(_past_the_fence, reader, query))
            for one in (reader, other):
                assert tables_of(one) == rebuilt(history.log)
                assert one.sql(points).fetchall() == right


def _past_the_fence(reader: RunsReader, query: str, tables: OpenTables) -> SqlResult:
    with reader.projection.unchanged():
        question = Question(query, query, Reach(frozenset(), frozenset()))
        return run_query(tables.connection, question, None)


def test_nothing_is_read_but_the_database_and_its_segments_even_without_the_fence(
    reader: RunsReader, folder: Path
) -> None:
    before = files_of(folder)
    for statement in (
        f"SELECT * FROM read_text('{folder}/secret.csv')",
        f"COPY (SELECT 1) TO '{folder}/x.csv'",
        f"ATTACH '{folder}/x.duckdb'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        assert reader.projection.ask(partial(_error_of, statement)), statement
    assert files_of(folder) == before


def _error_of(statement: str, tables: OpenTables) -> str:
    try:
        tables.connection.execute(statement)
    except duckdb.Error as error:
        return str(error)
    return ""

"""Every function of the installed DuckDB: refused, or without any effect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from runlore.domain.errors import RunloreError
from runlore.projections.reader import RunsReader
from runlore.projections.sql_allowed import FUNCTIONS, TABLE_FUNCTIONS
from runlore.projections.user_sql import QueryRefused
from runlore.storage.open_sqlite import open_sqlite
from tests.hostile.sql_calls import calls
from tests.hostile.sql_functions import REFUSED, REFUSED_TABLE_FUNCTIONS, new_functions
from tests.hostile.witness import state_of, stats_of
from tests.projections.histories import History, reader_of
from tests.projections.test_segments import SMALL, log_some

SECRET = "a secret of this machine"
NEVER_ANSWER = {"error"}


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
        history.run(f"r{number}", tags={"a": "b"})
    log_some(history, 9)
    with reader_of(history.log, folder / "tables", SMALL) as reader:
        reader.sql("SELECT count(data) FROM events")
        yield reader
    history.log.close()


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def test_somebody_has_looked_at_every_function(connection: duckdb.DuckDBPyConnection) -> None:
    assert new_functions(connection) == {"function": [], "table function": []}, (
        "python -m tests.hostile.sql_functions prints them with their parameters"
    )


def test_no_function_is_both_offered_and_refused() -> None:
    refused = " ".join(REFUSED.values()).split()
    assert not FUNCTIONS.intersection(refused)
    refused = " ".join(REFUSED_TABLE_FUNCTIONS.values()).split()
    assert not TABLE_FUNCTIONS.intersection(refused)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "at"),
    [("'abc'", "now"), ("path", "now"), ("'DELETE FROM store.runs'", "now"), ("'runs'", "as of")],
)
def test_every_function_is_refused_or_changes_nothing(
    text: str, at: str, reader: RunsReader, folder: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    if text == "path":
        text = f"'{folder}/secret.csv'"
    asked_of = reader if at == "now" else reader.at(reader.projection.refresh())
    before, stats = state_of(reader, folder), stats_of(folder)
    answered, failed = set(), set()

    for call in calls(connection, text):
        try:
            shown = repr(asked_of.sql(call.statement).fetchall())
        except QueryRefused:
            continue
        except RunloreError:
            failed.add(call.name)
        else:
            assert SECRET not in shown and "/tables/" not in shown, call
            assert call.name.lower() in FUNCTIONS | TABLE_FUNCTIONS, call
            answered.add(call.name)
        if stats_of(folder) != stats:
            pytest.fail(f"{call.statement} changed a file")

    assert state_of(reader, folder) == before
    if text == "'abc'":
        offered = {name for name in failed if name.lower() in FUNCTIONS | TABLE_FUNCTIONS}
        assert offered - answered <= NEVER_ANSWER, "arguments that fit were given to all others"


@pytest.mark.long
def test_every_function_without_arguments_is_refused_where_a_column_could_stand(
    reader: RunsReader, connection: duckdb.DuckDBPyConnection
) -> None:
    """DuckDB calls some functions that are written without brackets, as `current_user`."""
    names = connection.execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    called = set()
    for (name,) in names:
        try:
            reader.sql(f'SELECT "{name}"')
        except RunloreError:
            continue
        called.add(name)
    constants = {"current_catalog", "current_schema", "current_role", "current_user"}
    constants |= {"session_user", "user"}
    assert called == constants | {"current_date"}
    assert reader.sql(f"SELECT {', '.join(sorted(constants))}").fetchall() == [
        ("projection", "duckdb", "main", "duckdb", "duckdb", "duckdb")
    ]

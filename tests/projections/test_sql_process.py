"""SQL in a process of its own: the same answers, and a process that comes and goes as it should."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import msgpack
import numpy as np
import pytest
from arro3.core import Table

from runlore import Experiment, Workspace
from runlore.domain.errors import InvalidInput, InvalidType
from runlore.engine.lanes import DEFAULT_LANE
from runlore.projections.query_limits import QueryLimits, QueryTimedOut
from runlore.projections.sql_errors import ValueNotShown
from runlore.projections.sql_process.arrow_bytes import (
    BatchBytes,
    batch_of,
    schema_of,
    schema_tree,
    sizes_in,
)
from runlore.projections.sql_process.memory import data_limited, resident_nbytes
from runlore.projections.sql_process.parent import SqlProcess
from runlore.projections.user_sql import QueryFailed, QueryRefused, SqlResult
from runlore.storage.held_folder import FolderMoved
from runlore.workspace import session_of
from tests.fresh_python import run_python, without_settings
from tests.processes import in_child, start_python, wait_until
from tests.workspaces import in_memory, start

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One for all tests, so that its process is warm."""
    with Workspace.create("lab", path=tmp_path_factory.mktemp("lab") / "lab") as workspace:
        workspace.experiments  # noqa: B018
        yield workspace


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Workspace]:
    """One for a test that does something to its process or its folder."""
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        yield workspace


def process_of(workspace: Workspace) -> SqlProcess:
    return session_of(workspace).isolated(DEFAULT_LANE).process


def ask(workspace: Workspace, query: str, params: Any = None, **limits: Any) -> SqlResult:
    return workspace.sql(query, params, isolated=True, **limits)


def answers(workspace: Workspace) -> bool:
    return ask(workspace, "SELECT 42").fetchall() == [(42,)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- answers ----------------------------------------------------------------------------------


def types() -> list[str]:
    """The columns of DuckDB's own table with a value of each type, and the extremes of it."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT column_name FROM (DESCRIBE FROM test_all_types())"
        ).fetchall()
    return [f'SELECT "{name}" AS x, 1 AS x FROM test_all_types()' for (name,) in rows]


SHAPES = [
    "SELECT NULL AS x",
    "SELECT * FROM range(0)",
    "FROM range(300000)",
    "SELECT [] AS a, {'b': NULL} AS b",
    "SELECT range % 3 = 0 AS a, CASE WHEN range % 2 = 0 THEN 'x' || range END AS b, [range, NULL] "
    "AS c FROM range(1000)",
    "SELECT repeat('x', 1000000 + range::INT) AS x FROM range(30)",
]


def carried(table: Table) -> Table:
    """The table as it comes out of bytes."""
    described = through(schema_tree(table.schema))
    batches = []
    for batch in table.to_batches():
        content = BatchBytes(batch)
        tree, buffers = through(content.tree), [bytearray(one) for one in content.buffers]
        assert [len(one) for one in buffers] == sizes_in(tree)
        batches.append(batch_of(described, tree, buffers))
    return Table.from_batches(batches, schema=schema_of(described))


def through(tree: Any) -> Any:
    return msgpack.unpackb(msgpack.packb(tree))


@pytest.mark.parametrize("query", [*types(), *SHAPES])
def test_a_table_of_any_type_survives_as_bytes(query: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        table = Table.from_arrow(connection.sql(query))

    found = carried(table)

    assert found.schema == table.schema
    assert str(found) == str(table)  # All of the three rows of `test_all_types()`.
    pairs = zip(found.to_batches(), table.to_batches(), strict=True)
    assert all(one.equals(other) for one, other in pairs)
    assert values(found) == values(table)


def test_the_bytes_of_a_table_are_freed_with_it() -> None:
    with duckdb.connect() as connection:
        table = carried(Table.from_arrow(connection.sql("SELECT range AS x FROM range(1000000)")))
    part = table.column("x").chunk(0)
    nbytes = process_nbytes()
    many = [carried(table) for _ in range(20)]
    assert process_nbytes() > nbytes + 100_000_000
    del many, table
    gc.collect()

    assert process_nbytes() < nbytes + 50_000_000
    assert part.to_pylist()[:3] == [0, 1, 2]


def test_a_schema_that_was_only_looked_at_is_freed() -> None:
    with duckdb.connect() as connection:
        plain = schema_tree(Table.from_arrow(connection.sql("SELECT 1 AS x")).schema)
    text = bytes(10_000_000)
    noted = struct.pack("<ii1si", 1, 1, b"k", len(text)) + text
    format, name, _, *others = plain
    nbytes = process_nbytes()
    schemas = [schema_of([format, name, noted, *others]) for _ in range(20)]
    assert {schema.metadata[b"k"] for schema in schemas} == {text}
    del schemas
    gc.collect()

    assert process_nbytes() < nbytes + 100_000_000


def process_nbytes() -> int:
    return resident_nbytes(os.getpid())


def values(table: Table) -> str:
    """As tuples, or else why they cannot be shown."""
    try:
        return repr(SqlResult(table).fetchall())
    except ValueNotShown as error:
        return str(error)


QUERIES = [
    "SELECT 1 AS one, 'a' AS text, NULL AS nothing",
    "SELECT 1 AS x, 2 AS x",
    "SELECT * FROM range(300000) ORDER BY range DESC",
    "SELECT range AS i FROM range(0)",
    "SELECT topic, count(*) FROM events GROUP BY ALL ORDER BY ALL",
    "SELECT {'a': [1, 2]} AS nested, INTERVAL 3 MONTH AS span",
    "SELECT TIMESTAMPTZ '2020-01-01 00:00:00+00' AS at, 'x'::BLOB AS bytes",
    "DESCRIBE runs",
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_answers_the_same_as_in_process(query: str, ws: Workspace) -> None:
    isolated, here = ask(ws, query), ws.sql(query)

    assert isolated.columns == here.columns
    assert isolated.fetchall() == here.fetchall()
    assert Table.from_arrow(isolated).schema == Table.from_arrow(here).schema


@pytest.mark.parametrize("query", ["DROP TABLE x", "SELECT 1; SELECT 2", "SELECT nothing", "SELEC"])
def test_a_query_fails_the_same_as_in_process(query: str, ws: Workspace) -> None:
    errors = []
    for isolated in (True, False):
        with pytest.raises((QueryRefused, QueryFailed)) as raised:
            ws.sql(query, isolated=isolated)
        assert isinstance(raised.value, QueryRefused | QueryFailed)
        errors.append((type(raised.value), str(raised.value), raised.value.query))

    assert errors[0] == errors[1]
    assert answers(ws)


PARAMS = [
    *(1, -1, 2**63 - 1, -(2**63), 2**100, 0.1, True, None, "täxt", b"\0bytes"),
    *(Decimal("1.10"), UUID(int=5), date(2020, 2, 29), time(1, 2, 3, 4), timedelta(1, 2, 3)),
    *(datetime(2020, 1, 2, 3, 4, 5, 6), datetime(2020, 1, 2, tzinfo=UTC)),
    *([1, 2], [["a"], []], {"a": 1, "b": "x"}, np.float64(0.5)),
]


@pytest.mark.parametrize("value", PARAMS, ids=repr)
def test_a_parameter_is_bound_as_in_process(value: object, ws: Workspace) -> None:
    query = "SELECT $v AS v, typeof($v) AS type"

    isolated = ask(ws, query, {"v": value})

    assert isolated.fetchall() == ws.sql(query, {"v": value}).fetchall()
    assert ask(ws, "SELECT ?", [value]).fetchall() == ws.sql("SELECT ?", [value]).fetchall()


@pytest.mark.parametrize("params", [5, "text", [object], {"a": {1, 2}}, ["\udc80"]], ids=ascii)
def test_what_no_parameter_can_be_is_refused(params: Any, ws: Workspace) -> None:
    with pytest.raises(QueryFailed):
        ask(ws, "SELECT 1", params)
    assert answers(ws)


@pytest.mark.parametrize("query", [5, None, "SELECT '\udc80'"], ids=ascii)
def test_what_no_query_can_be_is_refused(query: Any, ws: Workspace) -> None:
    with pytest.raises((QueryRefused, QueryFailed)):
        ask(ws, query)
    assert answers(ws)


def test_a_query_sees_all_that_was_committed_before(own: Workspace) -> None:
    assert answers(own)
    before = own.position
    run = start(Experiment(own, "lab"))
    for step in range(3):
        run.log("loss", 0.5)  # Not in the log yet.
        count = "SELECT count(*) FROM metric_points"
        assert ask(own, count).fetchall() == [(step + 1,)]
    assert own.as_of(before).sql("SELECT count(*) FROM runs", isolated=True).fetchall() == [(0,)]
    assert own.as_of(own.position).sql(count, isolated=True).fetchall() == [(3,)]


def test_a_read_only_folder_can_be_asked(own: Workspace, tmp_path: Path) -> None:
    path = own.path
    own.close()
    asked = run_python(
        f"""
import os, pathlib
folder = pathlib.Path({str(path)!r})
for file in folder.rglob("*"):
    file.chmod(0o555 if file.is_dir() else 0o444)
folder.chmod(0o555)
from runlore import Workspace
with Workspace.open(folder) as ws:
    print(ws.sql("SELECT count(*) FROM events", isolated=True).fetchall())
""",
        cwd=tmp_path,
    )
    assert asked == "[(2,)]\n"


# --- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"timeout_s": 0}, InvalidInput),
        ({"timeout_s": float("nan")}, InvalidInput),
        ({"timeout_s": "1"}, InvalidType),
        ({"memory_limit": "much"}, InvalidInput),
        ({"memory_limit": "100MB"}, InvalidInput),
        ({"memory_limit": 1.5}, InvalidType),
    ],
    ids=str,
)
def test_a_limit_that_cannot_be_is_refused(
    limits: dict[str, Any], error: type[Exception], ws: Workspace
) -> None:
    with pytest.raises(error, match=r"timeout_s|memory_limit"):
        ask(ws, "SELECT 1", **limits)


def test_limits_are_given_as_bytes_or_as_a_size() -> None:
    def of(limit: object) -> int:
        return QueryLimits.of(None, limit, of_process=True).memory_nbytes

    assert (of(None), of("2GB"), of(300_000_000)) == (10**9, 2 * 10**9, 300_000_000)


def test_a_query_that_obeys_leaves_its_process_warm(ws: Workspace) -> None:
    assert answers(ws)
    pid = process_of(ws).pid

    with pytest.raises(QueryTimedOut):
        ask(ws, "SELECT count(*) FROM range(1000000) a, range(1000000) b "
                "WHERE a.range + b.range < 0", timeout_s=0.1)  # fmt: skip

    assert answers(ws)
    assert process_of(ws).pid == pid


def test_a_query_that_does_not_obey_costs_its_process(ws: Workspace) -> None:
    assert answers(ws)
    pid = process_of(ws).pid
    assert pid is not None

    with pytest.raises(QueryTimedOut):
        ask(ws, "SELECT levenshtein(repeat('a', 3000000), repeat('b', 3000000))", timeout_s=1)

    assert not is_alive(pid)
    assert answers(ws)
    assert process_of(ws).pid != pid


def test_in_process_a_time_limit_acts_between_chunks(ws: Workspace) -> None:
    with pytest.raises(QueryTimedOut, match="after 0.1 s, its time limit"):
        ws.sql("SELECT count(*) FROM range(1000000) a, range(1000000) b "
               "WHERE a.range + b.range < 0", timeout_s=0.1)  # fmt: skip
    assert ws.sql("SELECT 42").fetchall() == [(42,)]


def test_in_process_the_memory_limit_is_that_of_duckdb(ws: Workspace) -> None:
    def held(limit: str | None) -> list[tuple[str]]:
        ws.sql("SELECT 1", memory_limit=limit)
        setting = "SELECT current_setting('memory_limit')"
        projection = session_of(ws).reader().projection
        return projection.ask(lambda tables: tables.connection.execute(setting).fetchall())

    assert held("500MiB") == [("500.0 MiB",)]
    assert held(None) == [("953.6 MiB",)]


# --- the process ------------------------------------------------------------------------------


def test_the_process_starts_with_the_first_query_and_ends_with_the_workspace(
    own: Workspace,
) -> None:
    assert process_of(own).pid is None
    assert answers(own)
    process = process_of(own)
    pid = process.pid
    assert pid is not None
    assert answers(own)
    assert process.pid == pid

    own.close()

    assert not is_alive(pid)
    assert process.pid is None


def test_the_process_stays_while_another_opening_uses_it(own: Workspace) -> None:
    assert answers(own)
    pid = process_of(own).pid
    with Workspace.open(own.uri) as other:
        assert answers(other)
        assert process_of(other).pid == pid
    assert answers(own)
    assert process_of(own).pid == pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_was_killed_is_replaced(number: signal.Signals, own: Workspace) -> None:
    assert answers(own)
    pid = process_of(own).pid
    assert pid is not None
    os.kill(pid, number)
    wait_until(lambda: not is_alive(pid), "the end of the process")

    assert answers(own)


def test_a_process_that_is_killed_within_a_query_fails_it_and_is_replaced(own: Workspace) -> None:
    assert answers(own)
    failed = threading.Event()

    def kill() -> None:  # Again, if it came before the query had begun, which was asked again then.
        while not failed.wait(0.2):
            pid = process_of(own).pid
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(QueryFailed, match="its process ended .signal SIGKILL"):
        ask(own, "SELECT levenshtein(repeat('a', 3000000), repeat('b', 3000000))")
    failed.set()
    killer.join()

    assert answers(own)


def test_the_process_outlives_the_thread_that_started_it(own: Workspace) -> None:
    thread = threading.Thread(target=answers, args=[own])
    thread.start()
    thread.join()
    pid = process_of(own).pid

    assert answers(own)
    assert process_of(own).pid == pid


def test_a_forked_child_leaves_the_process_alone_and_has_its_own(
    own: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answers(own)
    pid = process_of(own).pid
    assert pid is not None
    told: list[str] = []  # By finalizers; the child has a list of its own.
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: told.append(str(raised.exc_value)))

    def in_fork() -> tuple[int | None, bool, bool, list[str]]:
        forgotten = process_of(own).pid
        answered = answers(own)
        another = process_of(own).pid != pid
        own.close()
        return forgotten, answered, another, told

    assert in_child(in_fork) == (None, True, True, [])
    assert answers(own)
    assert process_of(own).pid == pid


PARENT = """
import os, sys
from runlore import Workspace
from runlore.workspace import session_of

ws = Workspace.open(sys.argv[1])
ws.sql("SELECT 1", isolated=True)
if sys.argv[2] == "forks" and os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print(session_of(ws).isolated().process.pid, flush=True)
if sys.argv[2] == "asks":
    ws.sql("SELECT levenshtein(repeat('a', 3000000), repeat('b', 3000000))", isolated=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["rests", "asks", "forks"])
def test_the_process_ends_when_its_parent_is_killed(how: str, own: Workspace) -> None:
    with start_python(PARENT, own.path, how) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)

        parent.kill()

        wait_until(lambda: not is_alive(pid), "the end of the process")


def test_no_signal_of_the_terminal_reaches_the_process(own: Workspace) -> None:
    assert answers(own)
    pid = process_of(own).pid
    assert pid is not None
    assert os.getsid(pid) == pid != os.getsid(0)


def test_the_process_knows_no_secret_of_the_user(
    own: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://me:secret@host/db")
    assert answers(own)

    environment = Path(f"/proc/{process_of(own).pid}/environ").read_text()

    assert "RUNLORE_CACHE_DIR" in environment
    assert "secret" not in environment


def test_nothing_of_the_working_folder_is_imported(own: Workspace, tmp_path: Path) -> None:
    for name in ("duckdb", "msgpack", "sitecustomize", "runlore"):
        (tmp_path / f"{name}.py").write_text("open('planted', 'w')")
    code = f"""
import sys
sys.path.remove("")  # As in a script; `python -c` puts the working folder there.
import duckdb, msgpack
from runlore import Workspace
sys.path.insert(0, "")
with Workspace.open({str(own.path)!r}) as ws:
    print(ws.sql("SELECT 42", isolated=True).fetchall())
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=without_settings(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.stdout == "[(42,)]\n", ran.stderr
    assert not (tmp_path / "planted").exists()
    assert not Path("/planted").exists()


def test_another_log_in_the_folder_is_not_read(own: Workspace, tmp_path: Path) -> None:
    with Workspace.create("other", path=tmp_path / "other") as other:
        Experiment(other, "more")
        Experiment(other, "events")
    folder = own.path
    assert folder is not None
    process = process_of(own)
    folder.rename(tmp_path / "moved")
    shutil.copytree(tmp_path / "other", folder)

    with pytest.raises(FolderMoved):
        process.sql("SELECT name FROM experiments", None, QueryLimits())


def test_a_process_that_opens_another_log_does_not_answer(own: Workspace, tmp_path: Path) -> None:
    with Workspace.create("other", path=tmp_path / "other") as other:
        confused = SqlProcess(session_of(own).log, other.uri)

        with pytest.raises(QueryFailed, match="moved or replaced"):
            confused.sql("SELECT name FROM experiments", None, QueryLimits())
        confused.close()


def test_a_workspace_in_memory_says_why_it_cannot_be_asked() -> None:
    with in_memory("lab") as workspace, pytest.raises(InvalidInput, match="isolated=False"):
        ask(workspace, "SELECT 1")


def test_queries_of_several_threads_wait_for_each_other(ws: Workspace) -> None:
    found: list[Any] = []

    def count(number: int) -> None:
        found.append((number, ask(ws, "SELECT ?", [number]).fetchall()))

    threads = [threading.Thread(target=count, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == [(number, [(number,)]) for number in range(8)]


def test_a_result_may_be_larger_than_a_pipe_and_a_batch(ws: Workspace) -> None:
    query = "SELECT range AS i, repeat('x', range::INT % 50) AS s FROM range(400000)"

    assert ask(ws, query).fetchall() == ws.sql(query).fetchall()


def test_a_workspace_closes_while_another_thread_asks(own: Workspace) -> None:
    failed: list[str] = []

    def query() -> None:
        try:
            ask(own, "SELECT levenshtein(repeat('a', 3000000), repeat('b', 3000000))")
        except QueryFailed as error:
            failed.append(str(error))

    assert answers(own)
    process = process_of(own)
    pid = process.pid
    assert pid is not None
    thread = threading.Thread(target=query)
    thread.start()
    wait_until(lambda: cpu_ticks(pid) > 50, "the query to run")

    own.close()

    thread.join()
    assert not is_alive(pid)
    assert len(failed) == 1
    assert "its process ended" in failed[0]


def cpu_ticks(pid: int) -> int:
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
# One between the opening of a file and its block: Python closes it, and says so.
@pytest.mark.filterwarnings("ignore:.*/statm:pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_moment_leaves_nothing_for_the_next_query(ws: Workspace) -> None:
    """In the middle of a result as well, of which the rest waits in the pipe."""
    for wait in range(12):
        timer = threading.Timer(wait / 30, os.kill, [os.getpid(), signal.SIGINT])
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            while True:
                found = ask(ws, "SELECT range AS i, repeat('x', 50) AS s FROM range(500000)")
                assert len(found) == 500_000
        timer.join()

        assert ask(ws, "SELECT ?", [wait]).fetchall() == [(wait,)]


def test_the_bound_on_memory_ends_with_its_block() -> None:
    def in_fork() -> tuple[bool, bool, bool]:
        before = resource.getrlimit(resource.RLIMIT_DATA)
        with data_limited(QueryLimits(memory_nbytes=2**28)):
            bounded = resource.getrlimit(resource.RLIMIT_DATA)
        with pytest.raises(ZeroDivisionError), data_limited(QueryLimits(memory_nbytes=2**28)):
            raise ZeroDivisionError
        after = resource.getrlimit(resource.RLIMIT_DATA)
        return bounded != before, bounded[1] == before[1], after == before

    assert in_child(in_fork) == (True, True, True)

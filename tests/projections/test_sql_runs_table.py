"""`FROM runs_table(...)`: the wide table of runs in SQL of users."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from runlore import Experiment, Workspace
from runlore.projections.sql_errors import QueryFailed, QueryRefused
from runlore.projections.sql_result import SqlResult
from tests.workspaces import folder_ws as folder_ws
from tests.workspaces import project as project
from tests.workspaces import start

Ask = Callable[..., SqlResult]


@pytest.fixture
def ws(folder_ws: Workspace) -> Workspace:
    """Four runs with a config, a tag and a metric, the last with a child."""
    exp = Experiment(folder_ws, "nets")
    for number in range(4):
        run = start(exp, run_id=f"r{number}", tags={"model": "vit" if number % 2 else "cnn"})
        run.add_config({"lr": number / 10})
        run.log_batch("val/acc", [1.0, float(number)])
        run.flush()
    run.child_run(run_id="child").complete()
    return folder_ws


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ("", {}),
        ("'m.val/acc >= 1 and t.model = vit'", {"where": "m.val/acc >= 1 and t.model = vit"}),
        ("filter := 't.model = ''cnn'''", {"where": "t.model = 'cnn'"}),
        (
            "columns := ['id', 'c.lr', 'm.val/acc.min']",
            {"columns": ["id", "c.lr", "m.val/acc.min"]},
        ),
        ("metrics := ['first', 'max']", {"metrics": ["first", "max"]}),
        ("metrics := 'n'", {"metrics": "n"}),
        ("metrics := []", {"metrics": []}),
        ("NULL, include_children := true", {"include_children": True}),
    ],
    ids=["all", "filter", "quotes", "columns", "metrics", "one", "none", "children"],
)
def test_it_is_the_table_that_the_method_gives(
    arguments: str, options: dict[str, Any], ws: Workspace
) -> None:
    expected = ws.runs_table(**options)

    shown = "*" if "columns" in options else "* EXCLUDE duration"  # Which goes on.
    found = ws.sql(f"SELECT {shown} FROM RUNS_table({arguments})")

    columns = [name for name in expected.columns if name in found.columns]
    assert found.columns == columns
    places = [expected.columns.index(name) for name in columns]
    assert list(found) == [tuple(row[place] for place in places) for row in expected]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT id FROM runs_table('t.model = vit') ORDER BY id", [("r1",), ("r3",)]),
        (
            'SELECT runs_table.id, "config.lr" AS lr FROM runs_table() ORDER BY lr DESC LIMIT 1',
            [("r3", 0.3)],
        ),
        (
            "SELECT r.id, t.value FROM runs_table('id = r2') r JOIN tags t ON t.run_id = r.id",
            [("r2", "cnn")],
        ),
        (
            "WITH w AS (FROM runs_table('t.model = cnn')) SELECT count(*) FROM w, runs_table()",
            [(8,)],
        ),
        ("SELECT a FROM runs_table('id = r1', columns := ['id']) AS t(a)", [("r1",)]),
        ("SELECT (SELECT count(*) FROM runs_table()) AS n", [(4,)]),
        ("SELECT count(*) FROM (FROM runs_table('id = r1') UNION ALL FROM runs_table())", [(5,)]),
        ("WITH runs_table AS (SELECT 7 AS x) SELECT x FROM runs_table", [(7,)]),
        ("SELECT 'runs_table(1)' AS text", [("runs_table(1)",)]),
        ("SELECT id FROM runs_table() WHERE id = ?", [("r0",)]),
    ],
    ids=["where", "name", "join", "cte", "alias", "subquery", "union", "own", "text", "parameter"],
)
def test_it_is_a_table_like_any_other(
    query: str, rows: list[tuple[Any, ...]], ws: Workspace
) -> None:
    params = ["r0"] if "?" in query else None

    assert ws.sql(query, params).fetchall() == rows
    assert ws.sql(query, params).fetchall() == rows  # Also when the query is known.


def test_it_shows_the_past_as_all_views_do(ws: Workspace) -> None:
    query = """SELECT id, "tags.model" FROM runs_table(columns := ['id', 't.model']) ORDER BY id"""
    before = ws.position
    ws.get_run("r0").tag("model", "mlp")

    assert ws.sql(query).fetchall()[0] == ("r0", "mlp")
    assert ws.as_of(before).sql(query).fetchall()[0] == ("r0", "cnn")


def test_nothing_is_left_behind(ws: Workspace) -> None:
    views = ws.sql("SHOW TABLES").fetchall()
    ws.sql("SELECT count(*) FROM runs_table()").fetchall()
    with pytest.raises(QueryFailed):
        ws.sql("SELECT no_such_column FROM runs_table()")

    assert ws.sql("SHOW TABLES").fetchall() == views
    assert not any("runs_table" in name for (name,) in views)


@pytest.mark.processes
def test_an_isolated_process_has_it_as_well(ws: Workspace) -> None:
    query = "SELECT count(*) FROM runs_table('t.model = vit')"

    assert ws.sql(query, isolated=True).fetchall() == [(2,)]
    with pytest.raises(QueryFailed, match="'lr' is not an attribute of runs"):
        ws.sql("FROM runs_table('lr < 1')", isolated=True)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("FROM runs_table('lr < 1')", "runs_table: 'lr' is not an attribute of runs"),
        ("FROM runs_table(columns := ['loss'])", "runs_table: 'loss' is not an attribute"),
        ("FROM runs_table(metrics := 'best')", "runs_table: metrics asks for 'best'"),
    ],
    ids=["filter", "column", "aggregate"],
)
def test_a_mistake_in_an_argument_says_what_it_takes(
    query: str, message: str, ws: Workspace
) -> None:
    with pytest.raises(QueryFailed, match=re.escape(message)):
        ws.sql(query)


@pytest.mark.parametrize(
    "query",
    [
        "FROM runs_table(42)",
        "FROM runs_table(?)",
        "FROM runs_table((SELECT value FROM tags LIMIT 1))",
        "FROM runs_table('a' || 'b')",
        "FROM runs_table(columns := [1])",
        "FROM runs_table(columns := list_value(list_value('id')))",
        "FROM runs_table('id = a', filter := 'id = b')",
        "FROM runs_table('id = a', 'id = b')",
        "FROM runs_table(sort := 'id')",
        "FROM runs_table(include_children := 'yes')",
        "FROM main.runs_table()",
        "FROM runs_table_0",
        "SELECT runs_table('x')",
        "FROM store.runs, runs_table()",
        "SELECT getenv('HOME') FROM runs_table()",
        "FROM runs_table(), read_csv('/etc/passwd')",
        "FROM runs_table(); DROP TABLE store.runs",
        "INSERT INTO store.runs FROM runs_table()",
        "COPY (FROM runs_table()) TO 'x.csv'",
        " UNION ALL ".join(["FROM runs_table()"] * 9),
    ],
)
def test_it_opens_no_door(query: str, ws: Workspace) -> None:
    with pytest.raises(QueryRefused):
        ws.sql(query)
    assert ws.sql("SELECT count(*) FROM runs").fetchall() == [(5,)]


def test_names_of_hostile_logs_are_only_names(ws: Workspace) -> None:
    name = """a"; DROP TABLE store.runs; --'"""
    ws.get_run("r0").log(name, 1.0)
    ws.get_run("r0").tag('x") --', "t")

    found = ws.sql("FROM runs_table('id = r0')")

    assert f"metrics.`{name}`" in found.columns and 'tags.`x") --`' in found.columns
    assert ws.sql("SELECT count(*) FROM runs").fetchall() == [(5,)]

"""Lists of runs and experiments. Each can be asked as-of an earlier position, at the same cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, cast

from runlore.domain.errors import InvalidInput
from runlore.domain.run_marks import COLOUR, STAR
from runlore.domain.status import TERMINAL
from runlore.projections.conditions import Conditions
from runlore.projections.driver import duckdb
from runlore.projections.filters import Filter, check_text_filter
from runlore.projections.rows import ExperimentRow, FirstRun, RunMarks, RunRow
from runlore.projections.trees import runs_then
from runlore.storage.collector import collector_paused

PAGE: Final = 1_024
PAGE_GROWTH: Final = 20
PAGE_MAX: Final = 64_000
TREE_PAGE: Final = PAGE_GROWTH * PAGE
"""The first page of a tree: its runs lie near each other and are mostly all wanted."""

# Newest start first; a run that never started counts from its creation; ties by creation. The
# page is cut from whole numbers: texts are read, and experiments joined, for its runs alone.
_NUMBERS: Final = """
SELECT r.run_no, s.status, s.begun_at
FROM {runs} r
JOIN store.run_states s ON s.run_no = r.run_no AND {current}
{where}
ORDER BY s.begun_at DESC, r.run_no DESC
LIMIT {limit:d} OFFSET {offset:d}
"""
_TEXTS: Final = """
SELECT r.run_id, e.name, e.experiment_id, r.number, r.parent_id, r.root_id, r.run_type, {more},
       r.created_at
FROM {page} p
JOIN {runs} r ON r.run_no = p.run_no
JOIN store.experiment_states e ON e.experiment_no = r.experiment_no AND {named}
"""
_PAGE_AS_PARAMETER: Final = "(SELECT unnest(?::BIGINT[]) AS run_no)"
_NEWEST_FIRST: Final = "ORDER BY p.begun_at DESC, p.run_no DESC"
_STATUS: Final = RunRow._fields.index("status")
_run_row: Final = cast("Callable[[Sequence[Any]], RunRow]", partial(tuple.__new__, RunRow))
"""As `RunRow._make`, in a third of the time."""


def run_page(
    connection: duckdb.DuckDBPyConnection, conditions: Conditions, offset: int, limit: int = PAGE
) -> list[RunRow]:
    """The matching runs, newest first, from `offset` on; see `run_conditions`."""
    runs = runs_then(connection, conditions.as_of)
    numbers = _NUMBERS.format(
        runs=runs,
        current=conditions.current("s"),
        where=conditions.where(),
        limit=limit,
        offset=offset,
    )
    with collector_paused():
        # In two steps: only of numbers that it is given does DuckDB read no other run's texts. Of
        # a long page, to give them takes longer than that.
        if limit <= PAGE:
            page = connection.execute(numbers, conditions.params).fetchall()
            return _rows_of(connection, conditions, runs, page) if page else []
        named = conditions.current("e")
        texts = _TEXTS.format(runs=runs, page=f"({numbers})", more="p.status", named=named)
        rows = connection.execute(texts + _NEWEST_FIRST, conditions.params).fetchall()
        return list(map(_run_row, rows))


def _rows_of(
    connection: duckdb.DuckDBPyConnection,
    conditions: Conditions,
    runs: str,
    page: Sequence[tuple[int, str, int]],
) -> list[RunRow]:
    """The rows of the runs of these numbers and statuses, in their order."""
    named = conditions.current("e")
    texts = _TEXTS.format(runs=runs, page=_PAGE_AS_PARAMETER, more="r.run_no", named=named)
    rows = connection.execute(texts, [[run_no for run_no, _, _ in page]]).fetchall()
    by_number = {row[_STATUS]: row for row in rows}  # Where the status is to be.
    made = []
    for run_no, status, _ in page:
        row = by_number[run_no]
        made.append(_run_row((*row[:_STATUS], status, *row[_STATUS + 1 :])))
    return made


def run_count(connection: duckdb.DuckDBPyConnection, conditions: Conditions) -> int:
    """The number of matching runs; see `run_conditions`."""
    found = connection.execute(
        f"SELECT count(*) FROM {runs_then(connection, conditions.as_of)} r JOIN store.run_states s "
        f"ON s.run_no = r.run_no AND {conditions.current('s')} {conditions.where()}",
        conditions.params,
    ).fetchall()
    return int(found[0][0])


def first_run(connection: duckdb.DuckDBPyConnection, conditions: Conditions) -> FirstRun | None:
    """The matching run that was created first; see `run_conditions`."""
    found = connection.execute(
        "SELECT r.run_id, r.position, r.created_at "
        f"FROM {runs_then(connection, conditions.as_of)} r JOIN store.run_states s "
        f"ON s.run_no = r.run_no AND {conditions.current('s')} {conditions.where()} "
        "ORDER BY r.position LIMIT 1",
        conditions.params,
    ).fetchall()
    return FirstRun(*found[0]) if found else None


def run_marks(
    connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str], as_of: int | None
) -> dict[str, RunMarks]:
    """By run, the id of its experiment, which it never changes, and the marks that it has."""
    holds = Conditions(as_of).current("k")
    found = connection.execute(
        "SELECT r.run_id, any_value(e.experiment_id), "
        "max(k.value) FILTER (WHERE k.key = $colour), coalesce(bool_or(k.key = $star), false) "
        "FROM store.runs r JOIN store.experiments e USING (experiment_no) "
        "LEFT JOIN store.run_tags k "
        f"ON k.run_no = r.run_no AND k.key IN ($colour, $star) AND {holds} "
        "WHERE r.run_id IN (SELECT unnest($ids::VARCHAR[])) GROUP BY r.run_id",
        {"ids": list(run_ids), "colour": COLOUR, "star": STAR},
    ).fetchall()
    return {run_id: RunMarks(*marks) for run_id, *marks in found}


def experiment_number(connection: duckdb.DuckDBPyConnection, experiment_id: str) -> int:
    """An experiment's number in the tables; 0, which none has, if it is unknown."""
    found = connection.execute(
        "SELECT experiment_no FROM store.experiments WHERE experiment_id = ?", [experiment_id]
    ).fetchall()
    return found[0][0] if found else 0


def writers_of_open_runs(
    connection: duckdb.DuckDBPyConnection, writer_ids: Sequence[str]
) -> set[str]:
    """Those of the writers that created a run which has not ended."""
    found = connection.execute(
        "SELECT DISTINCT r.writer_id FROM store.runs r "
        "JOIN store.run_states s ON s.run_no = r.run_no AND s.to_position IS NULL "
        "WHERE list_contains(?, r.writer_id) AND NOT list_contains(?, s.status)",
        [list(writer_ids), sorted(TERMINAL)],
    ).fetchall()
    return {writer_id for (writer_id,) in found}


def run_number(
    connection: duckdb.DuckDBPyConnection, run_id: str, as_of: int | None = None
) -> int | None:
    """A run's number in its experiment; None if the run is unknown."""
    return _of_run(connection, "number", run_id, as_of)


def run_no_of(
    connection: duckdb.DuckDBPyConnection, run_id: str, as_of: int | None = None
) -> int | None:
    """A run's number in the tables; None if the run is unknown."""
    return _of_run(connection, "run_no", run_id, as_of)


def _of_run(
    connection: duckdb.DuckDBPyConnection, column: str, run_id: str, as_of: int | None
) -> int | None:
    found = connection.execute(
        f"SELECT r.{column} FROM store.runs r "
        f"WHERE r.run_id = ? AND {Conditions(as_of).known('r')}",
        [check_text_filter("run_id", run_id)],
    ).fetchall()
    return found[0][0] if found else None


def experiment_rows(
    connection: duckdb.DuckDBPyConnection,
    *,
    as_of: int | None,
    view: str,
    name: str | None,
    tags: Filter,
) -> list[ExperimentRow]:
    """The matching experiments, in order of creation; `view` is active, archived or all."""
    conditions = Conditions(as_of)
    conditions.add_known("e")
    archived: dict[str, str | None] = {
        "active": "s.archived_at IS NULL",
        "archived": "s.archived_at IS NOT NULL",
        "all": None,
    }
    if view not in archived:
        raise InvalidInput(f"view is {view!r}; it takes one of {', '.join(archived)}")
    condition = archived[view]
    if condition is not None:
        conditions.add(condition)
    name = check_text_filter("experiment_name", name)
    if name is not None:
        conditions.add("s.name = ?", name)
    conditions.has("store.experiment_tags", "e.experiment_no", "tags", tags)
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT e.experiment_id, s.name, e.created_at, s.archived_at FROM store.experiments e "
        "JOIN store.experiment_states s ON s.experiment_no = e.experiment_no "
        f"AND {conditions.current('s')} {conditions.where()} ORDER BY e.experiment_no",
        conditions.params,
    ).fetchall()
    return [ExperimentRow(*row) for row in rows]

"""A filter of runs as SQL conditions, of now or as of a position."""

from __future__ import annotations

from runlore.domain.errors import RunNotFound
from runlore.projections.conditions import Conditions
from runlore.projections.driver import duckdb
from runlore.projections.filters import RunFilter
from runlore.projections.trees import runs_then


def run_conditions(
    connection: duckdb.DuckDBPyConnection,
    which: RunFilter,
    as_of: int | None,
    experiment_no: int | None,
) -> Conditions:
    """The conditions of a question over runs `r` with their states `s`.

    `experiment_no` is the number of the filter's experiment. Raises RunNotFound if the run is
    unknown below which others are asked for, FilterError for another text of `where`.
    """
    conditions = Conditions(as_of)
    asks_of_archived = False
    conditions.add_known("r")
    within = ""
    if experiment_no is not None:
        conditions.add(f"r.experiment_no = {experiment_no:d}")
        within = f"k.experiment_no = {experiment_no:d} AND"
    if which.below_run is not None:
        _add_below(connection, conditions, which.below_run, recursive=which.include_children)
    elif not which.include_children:
        conditions.add("r.parent_no IS NULL")
    if which.where is not None:
        from runlore.projections.where_sql import add_where_text

        asks_of_archived = add_where_text(connection, conditions, which.where)
    if not (which.include_archived or which.below_run or asks_of_archived):
        conditions.add("s.archived_at IS NULL")
    conditions.add_any_of("s.status", which.statuses)
    if which.target is not None:
        conditions.add("coalesce(r.target, 'local') = ?", which.target)
    if which.submitted_to is not None:
        conditions.add("r.target = ?", which.submitted_to)
    if which.run_ids is not None:
        conditions.add("r.run_id IN (SELECT unnest(?::VARCHAR[]))", list(which.run_ids))
    if which.type is not None:
        _add_type(conditions, which.type, within)
    conditions.has("store.run_tags", "r.run_no", "tags", which.tags, within)
    conditions.has("store.run_properties", "r.run_no", "properties", which.properties, within)
    if which.search is not None and which.search.strip():
        from runlore.projections.where_sql import add_search

        add_search(conditions, which.search.strip())
    return conditions


def _add_type(conditions: Conditions, type_: str, within: str) -> None:
    conditions.add(
        "(r.run_type = ? OR r.run_no IN (SELECT k.run_no FROM store.run_properties k WHERE "
        f"{within} k.key = 'azureml.runsource' AND k.value = ? AND {conditions.current('k')}))",
        type_,
        type_,
    )


def _add_below(
    connection: duckdb.DuckDBPyConnection, conditions: Conditions, run_id: str, *, recursive: bool
) -> None:
    """Adds that the runs are children, or at any depth descendants, of one.

    The tree's root narrows the search to one tree, the path's prefix to one branch.
    """
    found = connection.execute(
        f"SELECT r.run_no, r.root_no, r.path FROM {runs_then(connection, conditions.as_of)} r "
        f"WHERE r.run_id = ? AND {conditions.known('r')}",
        [run_id],
    ).fetchall()
    if not found:
        raise RunNotFound(run_id, "this workspace")
    run_no, root_no, path = found[0]
    conditions.add("r.root_no = ?", root_no)
    if recursive:
        conditions.add("starts_with(r.path, ?)", path)
        conditions.add("r.run_no <> ?", run_no)
    else:
        conditions.add("r.parent_no = ?", run_no)

"""Filters as SQL conditions, of now or as of a position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from runlore.domain.errors import RunNotFound
from runlore.projections.filters import Filter, RunFilter, checked_pairs
from runlore.projections.trees import runs_then


@dataclass
class Conditions:
    """Conditions joined by AND, and their parameters in order; `as_of` None is now."""

    as_of: int | None
    texts: list[str] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)

    def add(self, text: str, *params: Any) -> None:
        """Adds a condition."""
        self.texts.append(text)
        self.params.extend(params)

    def add_any_of(self, expression: str, values: Sequence[str]) -> None:
        """Adds that an expression is one of the values; no values, no condition."""
        if values:
            self.add(f"{expression} IN ({', '.join('?' * len(values))})", *values)

    def current(self, alias: str) -> str:
        """The condition that a temporal row holds."""
        if self.as_of is None:
            return f"{alias}.to_position IS NULL"
        return (
            f"{alias}.from_position <= {self.as_of:d} "
            f"AND ({alias}.to_position IS NULL OR {alias}.to_position > {self.as_of:d})"
        )

    def known(self, alias: str) -> str:
        """The condition that a row which never changes is there."""
        return "true" if self.as_of is None else f"{alias}.position <= {self.as_of:d}"

    def add_known(self, alias: str) -> None:
        """Adds that a row which never changes is there."""
        if self.as_of is not None:
            self.add(self.known(alias))

    def has(self, table: str, owner: str, what: str, wanted: Filter, within: str = "") -> None:
        """Adds that the owner (`r.run_no`) has the keys or pairs in a key-value table.

        `within` is a further condition that the table's rows of all matching owners meet.
        """
        column = owner.partition(".")[2]
        for key, value in checked_pairs(what, wanted).items():
            # IN, not EXISTS: each is asked once, for all owners, before any other table.
            held = (
                f"{owner} IN (SELECT k.{column} FROM {table} k WHERE {within} k.key = ? "
                f"AND {self.current('k')}"
            )
            if value is ...:
                self.add(held + ")", key)
            elif value is None:
                self.add(held + " AND k.value IS NULL)", key)
            else:
                self.add(held + " AND k.value = ?)", key, value)

    def where(self) -> str:
        """The WHERE clause, empty if there are no conditions."""
        return f"WHERE {' AND '.join(self.texts)}" if self.texts else ""


def run_conditions(
    connection: duckdb.DuckDBPyConnection,
    which: RunFilter,
    as_of: int | None,
    experiment_no: int | None,
) -> Conditions:
    """The conditions of a question over runs `r` with their states `s`.

    `experiment_no` is the number of the filter's experiment. Raises RunNotFound if the run is
    unknown below which others are asked for.
    """
    conditions = Conditions(as_of)
    conditions.add_known("r")
    within = ""
    if experiment_no is not None:
        conditions.add(f"r.experiment_no = {experiment_no:d}")
        within = f"k.experiment_no = {experiment_no:d} AND"
    if which.below_run is not None:
        _add_below(connection, conditions, which.below_run, recursive=which.include_children)
    elif not which.include_children:
        conditions.add("r.parent_no IS NULL")
    if not which.include_archived and which.below_run is None:
        conditions.add("s.archived_at IS NULL")
    conditions.add_any_of("s.status", which.statuses)
    if which.target is not None:
        conditions.add("coalesce(r.target, 'local') = ?", which.target)
    if which.submitted_to is not None:
        conditions.add("r.target = ?", which.submitted_to)
    if which.type is not None:
        _add_type(conditions, which.type, within)
    conditions.has("store.run_tags", "r.run_no", "tags", which.tags, within)
    conditions.has("store.run_properties", "r.run_no", "properties", which.properties, within)
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

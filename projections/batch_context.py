"""The rows already in the tables for the runs and experiments that a batch of facts mentions.

Kept from batch to batch, because only this process writes to its tables: a rebuild asks the
tables nothing, and a process that follows a few runs asks about each once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runlore.domain.events import RunCreated
from runlore.domain.fact import Fact
from runlore.domain.ids import owner_of, run_id_of, run_stream
from runlore.projections.driver import duckdb
from runlore.projections.state_columns import StateColumns, state_of
from runlore.projections.temporal import are_few, with_rows

KNOWN_MAX: Final = 500_000
"""More runs are not remembered: they would take more than 250 MB."""


@dataclass(slots=True)
class KnownRun:
    """A run's place in the tables and its newest state."""

    run_no: int
    experiment_no: int
    root_no: int
    root_id: str
    depth: int
    path: str
    state: StateColumns
    erased: bool = False


@dataclass(slots=True)
class KnownExperiment:
    """An experiment's place in the tables, its name, and the number of its newest run."""

    experiment_no: int
    name: str
    last_number: int = 0


@dataclass
class BatchContext:
    """Runs by stream (`run/<id>`), experiments by id.

    All experiments are known, and, if `complete`, all runs. The last numbers of the `numberless`
    experiments are still to be asked for: that takes a scan, and only a new run needs one.
    `awaiting` has the streams of roots by the id of the parent that they await. `moved` says that
    the tables may yet be told that runs were moved in their trees.
    """

    runs: dict[str, KnownRun] = field(default_factory=dict)
    run_count: int = 0
    experiments: dict[str, KnownExperiment] = field(default_factory=dict)
    experiment_count: int = 0
    numberless: set[str] = field(default_factory=set)
    complete: bool = True
    awaiting: dict[str, list[str]] = field(default_factory=dict)
    moved: bool = False

    @classmethod
    def of_tables(cls, connection: duckdb.DuckDBPyConnection) -> BatchContext:
        """The tables' experiments and counts; runs are looked up as facts mention them."""
        rows = connection.execute(_EXPERIMENTS).fetchall()
        counts = connection.execute(_COUNTS).fetchall()
        run_count, experiment_count = counts[0]
        awaiting: dict[str, list[str]] = {}
        for parent_id, run_id in connection.execute(_AWAITING).fetchall():
            awaiting.setdefault(parent_id, []).append(run_stream(run_id))
        return cls(
            awaiting=awaiting,
            run_count=run_count,
            experiments={
                experiment_id: KnownExperiment(number, name) for experiment_id, number, name in rows
            },
            experiment_count=experiment_count,
            numberless={experiment_id for experiment_id, _, _ in rows},
            complete=run_count == 0,
        )

    def learn(self, facts: Sequence[Fact], connection: duckdb.DuckDBPyConnection) -> None:
        """Looks up the runs and experiments that the facts mention and that are not known yet."""
        if not self.complete:
            missing = (streams_in(facts) | self._awaiting_those_in(facts)) - self.runs.keys()
            if missing:
                self._learn_runs([owner_of(stream) for stream in missing], connection)
        if self.numberless:
            born_in = {birth["experiment_id"] for birth in births(facts)}
            wanted = self.numberless & born_in
            if wanted:
                self._learn_numbers(wanted, connection)

    def _awaiting_those_in(self, facts: Sequence[Fact]) -> set[str]:
        if not self.awaiting:
            return set()
        arriving = (birth["run_id"] for birth in births(facts))
        return {stream for run_id in arriving for stream in self.awaiting.get(run_id, ())}

    def _learn_runs(self, ids: Sequence[str], connection: duckdb.DuckDBPyConnection) -> None:
        if are_few(ids):
            places = ", ".join("?" * len(ids))
            found = connection.execute(_RUNS + f"WHERE run_id IN ({places})", ids).fetchall()
        else:
            with with_rows(
                connection, "wanted", [(run_id,) for run_id in ids], {"run_id": "string"}
            ):
                found = connection.execute(_RUNS + "SEMI JOIN wanted USING (run_id)").fetchall()
        if not found:
            return
        numbers = [run_no for _, run_no, *_ in found]
        # The bounds skip most of the table, as rows of states stand near the run's.
        states = connection.execute(_STATES, [min(numbers), max(numbers), numbers]).fetchall()
        held = {run_no: state_of(state) for run_no, *state in states}
        for run_id, run_no, experiment_no, root_no, root_id, depth, path, erased in found:
            place = run_no, experiment_no, root_no, root_id, depth, path
            self.runs[run_stream(run_id)] = KnownRun(*place, held[run_no], erased)

    def _learn_numbers(self, ids: set[str], connection: duckdb.DuckDBPyConnection) -> None:
        known = [self.experiments[experiment_id] for experiment_id in ids]
        rows = connection.execute(
            _NUMBERS, [[experiment.experiment_no for experiment in known]]
        ).fetchall()
        last = dict(rows)
        for experiment in known:
            experiment.last_number = last.get(experiment.experiment_no, 0)
        self.numberless -= ids


_EXPERIMENTS: Final = (
    "SELECT experiment_id, experiment_no, name FROM store.experiment_states "
    "WHERE to_position IS NULL"
)
_COUNTS: Final = (
    "SELECT (SELECT coalesce(max(run_no), 0) FROM store.runs), "
    "(SELECT coalesce(max(experiment_no), 0) FROM store.experiments)"
)
_AWAITING: Final = (
    "SELECT awaited_id, run_id FROM store.runs WHERE awaited_id IS NOT NULL ORDER BY run_no"
)
_RUNS: Final = (
    "SELECT run_id, run_no, experiment_no, root_no, root_id, depth, path, erased FROM store.runs "
)
_STATES: Final = (
    f"SELECT run_no, {', '.join(StateColumns._fields)} FROM store.run_states "
    "WHERE run_no BETWEEN ? AND ? AND to_position IS NULL AND list_contains(?, run_no)"
)
_NUMBERS: Final = (
    "SELECT experiment_no, max(number) FROM store.runs WHERE list_contains(?, experiment_no) "
    "GROUP BY experiment_no"
)


def streams_in(facts: Iterable[Fact]) -> set[str]:
    """The streams of the runs that a batch mentions, including parents."""
    # A run's values are in streams below its own.
    streams = {
        run_stream(run_id)
        for stream in {fact.stream for fact in facts}
        if (run_id := run_id_of(stream)) is not None
    }
    for birth in births(facts):
        streams.add(run_stream(birth["run_id"]))
        if birth["parent_id"]:
            streams.add(run_stream(birth["parent_id"]))
    return streams


def births(facts: Iterable[Fact]) -> list[dict[str, Any]]:
    """The payloads of the facts that create runs."""
    return [fact.data for fact in facts if fact.topic == RunCreated.topic and fact.data is not None]

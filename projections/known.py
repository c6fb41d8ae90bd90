"""What the tables hold about the runs and experiments that a batch of facts speaks of.

Kept from batch to batch, because only this process writes to its tables: a rebuild asks the
tables nothing, and a process that follows a few runs asks about each once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import duckdb

from runlore.domain.fact import Fact
from runlore.domain.ids import run_id_of, run_stream
from runlore.projections.temporal import FEW, with_rows

KNOWN_MAX: Final = 500_000
"""More runs are not remembered: 250 MB."""


State = tuple[
    str, str | None, int | None, int | None, int | None, str | None, str | None, str | None, int
]
"""Of a run: status, status_detail, started_at, ended_at, ended_position, display_name,
description, error and begun_at, which carry on from one row of `run_states` to the next."""


@dataclass(slots=True)
class KnownRun:
    """A run's place in the tables and its newest state."""

    run_no: int
    experiment_no: int
    root_no: int
    root_id: str
    depth: int
    path: str
    state: State


@dataclass(slots=True)
class KnownExperiment:
    """An experiment's place in the tables; the number of its newest run, if that was asked for."""

    experiment_no: int
    last_number: int | None


@dataclass
class Known:
    """Runs by stream (`run/<id>`), experiments by id.

    All experiments are known, and, if `complete`, all runs.
    """

    runs: dict[str, KnownRun] = field(default_factory=dict)
    run_count: int = 0
    experiments: dict[str, KnownExperiment] = field(default_factory=dict)
    experiment_count: int = 0
    complete: bool = True

    @classmethod
    def of_tables(cls, connection: duckdb.DuckDBPyConnection) -> Known:
        """What is in the tables, without any run yet unless there is none."""
        rows = connection.execute(_EXPERIMENTS).fetchall()
        counts = connection.execute(_COUNTS).fetchall()
        run_count, experiment_count = counts[0]
        return cls(
            run_count=run_count,
            experiments={
                experiment_id: KnownExperiment(number, None) for experiment_id, number in rows
            },
            experiment_count=experiment_count,
            complete=run_count == 0,
        )

    def learn(self, facts: Sequence[Fact], connection: duckdb.DuckDBPyConnection) -> None:
        """Asks the tables about what the facts speak of and is not known yet."""
        if not self.complete:
            missing = streams_in(facts) - self.runs.keys()
            if missing:
                self._learn_runs([stream.removeprefix("run/") for stream in missing], connection)
        born_in = {fact.data["experiment_id"] for fact in facts if _is_birth(fact) and fact.data}
        numberless = {
            known.experiment_no: known
            for known in map(self.experiments.get, born_in)
            if known is not None and known.last_number is None
        }
        if numberless:
            self._learn_numbers(numberless, connection)

    def _learn_runs(self, ids: Sequence[str], connection: duckdb.DuckDBPyConnection) -> None:
        if len(ids) <= FEW:
            places = ", ".join("?" * len(ids))
            found = connection.execute(_RUNS + f"WHERE run_id IN ({places})", ids).fetchall()
        else:
            with with_rows(connection, "wanted", [(one,) for one in ids], {"run_id": "string"}):
                found = connection.execute(_RUNS + "SEMI JOIN wanted USING (run_id)").fetchall()
        if not found:
            return
        numbers = [run_no for _, run_no, *_ in found]
        # The bounds skip most of the table, as rows of states stand near the run's.
        states = connection.execute(_STATES, [min(numbers), max(numbers), numbers]).fetchall()
        state_of: dict[int, State] = {run_no: tuple(state) for run_no, *state in states}
        for run_id, run_no, experiment_no, root_no, root_id, depth, path in found:
            place = run_no, experiment_no, root_no, root_id, depth, path
            self.runs[run_stream(run_id)] = KnownRun(*place, state_of[run_no])

    def _learn_numbers(
        self, numberless: dict[int, KnownExperiment], connection: duckdb.DuckDBPyConnection
    ) -> None:
        rows = connection.execute(_NUMBERS, [list(numberless)]).fetchall()
        last = dict(rows)
        for number, known in numberless.items():
            known.last_number = last.get(number, 0)


_EXPERIMENTS: Final = "SELECT experiment_id, experiment_no FROM store.experiments"
_COUNTS: Final = (
    "SELECT (SELECT coalesce(max(run_no), 0) FROM store.runs), "
    "(SELECT coalesce(max(experiment_no), 0) FROM store.experiments)"
)
_RUNS: Final = (
    "SELECT run_id, run_no, experiment_no, root_no, root_id, depth, path FROM store.runs "
)
_STATES: Final = (
    "SELECT run_no, status, status_detail, started_at, ended_at, ended_position, display_name, "
    "description, error, begun_at FROM store.run_states "
    "WHERE run_no BETWEEN ? AND ? AND to_position IS NULL AND list_contains(?, run_no)"
)
_NUMBERS: Final = (
    "SELECT experiment_no, max(number) FROM store.runs WHERE list_contains(?, experiment_no) "
    "GROUP BY experiment_no"
)


def streams_in(facts: Iterable[Fact]) -> set[str]:
    """The streams of the runs that a batch speaks of, parents among them."""
    streams = {fact.stream for fact in facts if fact.stream.startswith("run/")}
    # A run's values are in streams below its own.
    streams = {run_stream(run_id_of(one) or "") if one.count("/") > 1 else one for one in streams}
    for fact in facts:
        if _is_birth(fact) and fact.data:
            streams.add(run_stream(fact.data["run_id"]))
            if fact.data["parent_id"]:
                streams.add(run_stream(fact.data["parent_id"]))
    return streams


def _is_birth(fact: Fact) -> bool:
    return fact.topic == "run.created"

"""A small workspace, a copy of it in which one bit of the log is flipped, and what it answers."""

from __future__ import annotations

import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import RunloreError
from runlore.domain.ids import run_id_of

COLUMNS: Final = (
    *("originator_id", "originator_version", "topic", "state", "event_id", "recorded_at"),
    *("metadata", "leaf"),
)
RUNS: Final = ("alpha", "beta", "gamma", "other")
_INT_BITS: Final = 63


class Flip(NamedTuple):
    """One bit of a column of the event at a position."""

    position: int
    column: str
    bit: int


class Answers(NamedTuple):
    """What a workspace answers, or the error, by question; and the warnings that came with it.

    Questions of `of_all` have answers for each run, those of `of_runs` are about one.
    """

    of_all: dict[str, dict[str, Any] | RunloreError]
    of_runs: dict[tuple[str, str], Any]
    told: list[str]


def make(folder: Path) -> None:
    """Make the workspace: four runs in two experiments, one the child of another."""
    with Workspace.create("lab", path=folder) as ws:
        first = Experiment(ws, "first")
        first.tag("team", "vision")
        alpha = _started(first, "alpha", tags={"kind": "cnn"}, description="a run")
        alpha.tag("quality", "good")
        alpha.log("loss", 0.5)
        alpha.log_row("roc", fpr=0.1, tpr=0.7)
        alpha.flush()
        alpha.log("loss", 0.125)
        alpha.log("words", "ten")
        beta = alpha.child_run(run_id="beta", outputs=False)
        beta.log("fold", 3)
        beta.complete()
        alpha.remove_tags(["kind"])
        alpha.complete()
        gamma = _started(first, "gamma")
        gamma.log_metrics({"loss": 1.0, "acc": 0.5})
        gamma.add_properties({"author": "ada"})
        gamma.correct_property("author", "bob", reason="he wrote it")
        gamma.fail("out of memory")
        other = _started(Experiment(ws, "second"), "other")
        other.log("loss", 2.0)
        other.complete()


def _started(experiment: Experiment, run_id: str, **options: Any) -> Run:
    return experiment.start_logging(
        run_id=run_id, outputs=False, snapshot_directory=None, **options
    )


def rows_of(folder: Path) -> list[tuple[Any, ...]]:
    """The position and the columns of each event."""
    with closing(sqlite3.connect(folder / "log.sqlite")) as connection:
        return connection.execute(
            f"SELECT notification_id, {', '.join(COLUMNS)} FROM stored_events"
        ).fetchall()


def flips(folder: Path) -> list[Flip]:
    """Every bit of every column of every event."""
    return [
        Flip(position, column, bit)
        for position, *values in rows_of(folder)
        for column, value in zip(COLUMNS, values, strict=True)
        for bit in range(_INT_BITS if isinstance(value, int) else 8 * len(_bytes_of(value)))
    ]


def sampled(found: Sequence[Flip], n: int, seed: int) -> list[Flip]:
    """This many of the flips, of all columns alike."""
    random = Random(seed)
    by_column = {name: [flip for flip in found if flip.column == name] for name in COLUMNS}
    return [random.choice(by_column[COLUMNS[number % len(COLUMNS)]]) for number in range(n)]


def run_at(folder: Path, position: int) -> str | None:
    """The run whose event is at a position."""
    return next((run_id_of(row[1]) for row in rows_of(folder) if row[0] == position), None)


def flipped(original: Path, to: Path, flip: Flip) -> Path:
    """A copy of the workspace with that bit of its log flipped."""
    shutil.copytree(original, to)
    position, column, bit = flip
    with closing(sqlite3.connect(to / "log.sqlite")) as connection, connection:
        [(value,)] = connection.execute(
            f"SELECT {column} FROM stored_events WHERE notification_id = ?", (position,)
        )
        changed: Any = value ^ (1 << bit) if isinstance(value, int) else _flipped(value, bit)
        new = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
        connection.execute(
            f"UPDATE stored_events SET {column} = {new} WHERE notification_id = ?",
            (changed, position),
        )
    return to


def _flipped(value: str | bytes, bit: int) -> bytes:
    content = bytearray(_bytes_of(value))
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def _bytes_of(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def answers(folder: Path) -> Answers:
    """What people ask, of all runs and of each."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with Workspace.open(folder) as ws:
            of_all = {name: _answer(question) for name, question in _of_all(ws)}
            of_runs = {
                (name, run_id): _answer(partial(question, ws, run_id))
                for name, question in _OF_RUNS.items()
                for run_id in RUNS
            }
    return Answers(of_all, of_runs, [str(one.message) for one in told])


def _answer(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except RunloreError as error:
        return error


def _of_all(ws: Workspace) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "list", lambda: {run.id: run.get_status() for run in _runs(ws)}
    # Not their numbers and trees: a run whose creation is damaged is not counted, nor a parent.
    columns = "run_id, experiment, experiment_id, status, ended_at, description, duration_s"
    yield "SQL of runs", partial(_by_run, ws, f"SELECT {columns} FROM runs")
    # Nor who changed what: an introduction of a writer may be damaged.
    for view in ("tags", "properties"):
        query = f"SELECT run_id, key, value, set_at FROM {view} ORDER BY ALL"
        yield f"SQL of {view}", partial(_by_run, ws, query)
    for view in ("metrics", "metric_points"):
        yield f"SQL of {view}", partial(_by_run, ws, f"SELECT run_id, * FROM {view} ORDER BY ALL")
    yield "SQL as of", partial(_by_run, ws.as_of(12), "SELECT run_id, status FROM runs")
    yield "changes", lambda: {change.run_id or "": 0 for change in ws.diff(3)} and {}
    yield "events", lambda: len(list(ws.events())) and {}


def _runs(ws: Workspace) -> Iterator[Run]:
    for experiment in Experiment.list(ws):
        yield from experiment.get_runs(include_children=True)


def _by_run(ws: Workspace, query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for run_id, *values in ws.sql(query).fetchall():
        found.setdefault(run_id, []).append(list(map(repr, values)))
    return found


_OF_RUNS: Final[dict[str, Callable[[Workspace, str], Any]]] = {
    "metrics": lambda ws, run_id: repr(ws.get_run(run_id).get_metrics()),
    "tags": lambda ws, run_id: ws.get_run(run_id).get_tags(),
    "details": lambda ws, run_id: repr(ws.get_run(run_id).get_details()["status"]),
    "history": lambda ws, run_id: [
        (change.what, change.key, change.new) for change in ws.get_run(run_id).history()
    ],
}

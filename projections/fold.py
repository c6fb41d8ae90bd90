"""Facts to rows: what a batch of events adds to the tables of runs, tags and properties.

Pure but for its own lists. What the batch needs to know of earlier events comes in as `Known`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from runlore.domain.fact import Fact
from runlore.domain.ids import owner_of, run_id_of, run_stream
from runlore.projections.batch_context import Known, KnownExperiment, KnownRun, State
from runlore.projections.projection import DataErased
from runlore.projections.temporal import TemporalRows

TERMINAL_TOPICS = {
    "run.completed": "Completed",
    "run.failed": "Failed",
    "run.canceled": "Canceled",
    "run.lost": "Failed",
}


Data = Mapping[str, Any]
Place = tuple[int, str | None, int]
"""Of an event: recorded_at, writer_id, position, the last columns of many tables."""


class Move(NamedTuple):
    """Roots, and all below them, go below a run that they awaited.

    To each of them `depth` is added, and `path` before its own.
    """

    roots: list[int]
    parent_no: int
    parent_id: str
    root_no: int
    root_id: str
    depth: int
    path: str
    position: int


class Rows:
    """What a batch adds to each table; the columns are those of `schema.sql`, in order."""

    def __init__(self, known: Known) -> None:
        first_run, first_experiment = known.run_count + 1, known.experiment_count + 1
        self.writers: list[tuple[Any, ...]] = []
        self.experiments: list[tuple[Any, ...]] = []
        self.experiment_states = TemporalRows(first_experiment)
        self.experiment_tags = TemporalRows(first_experiment)
        self.first_run = first_run
        self.runs: list[list[Any]] = []
        self.moves: list[Move] = []
        self.run_states = TemporalRows(first_run)
        self.run_tags = TemporalRows(first_run)
        self.run_properties = TemporalRows(first_run)
        self.artifacts = TemporalRows(first_run)
        self.submissions: list[tuple[Any, ...]] = []
        self.snapshots: list[tuple[Any, ...]] = []
        self.refusals: list[tuple[Any, ...]] = []
        self.warnings: list[tuple[Any, ...]] = []
        self.batches: list[tuple[int, Fact]] = []


class RunsFold:
    """Folds one batch into what is known; afterwards `rows` holds what it adds."""

    def __init__(self, known: Known) -> None:
        self.rows = Rows(known)
        self._known = known

    def fold(self, facts: Iterable[Fact]) -> Rows:
        """The rows that the facts add, in their order. Raises DataErased."""
        runs = self._known.runs
        for fact in facts:
            # Unpacked once: a tuple's fields cost more by name, and this runs for every event.
            position, stream, _, topic, data, _, recorded_at, writer_id, _, _ = fact
            if data is None:
                continue
            change = _CHANGES_OF_RUNS.get(topic)
            if change is not None:
                run = runs.get(stream) or self._run_above(stream)
                if run is not None:
                    change(self, run, data, (recorded_at, writer_id, position), fact)
                continue
            apply = _APPLY.get(topic)
            if apply is not None:
                apply(self, data, (recorded_at, writer_id, position), fact)
        return self.rows

    def _run_above(self, stream: str) -> KnownRun | None:
        """The run of a stream below its own, such as that of its values."""
        run_id = run_id_of(stream)
        return None if run_id is None else self._known.runs.get(run_stream(run_id))

    # --- writers and experiments --------------------------------------------------------------

    def _writer_opened(self, data: Data, place: Place, fact: Fact) -> None:
        self.rows.writers.append(
            (
                owner_of(fact.stream),
                data["actor"],
                data["host"],
                data["pid"],
                data["process"],
                data["client_version"],
                fact.recorded_at,
                fact.position,
            )
        )

    def _experiment_created(self, data: Data, place: Place, fact: Fact) -> None:
        known = self._known
        if data["experiment_id"] in known.experiments:
            return
        number = known.experiment_count = known.experiment_count + 1
        known.experiments[data["experiment_id"]] = KnownExperiment(number, 0)
        self.rows.experiments.append(
            (number, data["experiment_id"], data["name"], fact.recorded_at, fact.position)
        )
        self.rows.experiment_states.begin((number,), [number, None, fact.position, None])

    def _experiment_archived(self, data: Data, place: Place, fact: Fact) -> None:
        self._change_experiment(data, place, place[0])

    def _experiment_reactivated(self, data: Data, place: Place, fact: Fact) -> None:
        self._change_experiment(data, place, None)

    def _change_experiment(self, data: Data, place: Place, archived_at: int | None) -> None:
        known = self._known.experiments.get(data["experiment_id"])
        if known is not None:
            number = known.experiment_no
            self.rows.experiment_states.put((number,), [number, archived_at, place[2], None])

    def _experiment_tag_set(self, data: Data, place: Place, fact: Fact) -> None:
        known = self._known.experiments.get(data["experiment_id"])
        if known is not None:
            number, key = known.experiment_no, data["key"]
            self.rows.experiment_tags.put((number, key), [number, key, data["value"], *place, None])

    def _experiment_tag_removed(self, data: Data, place: Place, fact: Fact) -> None:
        known = self._known.experiments.get(data["experiment_id"])
        if known is not None:
            self.rows.experiment_tags.end((known.experiment_no, data["key"]), fact.position)

    # --- runs -------------------------------------------------------------------------------

    def _run_created(self, data: Data, place: Place, fact: Fact) -> None:
        known, rows = self._known, self.rows
        run_id, parent_id, status = data["run_id"], data["parent_id"], data["status"]
        experiment = known.experiments.get(data["experiment_id"])
        stream = run_stream(run_id)
        if experiment is None or stream in known.runs:
            return
        run_no = known.run_count = known.run_count + 1
        number = experiment.last_number = experiment.last_number + 1
        parent = known.runs.get(run_stream(parent_id)) if parent_id else None
        at, writer_id, position = place
        awaited_id = None
        erased = data.get("erased", False)
        started_at = data["started_at"] if erased else at if status == "Running" else None
        ended_at = data["ended_at"] if erased else None
        named = data["display_name"], data["description"]
        begun_at = started_at or at
        state: State = (status, None, started_at, ended_at, None, *named, None, begun_at)
        experiment_no = experiment.experiment_no
        if parent is None:
            if parent_id and parent_id != run_id:
                awaited_id = parent_id
                known.awaiting.setdefault(parent_id, []).append(stream)
            parent_no = parent_id = None
            path = f"{run_no:08x}"
            run = KnownRun(run_no, experiment_no, run_no, run_id, 0, path, state, erased)
        else:
            parent_no = parent.run_no
            path = f"{parent.path}{run_no:08x}"
            above = parent.root_no, parent.root_id, parent.depth + 1
            run = KnownRun(run_no, experiment_no, *above, path, state, erased)
        known.runs[stream] = run
        rows.runs.append(
            [
                run_no,
                run_id,
                experiment_no,
                number,
                parent_no,
                parent_id,
                run.root_no,
                run.root_id,
                run.depth,
                path,
                data["run_type"],
                data["target"],
                data["name"],
                at,
                writer_id,
                position,
                erased,
                awaited_id,
                None,
            ]
        )
        rows.run_states.begin((run_no,), [run_no, *state, True, at, writer_id, position, None])
        for key, value in data["tags"].items():
            row = [run_no, experiment_no, key, value, at, writer_id, position, None]
            rows.run_tags.begin((run_no, key), row)
        for key, value in data["properties"].items():
            row = [run_no, experiment_no, key, value, None, at, writer_id, position, None]
            rows.run_properties.begin((run_no, key), row)
        if run_id in known.awaiting:
            self._attach(known.awaiting.pop(run_id), run, run_id, position)

    def _attach(self, streams: Sequence[str], to: KnownRun, to_id: str, position: int) -> None:
        """Moves the trees that awaited a run below it, but one that it is itself in."""
        known, rows = self._known, self.rows
        waited = {known.runs[stream].run_no for stream in streams} - {to.root_no}
        if not waited:
            return
        move = Move(
            sorted(waited),
            to.run_no,
            to_id,
            to.root_no,
            to.root_id,
            to.depth + 1,
            to.path,
            position,
        )
        known.moved = True
        rows.moves.append(move)
        for run in known.runs.values():
            if run.root_no in waited:
                run.root_no, run.root_id = move.root_no, move.root_id
                run.depth, run.path = run.depth + move.depth, move.path + run.path
                if run.run_no >= rows.first_run:
                    _move_row(rows.runs[run.run_no - rows.first_run], run, move)

    def _started(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        self._change_status(run, "Running", run.state[1], place)

    def _submitted(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        row = (run.run_no, as_json(data["definition"]), data["repeats"], fact.position)
        self.rows.submissions.append(row)

    def _status_changed(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        self._change_status(run, data["status"], data["detail"], place)

    def _cancel_requested(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        self._change_status(run, "CancelRequested", run.state[1], place)

    def _ended(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        _, detail, started_at, _, _, display_name, description, _, begun_at = run.state
        error = data.get("error")
        state = (
            TERMINAL_TOPICS[fact.topic],
            detail,
            started_at,
            place[0],
            place[2],
            display_name,
            description,
            None if error is None else as_json(error),
            begun_at,
        )
        self._change_state(run, state, place, status_changed=True)

    def _display_name_set(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        state = (*run.state[:5], data["display_name"], *run.state[6:])
        self._change_state(run, state, place, status_changed=False)

    def _description_set(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        state = (*run.state[:6], data["description"], *run.state[7:])
        self._change_state(run, state, place, status_changed=False)

    def _tag_set(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        key = data["key"]
        row = [run.run_no, run.experiment_no, key, data["value"], *place, None]
        self.rows.run_tags.put((run.run_no, key), row)

    def _tag_removed(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        self.rows.run_tags.end((run.run_no, data["key"]), fact.position)

    def _property_added(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        key = data["key"]
        row = [run.run_no, run.experiment_no, key, data["value"], None, *place, None]
        self.rows.run_properties.put_once((run.run_no, key), row)

    def _property_corrected(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        key = data["key"]
        row = [run.run_no, run.experiment_no, key, data["value"], fact.reason, *place, None]
        self.rows.run_properties.replace((run.run_no, key), row)

    def _artifact_added(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        run_no, name = run.run_no, data["name"]
        row = [run_no, name, data["sha256"], data["nbytes"], *place, None]
        self.rows.artifacts.put((run_no, name), row)

    def _snapshot_taken(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        columns = ("snapshot_id", "manifest_sha256", "files", "nbytes")
        self.rows.snapshots.append((run.run_no, *map(data.__getitem__, columns), *place))

    def _change_refused(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        columns = ("change", "key", "held", "refused", "reason")
        self.rows.refusals.append((run.run_no, *map(data.__getitem__, columns), *place))

    def _warning_added(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        columns = ("source", "message")
        self.rows.warnings.append((run.run_no, *map(data.__getitem__, columns), *place))

    def _values_logged(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        self.rows.batches.append((run.run_no, fact))

    def _erased(self, run: KnownRun, data: Data, place: Place, fact: Fact) -> None:
        if not run.erased:  # Its creation was read while its key was there.
            raise DataErased

    def _change_status(self, run: KnownRun, status: str, detail: str | None, place: Place) -> None:
        _, _, started_at, ended_at, ended_position, name, text, error, begun_at = run.state
        if status == "Running" and started_at is None:
            started_at = begun_at = place[0]
        ended = ended_at, ended_position
        state = (status, detail, started_at, *ended, name, text, error, begun_at)
        self._change_state(run, state, place, status_changed=True)

    def _change_state(
        self, run: KnownRun, state: State, place: Place, *, status_changed: bool
    ) -> None:
        run.state = state
        row = [run.run_no, *state, status_changed, *place, None]
        self.rows.run_states.put((run.run_no,), row)


_APPLY: Final[Mapping[str, Callable[[RunsFold, Data, Place, Fact], None]]] = {
    "writer.opened": RunsFold._writer_opened,
    "experiment.created": RunsFold._experiment_created,
    "experiment.archived": RunsFold._experiment_archived,
    "experiment.reactivated": RunsFold._experiment_reactivated,
    "experiment.tag_set": RunsFold._experiment_tag_set,
    "experiment.tag_removed": RunsFold._experiment_tag_removed,
    "run.created": RunsFold._run_created,
}

_CHANGES_OF_RUNS: Final[Mapping[str, Callable[[RunsFold, KnownRun, Data, Place, Fact], None]]] = {
    "run.started": RunsFold._started,
    "run.status_changed": RunsFold._status_changed,
    "run.cancel_requested": RunsFold._cancel_requested,
    "run.completed": RunsFold._ended,
    "run.failed": RunsFold._ended,
    "run.canceled": RunsFold._ended,
    "run.lost": RunsFold._ended,
    "run.submitted": RunsFold._submitted,
    "run.display_name_set": RunsFold._display_name_set,
    "run.description_set": RunsFold._description_set,
    "run.tag_set": RunsFold._tag_set,
    "run.tag_removed": RunsFold._tag_removed,
    "run.property_added": RunsFold._property_added,
    "run.property_corrected": RunsFold._property_corrected,
    "run.artifact_added": RunsFold._artifact_added,
    "run.snapshot_taken": RunsFold._snapshot_taken,
    "run.change_refused": RunsFold._change_refused,
    "run.warning_added": RunsFold._warning_added,
    "run.values_logged": RunsFold._values_logged,
    "run.erased": RunsFold._erased,
}


def _move_row(row: list[Any], run: KnownRun, move: Move) -> None:
    """A row of `runs` that is not written yet; see `_RUNS` of `runs_tables` for its columns."""
    row[6:10] = run.root_no, run.root_id, run.depth, run.path
    if run.run_no in move.roots:
        row[4:6] = move.parent_no, move.parent_id
        row[-2:] = None, move.position


def as_json(data: Mapping[str, Any]) -> str:
    """The data as JSON text, five times faster than by the standard library."""
    return to_json(data).decode()


def rows_of(facts: Sequence[Fact], known: Known) -> Rows:
    """What the facts add to the tables; what they say is known from then on."""
    return RunsFold(known).fold(facts)

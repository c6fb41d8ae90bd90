"""Facts to rows: the fold of a batch of events into rows of runs, tags and properties.

Pure but for its own lists. The state before the batch comes in as `BatchContext`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from runlore.domain import events as ev
from runlore.domain.fact import Fact
from runlore.domain.ids import owner_of, run_id_of, run_stream
from runlore.domain.status import Status
from runlore.domain.topics import END_TOPICS, STATUS_AFTER
from runlore.projections.batch_context import (
    BatchContext,
    KnownExperiment,
    KnownRun,
    StateColumns,
)
from runlore.projections.batch_rows import EventStamp, Move, Rows, as_json
from runlore.projections.projection import DataErased

Data = Mapping[str, Any]
Add = Callable[["RunsFold", Data, EventStamp, Fact], None]
Change = Callable[["RunsFold", KnownRun, Data, EventStamp, Fact], None]


class RunsFold:
    """Folds one batch into the context; `rows` collects the rows that it adds."""

    def __init__(self, known: BatchContext) -> None:
        self.rows = Rows(known)
        self._known = known

    def fold(self, facts: Iterable[Fact]) -> Rows:
        """The rows that the facts add, in their order. Raises DataErased."""
        runs = self._known.runs
        for fact in facts:
            # Unpacked once: a tuple's fields cost more by name, and this runs for every event.
            position, stream, _, topic, data, _, recorded_at, _, writer_id, _, _ = fact
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

    def _writer_opened(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
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

    def _experiment_created(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        known = self._known
        if data["experiment_id"] in known.experiments:
            return
        number = known.experiment_count = known.experiment_count + 1
        known.experiments[data["experiment_id"]] = KnownExperiment(number, 0)
        self.rows.experiments.append(
            (number, data["experiment_id"], data["name"], fact.recorded_at, fact.position)
        )
        self.rows.experiment_states.begin((number,), [number, None, fact.position, None])

    def _experiment_archived(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self._change_experiment(data, stamp, stamp[0])

    def _experiment_reactivated(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self._change_experiment(data, stamp, None)

    def _change_experiment(self, data: Data, stamp: EventStamp, archived_at: int | None) -> None:
        known = self._known.experiments.get(data["experiment_id"])
        if known is not None:
            number = known.experiment_no
            self.rows.experiment_states.put((number,), [number, archived_at, stamp[2], None])

    def _experiment_tag_set(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        known = self._known.experiments.get(data["experiment_id"])
        if known is not None:
            number, key = known.experiment_no, data["key"]
            self.rows.experiment_tags.put((number, key), [number, key, data["value"], *stamp, None])

    def _experiment_tag_removed(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        known = self._known.experiments.get(data["experiment_id"])
        if known is not None:
            self.rows.experiment_tags.end((known.experiment_no, data["key"]), fact.position)

    # --- runs -------------------------------------------------------------------------------

    def _run_created(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        known = self._known
        run_id, parent_id = data["run_id"], data["parent_id"]
        experiment = known.experiments.get(data["experiment_id"])
        stream = run_stream(run_id)
        if experiment is None or stream in known.runs:
            return
        parent = known.runs.get(run_stream(parent_id)) if parent_id else None
        run = known.runs[stream] = self._new_run(experiment, parent, data, stamp)
        awaited_id = None
        if parent is None and parent_id and parent_id != run_id:
            awaited_id = parent_id
            known.awaiting.setdefault(parent_id, []).append(stream)
        number = experiment.last_number = experiment.last_number + 1
        self._add_run(run, parent, number, awaited_id, data, stamp)
        self._add_tags_and_properties(run, data, stamp)
        if run_id in known.awaiting:
            self._attach(known.awaiting.pop(run_id), run, run_id, stamp[2])

    def _new_run(
        self, experiment: KnownExperiment, parent: KnownRun | None, data: Data, stamp: EventStamp
    ) -> KnownRun:
        run_no = self._known.run_count = self._known.run_count + 1
        if parent is None:
            place = run_no, data["run_id"], 0, f"{run_no:08x}"
        else:
            path = f"{parent.path}{run_no:08x}"
            place = parent.root_no, parent.root_id, parent.depth + 1, path
        erased = data.get("erased", False)
        state = _first_state(data, stamp[0], erased)
        return KnownRun(run_no, experiment.experiment_no, *place, state, erased)

    def _add_run(
        self,
        run: KnownRun,
        parent: KnownRun | None,
        number: int,
        awaited_id: str | None,
        data: Data,
        stamp: EventStamp,
    ) -> None:
        run_no = run.run_no
        self.rows.runs.append(
            [
                run_no,
                data["run_id"],
                run.experiment_no,
                number,
                None if parent is None else parent.run_no,
                None if parent is None else data["parent_id"],
                run.root_no,
                run.root_id,
                run.depth,
                run.path,
                data["run_type"],
                data["target"],
                data["name"],
                *stamp,
                run.erased,
                awaited_id,
                None,
            ]
        )
        self.rows.run_states.begin((run_no,), [run_no, *run.state, True, *stamp, None])

    def _add_tags_and_properties(self, run: KnownRun, data: Data, stamp: EventStamp) -> None:
        run_no, experiment_no = run.run_no, run.experiment_no
        for key, value in data["tags"].items():
            row = [run_no, experiment_no, key, value, *stamp, None]
            self.rows.run_tags.begin((run_no, key), row)
        for key, value in data["properties"].items():
            row = [run_no, experiment_no, key, value, None, *stamp, None]
            self.rows.run_properties.begin((run_no, key), row)

    def _attach(self, streams: Sequence[str], to: KnownRun, to_id: str, position: int) -> None:
        """Attaches the trees that were waiting for this run, except the tree that contains it."""
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

    def _started(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self._change_status(run, _RUNNING, run.state[1], stamp)

    def _submitted(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        row = (run.run_no, as_json(data["definition"]), data["repeats"], fact.position)
        self.rows.submissions.append(row)

    def _status_changed(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self._change_status(run, data["status"], data["detail"], stamp)

    def _cancel_requested(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self._change_status(run, str(STATUS_AFTER[fact.topic]), run.state[1], stamp)

    def _ended(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        _, detail, started_at, _, _, display_name, description, _, begun_at = run.state
        error = data.get("error")
        state = (
            str(STATUS_AFTER[fact.topic]),
            detail,
            started_at,
            stamp[0],
            stamp[2],
            display_name,
            description,
            None if error is None else as_json(error),
            begun_at,
        )
        self._change_state(run, state, stamp, status_changed=True)

    def _display_name_set(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        state = (*run.state[:5], data["display_name"], *run.state[6:])
        self._change_state(run, state, stamp, status_changed=False)

    def _description_set(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        state = (*run.state[:6], data["description"], *run.state[7:])
        self._change_state(run, state, stamp, status_changed=False)

    def _tag_set(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        key = data["key"]
        row = [run.run_no, run.experiment_no, key, data["value"], *stamp, None]
        self.rows.run_tags.put((run.run_no, key), row)

    def _tag_removed(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self.rows.run_tags.end((run.run_no, data["key"]), fact.position)

    def _property_added(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        key = data["key"]
        row = [run.run_no, run.experiment_no, key, data["value"], None, *stamp, None]
        self.rows.run_properties.put_once((run.run_no, key), row)

    def _property_corrected(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        key = data["key"]
        row = [run.run_no, run.experiment_no, key, data["value"], fact.reason, *stamp, None]
        self.rows.run_properties.replace((run.run_no, key), row)

    def _artifact_added(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        run_no, name = run.run_no, data["name"]
        row = [run_no, name, data["sha256"], data["nbytes"], *stamp, None]
        self.rows.artifacts.put((run_no, name), row)

    def _snapshot_taken(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        columns = ("snapshot_id", "manifest_sha256", "files", "nbytes")
        self.rows.snapshots.append((run.run_no, *map(data.__getitem__, columns), *stamp))

    def _change_refused(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        columns = ("change", "key", "held", "refused", "reason")
        self.rows.refusals.append((run.run_no, *map(data.__getitem__, columns), *stamp))

    def _warning_added(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        columns = ("source", "message")
        self.rows.warnings.append((run.run_no, *map(data.__getitem__, columns), *stamp))

    def _values_logged(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self.rows.batches.append((run.run_no, fact))

    def _erased(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        if not run.erased:  # Its creation was read while its key still existed.
            raise DataErased

    def _change_status(
        self, run: KnownRun, status: str, detail: str | None, stamp: EventStamp
    ) -> None:
        _, _, started_at, ended_at, ended_position, name, text, error, begun_at = run.state
        if status == _RUNNING and started_at is None:
            started_at = begun_at = stamp[0]
        ended = ended_at, ended_position
        state = (status, detail, started_at, *ended, name, text, error, begun_at)
        self._change_state(run, state, stamp, status_changed=True)

    def _change_state(
        self, run: KnownRun, state: StateColumns, stamp: EventStamp, *, status_changed: bool
    ) -> None:
        run.state = state
        row = [run.run_no, *state, status_changed, *stamp, None]
        self.rows.run_states.put((run.run_no,), row)


_APPLY: Final[Mapping[str, Add]] = {
    ev.WriterOpened.topic: RunsFold._writer_opened,
    ev.ExperimentCreated.topic: RunsFold._experiment_created,
    ev.ExperimentArchived.topic: RunsFold._experiment_archived,
    ev.ExperimentReactivated.topic: RunsFold._experiment_reactivated,
    ev.ExperimentTagSet.topic: RunsFold._experiment_tag_set,
    ev.ExperimentTagRemoved.topic: RunsFold._experiment_tag_removed,
    ev.RunCreated.topic: RunsFold._run_created,
}

_CHANGES_OF_RUNS: Final[Mapping[str, Change]] = {
    ev.RunStarted.topic: RunsFold._started,
    ev.RunStatusChanged.topic: RunsFold._status_changed,
    ev.RunCancelRequested.topic: RunsFold._cancel_requested,
    **dict.fromkeys(END_TOPICS, RunsFold._ended),
    ev.RunSubmitted.topic: RunsFold._submitted,
    ev.DisplayNameSet.topic: RunsFold._display_name_set,
    ev.DescriptionSet.topic: RunsFold._description_set,
    ev.TagSet.topic: RunsFold._tag_set,
    ev.TagRemoved.topic: RunsFold._tag_removed,
    ev.PropertyAdded.topic: RunsFold._property_added,
    ev.PropertyCorrected.topic: RunsFold._property_corrected,
    ev.ArtifactAdded.topic: RunsFold._artifact_added,
    ev.SnapshotTaken.topic: RunsFold._snapshot_taken,
    ev.ChangeRefused.topic: RunsFold._change_refused,
    ev.WarningAdded.topic: RunsFold._warning_added,
    ev.ValuesLogged.topic: RunsFold._values_logged,
    ev.RunErased.topic: RunsFold._erased,
}

FOLDED: Final = frozenset(_APPLY.keys() | _CHANGES_OF_RUNS.keys())
"""The topics that add rows; of the others the tables only know that they happened."""

_RUNNING: Final = str(Status.RUNNING)


def _first_state(data: Data, recorded_at: int, erased: bool) -> StateColumns:
    """The state that a run is created in; one that was erased is created with its times."""
    status = data["status"]
    if erased:
        started_at, ended_at = data["started_at"], data["ended_at"]
    else:
        started_at, ended_at = recorded_at if status == _RUNNING else None, None
    begun_at = started_at or recorded_at
    display_name, description = data["display_name"], data["description"]
    return (
        *(status, None, started_at, ended_at, None),
        *(display_name, description, None, begun_at),
    )


def _move_row(row: list[Any], run: KnownRun, move: Move) -> None:
    """A row of `runs` that is not written yet; see `table_writes` for its columns."""
    row[6:10] = run.root_no, run.root_id, run.depth, run.path
    if run.run_no in move.roots:
        row[4:6] = move.parent_no, move.parent_id
        row[-2:] = None, move.position


def rows_of(facts: Sequence[Fact], known: BatchContext) -> Rows:
    """The rows that the facts add to the tables; `known` includes the facts from then on."""
    return RunsFold(known).fold(facts)

"""Facts to rows: the fold of a batch of events into rows of runs, tags and properties.

Pure but for its own lists. The state before the batch comes in as `BatchContext`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from runlore.domain import events as ev
from runlore.domain.config import flattened, number_of
from runlore.domain.fact import Fact
from runlore.domain.ids import owner_of, run_id_of, run_stream
from runlore.domain.surroundings import COMMIT_PROPERTY, commit_in, script_in
from runlore.domain.topics import END_TOPICS, STATUS_AFTER
from runlore.projections import state_columns as states
from runlore.projections.batch_context import BatchContext, KnownExperiment, KnownRun
from runlore.projections.batch_rows import EventStamp, Move, Rows, as_json
from runlore.projections.projection import DataErased
from runlore.projections.state_columns import StateColumns
from runlore.storage.damage import DamagedEvent

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
            position, stream, _, topic, data, _, _, observed_at, writer_id, _, _, damage = fact
            if data is None:
                if damage is not None:
                    self.rows.damaged.append(DamagedEvent.of(fact))
                continue
            change = _CHANGES_OF_RUNS.get(topic)
            if change is not None:
                run = runs.get(stream) or self._run_above(stream)
                if run is not None:
                    change(self, run, data, (observed_at, writer_id, position), fact)
                continue
            apply = _APPLY.get(topic)
            if apply is not None:
                apply(self, data, (observed_at, writer_id, position), fact)
        return self.rows

    def _run_above(self, stream: str) -> KnownRun | None:
        """The run of a stream below its own, such as that of its values."""
        run_id = run_id_of(stream)
        return None if run_id is None else self._known.runs.get(run_stream(run_id))

    # --- the workspace, writers, views ----------------------------------------------------

    def _workspace_created(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self.rows.identities.append((data["workspace_id"], None, None, *stamp))

    def _workspace_adopted(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        columns = ("workspace_id", "origin_id", "note")
        self.rows.identities.append((*map(data.__getitem__, columns), *stamp))

    def _writer_opened(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        columns = map(data.__getitem__, _OF_WRITER)
        row = (owner_of(fact.stream), *columns, fact.observed_at, fact.position)
        self.rows.writers.append(row)

    def _view_saved(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self.rows.saved_views.append((data["name"], as_json(data["definition"]), *stamp))

    def _view_deleted(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self.rows.saved_views.append((data["name"], None, *stamp))

    # --- experiments ----------------------------------------------------------------------

    def _experiment_created(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        if data["experiment_id"] not in self._known.experiments:
            self._add_experiment(data, stamp[0], stamp[2])

    def _add_experiment(self, data: Data, created_at: int, position: int) -> int:
        known, experiment_id, name = self._known, data["experiment_id"], data["name"]
        number = known.experiment_count = known.experiment_count + 1
        known.experiments[experiment_id] = KnownExperiment(number, name)
        self.rows.experiments.append((number, experiment_id, created_at, position))
        row = [number, experiment_id, name, None, position, None]
        self.rows.experiment_states.begin((number,), row)
        return number

    def _experiment_archived(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self._change_experiment(data, stamp[0], stamp[2])

    def _experiment_reactivated(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self._change_experiment(data, None, stamp[2])

    def _experiment_renamed(self, data: Data, stamp: EventStamp, fact: Fact) -> None:
        """The event stands in the streams of both names: the second one finds nothing to do.

        A log can lack the stream of the old name: then the experiment begins with the event.
        """
        known = self._known.experiments.get(data["experiment_id"])
        if known is None:
            number = self._add_experiment(data, data["created_at"], stamp[2])
            for key, value in data["tags"].items():
                self.rows.experiment_tags.begin((number, key), [number, key, value, *stamp, None])
        elif known.name != data["name"]:
            known.name = data["name"]
            self._change_experiment(data, None, stamp[2])

    def _change_experiment(self, data: Data, archived_at: int | None, position: int) -> None:
        experiment_id = data["experiment_id"]
        known = self._known.experiments.get(experiment_id)
        if known is not None:
            number = known.experiment_no
            row = [number, experiment_id, known.name, archived_at, position, None]
            self.rows.experiment_states.put((number,), row)

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
        if stream in known.runs:
            return
        if experiment is None:  # The event that created it may be damaged.
            name = {"experiment_id": data["experiment_id"], "name": data["experiment_name"]}
            self._add_experiment(name, stamp[0], stamp[2])
            experiment = known.experiments[data["experiment_id"]]
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
        state = states.first_state(data, stamp[0], erased=erased)
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
                data["given_at"],
                data["given_user"],
                data["properties"].get(COMMIT_PROPERTY),
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
        if data["config"] != "{}":
            self._add_config(run, data["config"], stamp)

    def _add_config(self, run: KnownRun, config: str, stamp: EventStamp) -> None:
        run_no = run.run_no
        for key, leaf in flattened(json.loads(config)).items():
            row = [run_no, run.experiment_no, key, leaf, number_of(leaf), None, *stamp, None]
            self.rows.run_config.put_once((run_no, key), row)

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
        detail, began_at = run.state.status_detail, data["began_at"]
        state = states.with_status(run.state, states.RUNNING, detail, began_at or stamp[0])
        # A run that was created for others to execute is Running before it begins.
        changed = run.state.status != states.RUNNING
        self._change_state(run, state, stamp, status_changed=changed)

    def _submitted(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        row = (run.run_no, as_json(data["definition"]), data["repeats"], fact.position)
        self.rows.submissions.append(row)

    def _status_changed(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self._change_status(run, data["status"], data["detail"], stamp)

    def _cancel_requested(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self._change_status(run, _STATUSES[fact.topic], run.state.status_detail, stamp)

    def _ended(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        at, _, position = stamp
        status, error = _end_of(data, fact)
        state = states.ended(run.state, status, error, at, position)
        self._change_state(run, state, stamp, status_changed=True)

    def _lost(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        at, _, position = stamp
        status, error = _end_of(data, fact)
        state = states.lost(run.state, status, error, at, position)
        self._change_state(run, state, stamp, status_changed=True)
        self.rows.losses.append((run.run_no, as_json(data["evidence"]), *stamp))

    def _found(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        state = states.found(run.state, data["status"], stamp[0])
        self._change_state(run, state, stamp, status_changed=True)

    def _resumed(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        if run.state.ended_position is not None:
            self.rows.pauses.append((run.run_no, run.state.ended_position, fact.position))
        self._change_state(run, states.resumed(run.state, stamp[0]), stamp, status_changed=True)

    def _rewound(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self.rows.rewinds.append((run.run_no, data["step"], *stamp))

    def _archived(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        state = run.state._replace(archived_at=stamp[0])
        self._change_state(run, state, stamp, status_changed=False)

    def _reactivated(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        state = run.state._replace(archived_at=None)
        self._change_state(run, state, stamp, status_changed=False)

    def _display_name_set(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        state = run.state._replace(display_name=data["display_name"])
        self._change_state(run, state, stamp, status_changed=False)

    def _description_set(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        state = run.state._replace(description=data["description"])
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

    def _config_added(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self._add_config(run, data["config"], stamp)

    def _config_corrected(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        run_no, key, leaf = run.run_no, data["key"], data["value"]
        number = number_of(leaf)
        row = [run_no, run.experiment_no, key, leaf, number, fact.reason, *stamp, None]
        self.rows.run_config.replace((run_no, key), row)

    def _artifact_added(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        run_no, name = run.run_no, data["name"]
        columns = map(data.__getitem__, ("sha256", "nbytes", "uri", "replaces"))
        self.rows.artifacts.put((run_no, name), [run_no, name, *columns, *stamp, None])

    def _artifact_pruned(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self.rows.prunings.append((run.run_no, data["name"], data["sha256"], *stamp))

    def _environment_recorded(
        self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact
    ) -> None:
        document = data["environment"]
        shown = script_in(document), commit_in(document)
        row = [run.run_no, as_json(document), *shown, *stamp, None]
        self.rows.environments.put((run.run_no,), row)

    def _snapshot_taken(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        columns = ("snapshot_id", "manifest_sha256", "files", "nbytes")
        self.rows.snapshots.append((run.run_no, *map(data.__getitem__, columns), *stamp))

    def _change_refused(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        columns = ("change", "key", "held", "refused", "reason")
        self.rows.refusals.append((run.run_no, *map(data.__getitem__, columns), *stamp))

    def _warning_added(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        columns = ("source", "message")
        self.rows.warnings.append((run.run_no, *map(data.__getitem__, columns), *stamp))

    def _alerted(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        columns = ("title", "text", "level")
        self.rows.alerts.append((run.run_no, *map(data.__getitem__, columns), *stamp))

    def _values_logged(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        self.rows.batches.append((run.run_no, fact))

    def _erased(self, run: KnownRun, data: Data, stamp: EventStamp, fact: Fact) -> None:
        if not run.erased:  # Its creation was read while its key still existed.
            raise DataErased

    def _change_status(
        self, run: KnownRun, status: str, detail: str | None, stamp: EventStamp
    ) -> None:
        state = states.with_status(run.state, status, detail, stamp[0])
        self._change_state(run, state, stamp, status_changed=True)

    def _change_state(
        self, run: KnownRun, state: StateColumns, stamp: EventStamp, *, status_changed: bool
    ) -> None:
        run.state = state
        row = [run.run_no, *state, status_changed, *stamp, None]
        self.rows.run_states.put((run.run_no,), row)


_APPLY: Final[Mapping[str, Add]] = {
    ev.WorkspaceCreated.topic: RunsFold._workspace_created,
    ev.WorkspaceAdopted.topic: RunsFold._workspace_adopted,
    ev.WriterOpened.topic: RunsFold._writer_opened,
    ev.ViewSaved.topic: RunsFold._view_saved,
    ev.ViewDeleted.topic: RunsFold._view_deleted,
    ev.ExperimentCreated.topic: RunsFold._experiment_created,
    ev.ExperimentArchived.topic: RunsFold._experiment_archived,
    ev.ExperimentReactivated.topic: RunsFold._experiment_reactivated,
    ev.ExperimentRenamed.topic: RunsFold._experiment_renamed,
    ev.ExperimentTagSet.topic: RunsFold._experiment_tag_set,
    ev.ExperimentTagRemoved.topic: RunsFold._experiment_tag_removed,
    ev.RunCreated.topic: RunsFold._run_created,
}

_CHANGES_OF_RUNS: Final[Mapping[str, Change]] = {
    ev.RunStarted.topic: RunsFold._started,
    ev.RunStatusChanged.topic: RunsFold._status_changed,
    ev.RunCancelRequested.topic: RunsFold._cancel_requested,
    **dict.fromkeys(END_TOPICS, RunsFold._ended),
    ev.RunLost.topic: RunsFold._lost,
    ev.RunFound.topic: RunsFold._found,
    ev.RunResumed.topic: RunsFold._resumed,
    ev.RunRewound.topic: RunsFold._rewound,
    ev.RunArchived.topic: RunsFold._archived,
    ev.RunReactivated.topic: RunsFold._reactivated,
    ev.RunSubmitted.topic: RunsFold._submitted,
    ev.DisplayNameSet.topic: RunsFold._display_name_set,
    ev.DescriptionSet.topic: RunsFold._description_set,
    ev.TagSet.topic: RunsFold._tag_set,
    ev.TagRemoved.topic: RunsFold._tag_removed,
    ev.PropertyAdded.topic: RunsFold._property_added,
    ev.PropertyCorrected.topic: RunsFold._property_corrected,
    ev.ConfigAdded.topic: RunsFold._config_added,
    ev.ConfigCorrected.topic: RunsFold._config_corrected,
    ev.ArtifactAdded.topic: RunsFold._artifact_added,
    ev.ArtifactPruned.topic: RunsFold._artifact_pruned,
    ev.EnvironmentRecorded.topic: RunsFold._environment_recorded,
    ev.SnapshotTaken.topic: RunsFold._snapshot_taken,
    ev.ChangeRefused.topic: RunsFold._change_refused,
    ev.WarningAdded.topic: RunsFold._warning_added,
    ev.RunAlerted.topic: RunsFold._alerted,
    ev.ValuesLogged.topic: RunsFold._values_logged,
    ev.RunErased.topic: RunsFold._erased,
}

FOLDED: Final = frozenset(_APPLY.keys() | _CHANGES_OF_RUNS.keys())
"""The topics that add rows; of the others the tables only know that they happened."""

_OF_WRITER: Final = (
    *("actor", "host", "pid", "process", "client_version"),
    *("boot_id", "started_at", "uid", "machine_id", "program"),
)


def _end_of(data: Data, fact: Fact) -> tuple[str, str | None]:
    """The status and the error, as JSON, that an event ends a run with."""
    error = data.get("error")
    return _STATUSES[fact.topic], None if error is None else as_json(error)


_STATUSES: Final = {topic: str(status) for topic, status in STATUS_AFTER.items()}


def _move_row(row: list[Any], run: KnownRun, move: Move) -> None:
    """A row of `runs` that is not written yet; see `table_writes` for its columns."""
    row[6:10] = run.root_no, run.root_id, run.depth, run.path
    if run.run_no in move.roots:
        row[4:6] = move.parent_no, move.parent_id
        row[-2:] = None, move.position


def rows_of(facts: Sequence[Fact], known: BatchContext) -> Rows:
    """The rows that the facts add to the tables; `known` includes the facts from then on."""
    return RunsFold(known).fold(facts)

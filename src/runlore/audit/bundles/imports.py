"""Import: append the events of a bundle to another log, and keep their former envelope as origin.

Everything is checked first, the bundle by itself and then against the log. Only if nothing speaks
against it is anything written: first files, which nobody looks for before an event names them, and
then all events in one transaction. So readers see the whole bundle or nothing of it, and an import
that was killed can be repeated. Events that the log has are skipped.

Other ways were measured, or thought through. Many transactions are not atomic, whatever marks their
beginning and end: all reads would have to look for these marks, for ever. Reading the bundle inside
the transaction makes all other writers wait half as long again, and for a disk that hangs as long
as it hangs. So the events are staged first; see `runlore.audit.bundles.staging`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack

from runlore.audit.bundles.checks import findings_of
from runlore.audit.bundles.copies import check_not_diverged, records_of
from runlore.audit.bundles.file import BundleFile, open_bundle
from runlore.audit.bundles.format import (
    ARTIFACTS,
    BundleRecord,
    BundleRefused,
)
from runlore.audit.bundles.staging import StagedEvents, staging
from runlore.domain.errors import AlreadyExists
from runlore.domain.events import ExperimentArchived, ExperimentCreated, RunCreated
from runlore.domain.experiment import NameState, fold
from runlore.domain.ids import StreamKind, owner_of, parse_stream, run_id_of
from runlore.engine.streams import stream_of_experiment
from runlore.storage.codec import fact_of, log_version_in
from runlore.storage.errors import VersionConflict
from runlore.storage.event_log import NewEvent
from runlore.storage.journal import Pending

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.storage.artifacts import ArtifactStore
    from runlore.storage.event_log import StoredRow

_LOST_ROUNDS: Final = 3


class ImportClash(AlreadyExists):
    """The workspace has something else under the same id; nothing was written."""

    def __init__(self, path: Path, conflict: str) -> None:
        super().__init__(
            f"bundle {path} cannot be imported: {conflict}; nothing was written: import it into "
            "another workspace"
        )
        self.path = path
        self.conflict = conflict


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import added, and how many events it skipped because the log had them.

    `archived` names the experiments that were imported as archived, because another one holds
    their name; `absent` are digests of artifacts that neither the bundle nor the workspace has.
    """

    runs: int
    events: int
    passed_over: int
    artifacts: int
    archived: tuple[str, ...]
    absent: tuple[str, ...]


def import_bundle(session: Session, path: str | PathLike[str]) -> Imported:
    """Append the events that a bundle has and the workspace does not, and keep its artifacts.

    Ids stay; positions and times are new, and the old ones are kept as the events' origin. The
    identity and the compute targets of the other workspace are not imported. An experiment whose
    name is held by another active one is imported as archived. All of it is there when this
    returns, and nothing of it before. Idempotent.

    While the events are appended, changes by others wait: about 15 s for a million events. Logged
    values never do.

    Raises BundleRefused if anything is wrong with the file, CopiesDiverged if it is of a copy of
    the workspace and both were written to, ImportClash if the workspace has other events of the
    same run, writer or experiment, InvalidInput if it is erasable, FileNotWritten and DiskFull if
    there is no room; then readers see nothing of it.
    """
    path = Path(path)
    session = session.writable()
    store = session.shared_artifacts  # Raises in an erasable workspace.
    with open_bundle(path) as bundle:
        for finding in findings_of(bundle):
            raise BundleRefused(path, f"{finding.entry}: {finding.message}")
        check_not_diverged(session, bundle)
        artifacts, plan = _imported(session, bundle, store)
        absent = [sha256 for sha256 in bundle.manifest.absent if not store.has(sha256)]
    return Imported(
        runs=plan.runs,
        events=plan.events,
        passed_over=plan.passed_over,
        artifacts=artifacts,
        archived=tuple(plan.archived),
        absent=tuple(absent),
    )


def _imported(session: Session, bundle: BundleFile, store: ArtifactStore) -> tuple[int, _Plan]:
    """Import, and plan again if another writer was faster: it may have the same runs now."""
    artifacts = 0
    for lost in range(_LOST_ROUNDS + 1):
        with staging(session.log) as staged:
            plan = _planned(session, bundle, staged)
            artifacts += _keep_artifacts(store, bundle)
            try:
                _append(session, bundle, plan, staged)
                break
            except VersionConflict:
                if lost == _LOST_ROUNDS:
                    raise
    return artifacts, plan


_KEPT: Final = (StreamKind.RUN, StreamKind.VALUES, StreamKind.WRITER)
"""The kinds of streams whose names are the same in every workspace."""


@dataclass
class _Plan:
    """What to append before the staged events: those of experiments, with their new versions."""

    experiments: list[tuple[int, BundleRecord]] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    runs: int = 0
    events: int = 0
    passed_over: int = 0


def _planned(session: Session, bundle: BundleFile, staged: StagedEvents) -> _Plan:
    """What there is to do; the events of runs and writers are staged. Raises ImportClash."""
    plan = _Plan()
    adopted = _adopter(session, bundle)
    known_ids: dict[str, dict[int, bytes | None]] = {}
    versions: dict[str, int] = {}
    by_experiment: dict[str, list[BundleRecord]] = {}
    for record in records_of(bundle):
        row = record.row
        kind = _kind_of(row.stream)
        if kind == StreamKind.EXPERIMENT:
            by_experiment.setdefault(row.stream, []).append(record)
        elif kind in _KEPT:
            if row.stream not in known_ids:
                stored = session.log.read_stream(row.stream)
                ids = {event.version: event.event_id for event in stored}
                known_ids[row.stream] = ids
                versions[row.stream] = max(ids, default=0)
            _check_same_event(bundle.path, row, known_ids[row.stream])
            if row.version <= versions[row.stream]:
                plan.passed_over += 1
                continue
            staged.add(adopted(record, row.version))
            plan.events += 1
            plan.runs += row.topic == RunCreated.topic
    staged.finish()
    _plan_experiments(session, bundle, by_experiment, plan)
    return plan


def _kind_of(stream: str) -> StreamKind | None:
    name = parse_stream(stream)
    return name.kind if name else None


def _check_same_event(path: Path, row: StoredRow, known_ids: dict[int, bytes | None]) -> None:
    if row.version in known_ids and known_ids[row.version] != row.event_id:
        run_id = run_id_of(row.stream)
        subject = f"run {run_id}" if run_id else row.stream
        raise ImportClash(
            path,
            f"{subject} is in this workspace as well, with another event as version "
            f"{row.version} of {row.stream} than the bundle's {row.topic}",
        )


def _plan_experiments(
    session: Session,
    bundle: BundleFile,
    by_stream: dict[str, list[BundleRecord]],
    plan: _Plan,
) -> None:
    names = {known.experiment_id: known.name for known in session.reader().experiments(view="all")}
    for stream, records in by_stream.items():
        folded = stream_of_experiment(owner_of(stream))
        before = session.journal.refresh(folded)
        known = {row.event_id for row in session.log.read_stream(stream)}
        new = [record for record in records if record.row.event_id not in known]
        plan.passed_over += len(records) - len(new)
        plan.events += len(new)
        for record in new:
            _check_experiment(bundle.path, stream, record, names)
        plan.experiments.extend(enumerate(new, folded.version + 1))
        after = fold(before, [fact_of(record.row) for record in new])
        _plan_archiving(before, after, stream, folded.version + len(new), plan)


def _plan_archiving(
    before: NameState,
    after: NameState,
    stream: str,
    version: int,
    plan: _Plan,
) -> None:
    """Archives the experiments that are active beside the holder of their name."""
    active = [experiment for experiment in after.experiments if experiment.has_name]
    holder = before.active or next(iter(active), None)
    for experiment in active:
        if holder is not None and experiment.experiment_id != holder.experiment_id:
            version += 1
            archived = ExperimentArchived(experiment_id=experiment.experiment_id)
            plan.pending.append(Pending(stream, version, archived))
            plan.archived.append(experiment.name)


def _check_experiment(path: Path, stream: str, record: BundleRecord, names: dict[str, str]) -> None:
    data = fact_of(record.row).data
    if record.row.topic != ExperimentCreated.topic or data is None:
        return
    name = names.get(data["experiment_id"])
    if name is not None:
        raise ImportClash(
            path,
            f"the experiment {data['experiment_id']} is in this workspace as well, created as "
            f"{name!r} by another event than the bundle's of {stream}",
        )


def _keep_artifacts(store: ArtifactStore, bundle: BundleFile) -> int:
    count = 0
    for name in bundle.names:
        if name.startswith(ARTIFACTS) and not store.has(name.removeprefix(ARTIFACTS)):
            with bundle.open(name) as source:
                stored = store.put(source)
            assert ARTIFACTS + stored.sha256 == name, "the entry was checked"
            count += 1
    return count


def _append(session: Session, bundle: BundleFile, plan: _Plan, staged: StagedEvents) -> None:
    if not plan.events and not plan.pending:
        return
    adopted = _adopter(session, bundle)
    reason = None
    if plan.pending:
        source = bundle.manifest.workspace.name
        reason = f"imported from {source}: its name is held by another experiment"
    experiments = [adopted(record, version) for version, record in plan.experiments]
    session.journal.adopt(experiments, plan.pending, staged.read, reason=reason)


def _adopter(session: Session, bundle: BundleFile) -> Callable[[BundleRecord, int], NewEvent]:
    """Makes events of a bundle events of this log, with another version."""
    importer, workspace_id = session.journal.writer_id, bundle.manifest.workspace.id

    def adopted(record: BundleRecord, version: int) -> NewEvent:
        row = record.row
        assert row.event_id is not None, "the events were checked"
        metadata = _metadata(row, workspace_id, importer)
        log_version = log_version_in(row.topic, row.state)
        return NewEvent(
            row.stream, version, row.topic, row.state, row.event_id, metadata, log_version
        )

    return adopted


def _metadata(row: StoredRow, workspace_id: str, importer: str) -> dict[str, Any]:
    """The event's metadata, and as its origin where and when it was first written."""
    metadata: dict[str, Any] = msgpack.unpackb(row.metadata)
    before: dict[str, Any] = {
        name: metadata.pop(name) for name in ("observed_at", "as_of", "origin") if name in metadata
    }
    origin = {
        "workspace": workspace_id,
        "position": row.position,
        "recorded_at": row.recorded_at,
        "imported_by": importer,
        **before,
    }
    return {**metadata, "origin": origin}

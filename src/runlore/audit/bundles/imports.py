"""Import: append the events of a bundle to another log, and keep their former envelope as origin.

Everything is checked first, the bundle by itself and then against the log. Only if nothing speaks
against it is anything written: first files, then events, thousands in a transaction. Events that
the log has are skipped, so an import that was killed can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
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
from runlore.domain.errors import AlreadyExists
from runlore.domain.events import ExperimentArchived, ExperimentCreated, RunCreated
from runlore.domain.experiment import NameState, fold
from runlore.domain.ids import StreamKind, owner_of, parse_stream, run_id_of
from runlore.engine.streams import stream_of_experiment
from runlore.storage.codec import fact_of, log_version_in
from runlore.storage.event_log import NewEvent
from runlore.storage.journal import Pending

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.storage.artifacts import ArtifactStore
    from runlore.storage.event_log import StoredRow

BATCH_SIZE: Final = 20_000
"""Events in a transaction."""


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


def import_bundle(
    session: Session, path: str | PathLike[str], *, batch_size: int = BATCH_SIZE
) -> Imported:
    """Append the events that a bundle has and the workspace does not, and keep its artifacts.

    Ids stay; positions and times are new, and the old ones are kept as the events' origin. The
    identity and the compute targets of the other workspace are not imported. An experiment whose
    name is held by another active one is imported as archived. Idempotent. `batch_size` is the
    number of events in a transaction.

    Raises BundleRefused if anything is wrong with the file, CopiesDiverged if it is of a copy of
    the workspace and both were written to, ImportClash if the workspace has other events of the
    same run, writer or experiment, InvalidInput if it is erasable; then nothing was written.
    """
    path = Path(path)
    session = session.writable()
    store = session.shared_artifacts  # Raises in an erasable workspace.
    with open_bundle(path) as bundle:
        for finding in findings_of(bundle):
            raise BundleRefused(path, f"{finding.entry}: {finding.message}")
        check_not_diverged(session, bundle)
        plan = _planned(session, bundle)
        artifacts = _keep_artifacts(store, bundle)
        _append(session, bundle, plan, batch_size)
        absent = [sha256 for sha256 in bundle.manifest.absent if not store.has(sha256)]
    return Imported(
        runs=plan.runs,
        events=plan.events,
        passed_over=plan.passed_over,
        artifacts=artifacts,
        archived=tuple(plan.archived),
        absent=tuple(absent),
    )


_KEPT: Final = (StreamKind.RUN, StreamKind.VALUES, StreamKind.WRITER)


@dataclass
class _Plan:
    """What to append: first the experiments' events with their new versions, then the runs'.

    `versions` has the last version that the log has, by stream.
    """

    experiments: list[tuple[int, BundleRecord]] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    events: int = 0
    passed_over: int = 0

    def is_new(self, row: StoredRow) -> bool:
        """Whether it is an event of a run or writer that the log does not have."""
        return _keeps_its_name(row.stream) and row.version > self.versions.get(row.stream, 0)


def _keeps_its_name(stream: str) -> bool:
    """Whether a stream is a run's or a writer's, which is the same in every workspace."""
    return _kind_of(stream) in _KEPT


def _kind_of(stream: str) -> StreamKind | None:
    name = parse_stream(stream)
    return name.kind if name else None


def _planned(session: Session, bundle: BundleFile) -> _Plan:
    """What there is to do. Raises ImportClash."""
    plan = _Plan()
    known_ids: dict[str, dict[int, bytes | None]] = {}
    by_experiment: dict[str, list[BundleRecord]] = {}
    for record in records_of(bundle):
        row = record.row
        if _kind_of(row.stream) == StreamKind.EXPERIMENT:
            by_experiment.setdefault(row.stream, []).append(record)
        elif _keeps_its_name(row.stream):
            if row.stream not in known_ids:
                stored = session.log.read_stream(row.stream)
                ids = {event.version: event.event_id for event in stored}
                known_ids[row.stream] = ids
                plan.versions[row.stream] = max(ids, default=0)
            _check_same_event(bundle.path, row, known_ids[row.stream])
            if not plan.is_new(row):
                plan.passed_over += 1
                continue
            plan.events += 1
            plan.runs += row.topic == RunCreated.topic
    _plan_experiments(session, bundle, by_experiment, plan)
    return plan


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


def _append(session: Session, bundle: BundleFile, plan: _Plan, batch_size: int) -> None:
    journal, workspace_id = session.journal, bundle.manifest.workspace.id

    def adopted(record: BundleRecord, version: int) -> NewEvent:
        row = record.row
        assert row.event_id is not None, "the events were checked"
        metadata = _metadata(row, workspace_id, journal.writer_id)
        log_version = log_version_in(row.topic, row.state)
        return NewEvent(
            row.stream, version, row.topic, row.state, row.event_id, metadata, log_version
        )

    def runs() -> Iterator[NewEvent]:
        for record in records_of(bundle):
            if plan.is_new(record.row):
                yield adopted(record, record.row.version)

    # Before their runs, and in one transaction: a name never has two holders.
    first = [adopted(record, version) for version, record in plan.experiments]
    pending: Sequence[Pending] = plan.pending
    rest = runs()
    while first or pending or (first := list(islice(rest, batch_size))):
        batch = [*first, *islice(rest, max(0, batch_size - len(first)))]
        journal.adopt(batch, pending, reason=_reason(bundle, pending))
        first, pending = [], ()


def _reason(bundle: BundleFile, pending: Sequence[Pending]) -> str | None:
    if not pending:
        return None
    return f"imported from {bundle.manifest.workspace.name}: its name is held by another experiment"


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

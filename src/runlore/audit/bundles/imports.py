"""Import: the events of a bundle, appended to another log, with what they were before as origin.

Everything is looked at first, the bundle by itself and then beside what the log holds. Only when
nothing speaks against it is anything written: files, then events, thousands in a transaction.
What is there already is passed over, so an import that was killed is done again from the start.
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
from runlore.audit.bundles.file import BundleFile, open_bundle
from runlore.audit.bundles.format import ARTIFACTS, EVENTS, BundleRefused, Record, read_records
from runlore.domain import experiment as names
from runlore.domain.errors import AlreadyExists
from runlore.domain.events import ExperimentArchived
from runlore.domain.ids import StreamKind, owner_of, parse_stream, run_id_of
from runlore.engine.streams import stream_of_experiment
from runlore.storage.codec import fact_of
from runlore.storage.event_log import NewEvent
from runlore.storage.journal import Pending

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.storage.artifacts import ArtifactStore
    from runlore.storage.event_log import StoredRow
    from runlore.workspace import Workspace

BATCH: Final = 20_000


class ImportClash(AlreadyExists):
    """The workspace holds something else under the same id; nothing was written."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"bundle {path} cannot be imported: {what}; nothing was written: import it into "
            "another workspace"
        )
        self.path = path
        self.what = what


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import added, and what it passed over because it was there.

    `archived` names the experiments that came in archived, as another one holds their name;
    `absent` are digests of artifacts that neither the bundle nor the workspace holds.
    """

    runs: int
    events: int
    passed_over: int
    artifacts: int
    archived: tuple[str, ...]
    absent: tuple[str, ...]


def import_bundle(workspace: Workspace, path: str | PathLike[str]) -> Imported:
    """Appends what a bundle holds and the workspace does not, and keeps its artifacts.

    Ids stay; positions and times are new, and the old ones are kept as the events' origin. The
    identity and the compute targets of the other workspace stay behind. An experiment whose name
    is held by another active one comes in archived. Doing it twice changes nothing.

    Raises BundleRefused for a file in which anything is wrong, ImportClash if the workspace
    holds other events of the same run, writer or experiment, InvalidInput if it is erasable: then
    nothing was written.
    """
    path = Path(path)
    from runlore.workspace import session_of

    session = session_of(workspace)
    session = session.writable()
    store = session.shared_artifacts  # For what it raises, too.
    with open_bundle(path) as bundle:
        for finding in findings_of(bundle):
            raise BundleRefused(path, f"{finding.entry}: {finding.message}")
        plan = _planned(session, bundle)
        artifacts = _keep_artifacts(store, bundle)
        _append(session, bundle, plan)
        absent = [one for one in bundle.manifest.absent if not store.has(one)]
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
    """What is to be appended: first the experiments' events with their new versions, then runs."""

    experiments: list[tuple[int, Record]] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)
    archived: list[str] = field(default_factory=list)
    beyond: dict[str, int] = field(default_factory=dict)  # What the log has of streams of both.
    runs: int = 0
    events: int = 0
    passed_over: int = 0

    def is_new(self, row: StoredRow) -> bool:
        """Whether an event of a run or writer is to be appended."""
        return _is_kept(row.stream) and row.version > self.beyond.get(row.stream, 0)


def _is_kept(stream: str) -> bool:
    """Whether a stream is a run's or a writer's: one that is the same in every workspace."""
    return _kind_of(stream) in _KEPT


def _kind_of(stream: str) -> StreamKind | None:
    name = parse_stream(stream)
    return name.kind if name else None


def _planned(session: Session, bundle: BundleFile) -> _Plan:
    """What there is to do. Raises ImportClash."""
    plan = _Plan()
    held: dict[str, dict[int, bytes | None]] = {}
    of_names: dict[str, list[Record]] = {}
    for record in _records(bundle):
        row = record.row
        if _kind_of(row.stream) == StreamKind.EXPERIMENT:
            of_names.setdefault(row.stream, []).append(record)
        elif _is_kept(row.stream):
            if row.stream not in held:
                found = {one.version: one.event_id for one in session.log.read_stream(row.stream)}
                held[row.stream] = found
                plan.beyond[row.stream] = max(found, default=0)
            _check_same(bundle.path, row, held[row.stream])
            if not plan.is_new(row):
                plan.passed_over += 1
                continue
            plan.events += 1
            plan.runs += row.topic == "run.created"
    _plan_names(session, bundle, of_names, plan)
    return plan


def _check_same(path: Path, row: StoredRow, held: dict[int, bytes | None]) -> None:
    if row.version in held and held[row.version] != row.event_id:
        run_id = run_id_of(row.stream)
        what = f"run {run_id}" if run_id else row.stream
        raise ImportClash(
            path,
            f"{what} is in this workspace, too, with another event as version {row.version} of "
            f"{row.stream} than the bundle's {row.topic}",
        )


def _plan_names(
    session: Session, bundle: BundleFile, of_names: dict[str, list[Record]], plan: _Plan
) -> None:
    taken = {one.experiment_id: one.name for one in session.reader().experiments(view="all")}
    for stream, records in of_names.items():
        folded = stream_of_experiment(owner_of(stream))
        before = session.journal.refresh(folded)
        known = {row.event_id for row in session.log.read_stream(stream)}
        new = [one for one in records if one.row.event_id not in known]
        plan.passed_over += len(records) - len(new)
        plan.events += len(new)
        for record in new:
            _check_name(bundle.path, stream, record, taken)
        plan.experiments.extend(enumerate(new, folded.version + 1))
        after = names.fold(before, [fact_of(one.row) for one in new])
        active = [one for one in after.experiments if one.archived_at is None]
        holder = before.active or next(iter(active), None)
        version = folded.version + len(new)
        for one in active:
            if holder is not None and one.experiment_id != holder.experiment_id:
                version += 1
                archived = ExperimentArchived(experiment_id=one.experiment_id)
                plan.pending.append(Pending(stream, version, archived))
                plan.archived.append(one.name)


def _check_name(path: Path, stream: str, record: Record, taken: dict[str, str]) -> None:
    data = fact_of(record.row).data
    if record.row.topic != "experiment.created" or data is None:
        return
    name = taken.get(data["experiment_id"])
    if name is not None:
        raise ImportClash(
            path,
            f"the experiment {data['experiment_id']} is in this workspace, too, created as "
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


def _append(session: Session, bundle: BundleFile, plan: _Plan) -> None:
    journal, workspace_id = session.journal, bundle.manifest.workspace.id

    def adopted(record: Record, version: int) -> NewEvent:
        row = record.row
        assert row.event_id is not None, "the events were checked"
        metadata = _metadata(row, workspace_id, journal.writer_id)
        return NewEvent(row.stream, version, row.topic, row.state, row.event_id, metadata)

    def runs() -> Iterator[NewEvent]:
        for record in _records(bundle):
            if plan.is_new(record.row):
                yield adopted(record, record.row.version)

    # Before their runs, and in one transaction: no moment has two holders of a name.
    first = [adopted(record, version) for version, record in plan.experiments]
    pending: Sequence[Pending] = plan.pending
    rest = runs()
    while first or pending or (first := list(islice(rest, BATCH))):
        batch = [*first, *islice(rest, max(0, BATCH - len(first)))]
        journal.adopt(batch, pending, reason=_reason(bundle, pending))
        first, pending = [], ()


def _reason(bundle: BundleFile, pending: Sequence[Pending]) -> str | None:
    if not pending:
        return None
    return f"imported from {bundle.manifest.workspace.name}: its name is held by another experiment"


def _records(bundle: BundleFile) -> Iterator[Record]:
    with bundle.open(EVENTS) as source:
        yield from read_records(source)


def _metadata(row: StoredRow, workspace_id: str, importer: str) -> dict[str, Any]:
    """What the event said of itself, and as its origin where and when it was written first."""
    said: dict[str, Any] = msgpack.unpackb(row.metadata)
    before: dict[str, Any] = {
        name: said.pop(name) for name in ("observed_at", "origin") if name in said
    }
    origin = {
        "workspace": workspace_id,
        "position": row.position,
        "recorded_at": row.recorded_at,
        "imported_by": importer,
        **before,
    }
    return {**said, "origin": origin}

"""Everything that can be said of a bundle without its log: whether it is whole, and proved."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Final

from runlore.audit.bundles.events import check_event
from runlore.audit.bundles.file import BundleFile, open_bundle
from runlore.audit.bundles.format import (
    ARTIFACTS,
    CHECKPOINTS,
    EVENTS,
    TREE,
    BundleFinding,
    BundleRefused,
    Manifest,
    Problem,
    Record,
    read_nodes,
    read_records,
)
from runlore.audit.offline import Checkpoint, NotProved
from runlore.domain.ids import experiment_stream, run_id_of, run_stream
from runlore.storage.event_log import StoredRow
from runlore.storage.pruned_tree import Node, root_of
from runlore.storage.stamp import leaf_of

MAX_FINDINGS: Final = 1_000
_CHUNK_NBYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class BundleReport:
    """What a bundle says, and what of it does not hold.

    `manifest` is None if the file could not be read as a bundle at all. `complete` is False
    where there may be more findings than are listed.
    """

    path: Path
    manifest: Manifest | None
    findings: tuple[BundleFinding, ...]
    complete: bool

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify_bundle(path: str | PathLike[str], *, max_findings: int = MAX_FINDINGS) -> BundleReport:
    """Checks a bundle by itself, without its workspace.

    That it is whole (the manifest has the SHA-256 of every entry), that each event's leaf is that
    of its fields, that all leaves are in the tree whose root is the head's, that checkpoints of
    the same size have that root, and that the events are possible ones. Whether the head is that
    of the real log only the workspace, or a checkpoint from elsewhere, can say.
    """
    path = Path(path)
    try:
        with open_bundle(path) as bundle:
            found = findings_of(bundle)
            listed = tuple(islice(found, max_findings))
            return BundleReport(path, bundle.manifest, listed, next(found, None) is None)
    except BundleRefused as refused:
        finding = BundleFinding(Problem.UNREADABLE, refused.problem, str(path))
        return BundleReport(path, None, (finding,), False)


def _passed_over(record: Record) -> None:
    pass


def findings_of(
    bundle: BundleFile, seen: Callable[[Record], object] = _passed_over
) -> Iterator[BundleFinding]:
    """What is wrong with an open bundle; `seen` gets each event that was read.

    Raises BundleRefused for an entry that cannot be read.
    """
    wrong = list(_wrong_entries(bundle))
    yield from wrong
    if not wrong:  # What follows reads them.
        yield from _wrong_events(bundle, seen)
        yield from _wrong_checkpoints(bundle)


def _wrong_entries(bundle: BundleFile) -> Iterator[BundleFinding]:
    said = bundle.manifest.entries
    for name in sorted(said.keys() - set(bundle.names)):
        yield BundleFinding(Problem.MISSING, "the manifest names it", name)
    for name in bundle.names:
        entry = said.get(name)
        if entry is None:
            yield BundleFinding(Problem.FORBIDDEN, "the manifest does not name it", name)
        elif (entry.sha256, entry.nbytes) != (found := _digest(bundle, name), bundle.nbytes(name)):
            message = f"has the SHA-256 {found}, the manifest says {entry.sha256}"
            yield BundleFinding(Problem.CHANGED, message, name)
        elif name.startswith(ARTIFACTS) and name != ARTIFACTS + entry.sha256:
            yield BundleFinding(Problem.CHANGED, f"holds the artifact {entry.sha256}", name)


def _digest(bundle: BundleFile, name: str) -> str:
    digest = hashlib.sha256()
    with bundle.open(name) as source:
        while chunk := source.read(_CHUNK_NBYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _wrong_events(bundle: BundleFile, seen: Callable[[Record], object]) -> Iterator[BundleFinding]:
    manifest = bundle.manifest
    head = manifest.head
    checks = _Events()
    wrong: list[BundleFinding] = []

    def leaves() -> Iterator[Node]:
        with bundle.open(EVENTS) as source:
            for record in read_records(source):
                seen(record)
                checks.look_at(record, wrong)
                yield Node(record.leaf_index, record.leaf_index + 1, record.row.leaf)

    try:
        root = root_of(head.size, merge(leaves(), _nodes(bundle)))
        problem = None if root.hex() == head.root else "they lead to another root than the head's"
    except BundleRefused:
        raise
    except ValueError as error:
        problem = str(error)
    yield from wrong
    if problem is not None:
        yield BundleFinding(Problem.UNPROVEN, f"the events are not proved: {problem}", EVENTS)
    elif checks.count != manifest.events:
        message = f"has {checks.count:,} events, the manifest says {manifest.events:,}"
        yield BundleFinding(Problem.CHANGED, message, EVENTS)
    elif checks.last[0] > head.position or checks.last[1] > head.recorded_at:
        yield BundleFinding(Problem.IMPOSSIBLE, "has events behind the log's head", EVENTS)
    yield from checks.at_the_end()


def _nodes(bundle: BundleFile) -> Iterator[Node]:
    with bundle.open(TREE) as source:
        yield from read_nodes(source)


class _Events:
    """What has to be remembered from event to event."""

    def __init__(self) -> None:
        self.count = 0
        self.last = (0, 0)
        self._versions: dict[str, int] = {}
        self._experiments: dict[str, str] = {}  # The stream, by the experiment's id.
        self._owned: dict[str, int] = {}  # Positions, by the run that has values there.

    def look_at(self, record: Record, wrong: list[BundleFinding]) -> None:
        row = record.row
        self.count += 1
        if len(wrong) >= MAX_FINDINGS:
            return

        def add(problem: Problem, message: str) -> None:
            place = f"position {row.position} ({row.stream!r:.120} version {row.version}): "
            wrong.append(BundleFinding(problem, place + message, EVENTS, row.position))

        if row.leaf != leaf_of(row):
            add(Problem.CHANGED, "its leaf is not that of its fields")
        if row.recorded_at < self.last[1]:
            add(Problem.IMPOSSIBLE, "it is older than the event before it")
        self.last = row.position, row.recorded_at
        if row.version != self._versions.get(row.stream, 0) + 1:
            add(
                Problem.MISSING, f"version {self._versions.get(row.stream, 0) + 1} is not before it"
            )
        self._versions[row.stream] = row.version
        try:
            data = check_event(row)
        except ValueError as error:
            add(Problem.IMPOSSIBLE, str(error))
            return
        if data is not None and row.topic.startswith("experiment."):
            problem = self._problem_of_experiment(row, data["experiment_id"])
        elif data is not None and row.topic == "run.created":
            stream = experiment_stream(data["experiment_name"])
            held = self._experiments.get(data["experiment_id"])
            problem = None if held == stream else "the experiment of its run is not before it"
        else:
            owner = run_id_of(row.stream)
            if owner is not None:
                self._owned.setdefault(owner, row.position)
            return
        if problem is not None:
            add(Problem.IMPOSSIBLE, problem)

    def _problem_of_experiment(self, row: StoredRow, experiment_id: str) -> str | None:
        held = self._experiments.get(experiment_id)
        if row.topic != "experiment.created":
            return None if held == row.stream else "its experiment was not created before it"
        self._experiments.setdefault(experiment_id, row.stream)
        return None if held is None else "its experiment was created before"

    def at_the_end(self) -> Iterator[BundleFinding]:
        for run_id, position in self._owned.items():
            if run_stream(run_id) not in self._versions:
                message = f"position {position}: its run {run_id} is not in the bundle"
                yield BundleFinding(Problem.MISSING, message, EVENTS, position)


def _wrong_checkpoints(bundle: BundleFile) -> Iterator[BundleFinding]:
    """By what a checkpoint says; who signed it, its verifier says."""
    head = bundle.manifest.head
    for name in bundle.names:
        if not name.startswith(CHECKPOINTS):
            continue
        try:
            said = Checkpoint(bundle.read(name).decode())
        except (ValueError, NotProved) as error:
            yield BundleFinding(Problem.UNREADABLE, f"is no checkpoint: {error}", name)
            continue
        if said.size == head.size and said.root.hex() != head.root:
            message = f"says that a log of {head.size:,} events has another root than the head"
            yield BundleFinding(Problem.UNPROVEN, message, name)

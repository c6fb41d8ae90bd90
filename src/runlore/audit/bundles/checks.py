"""Verification of a bundle without its log: whether it is whole, and proved."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Final

from runlore.audit.bundles.events import check_event
from runlore.audit.bundles.file import BundleFile, open_bundle
from runlore.audit.bundles.format import (
    ARTIFACTS,
    CHECKPOINTS,
    EVENTS,
    TREE,
    BundleFinding,
    BundleRecord,
    BundleRefused,
    Manifest,
    Problem,
    read_nodes,
    read_records,
)
from runlore.audit.bundles.signature import why_unsigned
from runlore.audit.offline import Checkpoint, NotProved, VerifierKey
from runlore.domain.events import ExperimentCreated, ExperimentRenamed, RunCreated
from runlore.domain.ids import experiment_stream, run_id_of, run_stream
from runlore.storage.event_log import StoredRow
from runlore.storage.pruned_tree import Node, root_of
from runlore.storage.stamp import leaf_of

MAX_FINDINGS: Final = 1_000
_CHUNK_NBYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class BundleReport:
    """The manifest of a bundle, and what is wrong with it.

    `manifest` is None if the file could not be read as a bundle. `complete` is False if there
    may be more findings than are listed. `unsigned` is the reason why no trusted key vouches for
    the head; None if one does, or if no trusted keys were given.
    """

    path: Path
    manifest: Manifest | None
    findings: tuple[BundleFinding, ...]
    complete: bool
    unsigned: str | None = None

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings and self.unsigned is None


def verify_bundle(
    path: str | PathLike[str],
    *,
    trusted: Sequence[VerifierKey] | None = None,
    max_findings: int = MAX_FINDINGS,
) -> BundleReport:
    """Verify a bundle by itself, without its workspace.

    It is whole (the manifest has the SHA-256 of every entry), each event's leaf matches its
    fields, all leaves are in the tree with the head's root, checkpoints of the same size have
    that root, and the events are possible ones. Only the workspace, or a checkpoint from
    elsewhere, can tell whether the head is that of the real log. With `trusted`, one of these
    keys must have signed the head.
    """
    path = Path(path)
    try:
        with open_bundle(path) as bundle:
            findings = findings_of(bundle)
            listed = tuple(islice(findings, max_findings))
            complete = next(findings, None) is None
            unsigned = None
            if trusted is not None and not listed:
                unsigned = why_unsigned(bundle, trusted)
            return BundleReport(path, bundle.manifest, listed, complete, unsigned)
    except BundleRefused as refused:
        finding = BundleFinding(Problem.UNREADABLE, refused.problem, str(path))
        return BundleReport(path, None, (finding,), False)


def findings_of(bundle: BundleFile) -> Iterator[BundleFinding]:
    """Everything that is wrong with an open bundle.

    Raises BundleRefused for an entry that cannot be read.
    """
    damaged = list(_damaged_entries(bundle))
    yield from damaged
    if not damaged:  # The other checks read the entries.
        yield from _wrong_events(bundle)
        yield from _wrong_checkpoints(bundle)


def _damaged_entries(bundle: BundleFile) -> Iterator[BundleFinding]:
    entries = bundle.manifest.entries
    for name in sorted(entries.keys() - set(bundle.names)):
        yield BundleFinding(Problem.MISSING, "the manifest names it", name)
    for name in bundle.names:
        entry = entries.get(name)
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


def _wrong_events(bundle: BundleFile) -> Iterator[BundleFinding]:
    manifest = bundle.manifest
    head = manifest.head
    checks = _EventChecks()
    findings: list[BundleFinding] = []

    def leaves() -> Iterator[Node]:
        with bundle.open(EVENTS) as source:
            for record in read_records(source):
                checks.check(record, findings)
                yield Node(record.leaf_index, record.leaf_index + 1, record.row.leaf)

    try:
        root = root_of(head.size, merge(leaves(), _nodes(bundle)))
        problem = None if root.hex() == head.root else "they lead to a root other than the head's"
    except BundleRefused:
        raise
    except ValueError as error:
        problem = str(error)
    yield from findings
    if problem is not None:
        yield BundleFinding(Problem.UNPROVEN, f"the events are not proved: {problem}", EVENTS)
    elif checks.count != manifest.events:
        message = f"has {checks.count:,} events, the manifest says {manifest.events:,}"
        yield BundleFinding(Problem.CHANGED, message, EVENTS)
    elif checks.last[0] > head.position or checks.last[1] > head.recorded_at:
        yield BundleFinding(Problem.IMPOSSIBLE, "has events after the log's head", EVENTS)
    yield from checks.at_the_end()


def _nodes(bundle: BundleFile) -> Iterator[Node]:
    with bundle.open(TREE) as source:
        yield from read_nodes(source)


class _EventChecks:
    """The checks of each event, which depend on the events before it."""

    def __init__(self) -> None:
        self.count = 0
        self.last = (0, 0)
        self._versions: dict[str, int] = {}
        # The streams of the names that it had so far, by the experiment's id.
        self._experiments: dict[str, list[str]] = {}
        self._owned: dict[str, int] = {}  # Positions, by the run that has values there.

    def check(self, record: BundleRecord, findings: list[BundleFinding]) -> None:
        row = record.row
        self.count += 1
        if len(findings) >= MAX_FINDINGS:
            return

        def add(problem: Problem, message: str) -> None:
            place = f"position {row.position} ({row.stream!r:.120} version {row.version}): "
            findings.append(BundleFinding(problem, place + message, EVENTS, row.position))

        if row.leaf != leaf_of(row):
            add(Problem.CHANGED, "its leaf does not match its fields")
        if row.recorded_at < self.last[1]:
            add(Problem.IMPOSSIBLE, "it is older than the event before it")
        self.last = row.position, row.recorded_at
        if row.version != self._versions.get(row.stream, 0) + 1:
            missing = self._versions.get(row.stream, 0) + 1
            add(Problem.MISSING, f"version {missing} does not precede it")
        self._versions[row.stream] = row.version
        try:
            data = check_event(row)
        except ValueError as error:
            add(Problem.IMPOSSIBLE, str(error))
            return
        if data is not None and row.topic.startswith("experiment."):
            problem = self._problem_of_experiment(row, data)
        elif data is not None and row.topic == RunCreated.topic:
            stream = experiment_stream(data["experiment_name"])
            known = self._experiments.get(data["experiment_id"], ())
            problem = None if stream in known else "the experiment of its run does not precede it"
        else:
            owner = run_id_of(row.stream)
            if owner is not None:
                self._owned.setdefault(owner, row.position)
            return
        if problem is not None:
            add(Problem.IMPOSSIBLE, problem)

    def _problem_of_experiment(self, row: StoredRow, data: Mapping[str, Any]) -> str | None:
        known = self._experiments.setdefault(data["experiment_id"], [])
        if row.topic == ExperimentCreated.topic:
            known.append(row.stream)
            return None if known == [row.stream] else "its experiment was created before"
        arrives = (
            row.topic == ExperimentRenamed.topic
            and known[-1:] == [experiment_stream(data["previous"])]
            and row.stream == experiment_stream(data["name"])
        )
        if arrives:
            known.append(row.stream)
        return None if known[-1:] == [row.stream] else "its experiment was not created before it"

    def at_the_end(self) -> Iterator[BundleFinding]:
        for run_id, position in self._owned.items():
            if run_stream(run_id) not in self._versions:
                message = f"position {position}: its run {run_id} is not in the bundle"
                yield BundleFinding(Problem.MISSING, message, EVENTS, position)


def _wrong_checkpoints(bundle: BundleFile) -> Iterator[BundleFinding]:
    """Compares checkpoints with the head; signatures are the subject of `why_unsigned`."""
    head = bundle.manifest.head
    for name in bundle.names:
        if not name.startswith(CHECKPOINTS):
            continue
        try:
            checkpoint = Checkpoint(bundle.read(name).decode())
        except (ValueError, NotProved) as error:
            yield BundleFinding(Problem.UNREADABLE, f"is not a checkpoint: {error}", name)
            continue
        if checkpoint.size == head.size and checkpoint.root.hex() != head.root:
            message = f"says that a log of {head.size:,} events has another root than the head"
            yield BundleFinding(Problem.UNPROVEN, message, name)

"""Export: make a bundle of a workspace's log. The same log always gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import zipfile
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from runlore.audit.bundles.file import unpacks_too_far
from runlore.audit.bundles.format import (
    ARTIFACTS,
    CHECKPOINTS,
    EVENTS,
    FORMAT,
    MANIFEST,
    NAME,
    SCHEMA,
    TREE,
    BundleHead,
    BundleRecord,
    Manifest,
    ManifestEntry,
    SourceWorkspace,
    pack_nodes,
    pack_record,
)
from runlore.audit.bundles.selection import EVERYTHING, Selection, rows_at, selected_positions
from runlore.audit.checkpoints import leaves_of
from runlore.audit.folder import AuditFolder
from runlore.domain.errors import InvalidInput, UserError
from runlore.domain.events import REGISTRY, ArtifactAdded, SnapshotTaken
from runlore.domain.visible_text import visible_json
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.atomic_files import replacing
from runlore.storage.codec import facts_of, log_version_in
from runlore.storage.errors import LogCorrupt
from runlore.storage.held_path import HeldPath
from runlore.storage.merkle import Frontier
from runlore.storage.pruned_tree import pruned
from runlore.storage.snapshots import read_manifest
from runlore.storage.stamp import UNHASHABLE, leaf_of
from runlore.storage.zip_entry import zip_entry

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.storage.event_log import EventLog, StoredRow
    from runlore.storage.log_head import LogHead


class ExportRefused(UserError):
    """The log holds an event that is damaged or does not match its leaf: nothing proves it."""

    def __init__(self, position: int, damage: str = "it does not match its leaf") -> None:
        super().__init__(
            f"the event at position {position} is damaged, so no bundle could prove it: "
            f"{damage:.300}; `runlore audit verify` says where and how. Export the runs that are "
            "whole, or restore the log from a copy"
        )
        self.position = position


ARTIFACT_MODES: Final = ("bytes", "digests")


def export(
    session: Session,
    path: str | PathLike[str],
    selection: Selection = EVERYTHING,
    *,
    artifacts: str = "bytes",
) -> Manifest:
    """Write a bundle of the selected runs, or of the whole log.

    `artifacts` is `bytes`, or `digests` to leave out the bytes of files; then only the manifests
    of snapshots are included. A file at `path` is replaced when the new one is complete. However
    small the selection, all leaves of the log are read, 32 bytes each: they prove the events.

    Raises RunNotFound, ExperimentNotFound; InvalidInput and MomentInFuture for a wrong selection;
    InvalidInput in an erasable workspace; ExportRefused if a selected event does not match its
    leaf; BadCheckpoint if a kept one is damaged; FileNotWritten if the file cannot be written.
    """
    if artifacts not in ARTIFACT_MODES:
        raise InvalidInput(f"artifacts is {artifacts!r}; it takes one of {ARTIFACT_MODES}")
    store = session.shared_artifacts  # Raises in an erasable workspace.
    session.before_read()
    session.recover_values()
    selection = selection.resolved(session.log)
    selection.span(session)  # Before the head is read: settling a time changes the head.
    head = session.log.head()
    _check_no_holes(head)
    contents = _Contents(
        log=session.log,
        store=store,
        source=_source(session),
        selection=selection.as_dict(),
        head=head,
        positions=selected_positions(session, selection, head.position),
        checkpoints=_checkpoints(session.held),
        with_bytes=artifacts == "bytes",
    )
    with replacing(Path(path)) as file:
        for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            file.seek(0)
            file.truncate()
            with zipfile.ZipFile(file, "w") as archive:
                manifest = _Writer(archive, compression, contents).write()
            # Long repeated texts pack so well that an import would take them for a bomb: then
            # everything is stored unpacked.
            if not any(map(unpacks_too_far, archive.infolist())):
                break
    return manifest


def _source(session: Session) -> SourceWorkspace:
    workspace = session.workspace
    try:
        return SourceWorkspace(id=workspace.workspace_id, name=workspace.name)
    except ValidationError as error:
        raise InvalidInput(
            f"the log calls its workspace {workspace.name!r:.80}, of {len(workspace.name):,} "
            "characters; no runlore writes such a name or id, and a bundle cannot hold it"
        ) from error


@dataclass(frozen=True, kw_only=True)
class _Contents:
    """Everything that goes into a bundle."""

    log: EventLog
    store: ArtifactStore
    source: SourceWorkspace
    selection: dict[str, Any]
    head: LogHead
    positions: Sequence[int]
    checkpoints: Mapping[str, bytes]
    with_bytes: bool


class _Writer:
    """Writes the entries one after the other, and collects what the manifest says of them."""

    def __init__(self, archive: zipfile.ZipFile, compression: int, contents: _Contents) -> None:
        self._archive = archive
        self._compression = compression
        self._contents = contents
        self._entries: dict[str, ManifestEntry] = {}
        self._events = 0
        self._version = 1
        self._topics: set[str] = set()
        self._artifacts: set[str] = set()
        self._snapshots: set[str] = set()

    def write(self) -> Manifest:
        contents, head = self._contents, self._contents.head
        with self._entry(EVENTS) as events:
            exported = self._write_events(events)
        nodes = pruned(head.size, exported, partial(_digest_of_leaves, contents.log))
        self._add(TREE, [pack_nodes(nodes)])
        self._add(SCHEMA, [_json({topic: _schema(topic) for topic in sorted(self._topics)})])
        for name, note in contents.checkpoints.items():
            self._add(name, [note])
        absent = self._add_artifacts()
        manifest = Manifest(
            format=FORMAT,
            version=self._version,
            workspace=contents.source,
            selection=contents.selection,
            head=BundleHead(
                size=head.size,
                position=head.position,
                recorded_at=head.recorded_at,
                root=head.frontier.root.hex(),
            ),
            events=self._events,
            absent=absent,
            entries=dict(self._entries),
        )
        self._add(MANIFEST, [_json(manifest.model_dump())])
        return manifest

    def _write_events(self, events: _Hashed) -> Sequence[int]:
        """Writes the selected events; returns their indexes among all leaves."""
        exported = array("q")
        for rows in rows_at(self._contents.log, self._contents.positions):
            ours = [row for row in rows if _is_ours(row)]
            self._events += len(ours)
            for row in ours:
                _check_leaf(row)
            self._collect(ours)
            for row in ours:
                index = row.position - 1  # Positions have no holes.
                exported.append(index)
                self._version = max(self._version, log_version_in(row.topic, row.state))
                events.write(pack_record(BundleRecord(index, row)))
        return exported

    def _collect(self, rows: Sequence[StoredRow]) -> None:
        """Collects topics, and the digests of files and snapshots."""
        for fact in facts_of([row[:-1] for row in rows]):
            if fact.damage is not None:
                raise ExportRefused(fact.position, fact.damage)
            self._topics.add(fact.topic)
            if fact.data is None:
                continue
            if fact.topic == ArtifactAdded.topic and fact.data["uri"] is None:
                self._artifacts.add(fact.data["sha256"])
            elif fact.topic == SnapshotTaken.topic:
                self._snapshots.add(fact.data["manifest_sha256"])

    def _add_artifacts(self) -> list[str]:
        """Adds the artifacts whose bytes are included; returns the digests of all others."""
        store, with_bytes = self._contents.store, self._contents.with_bytes
        files = set(self._artifacts)
        for manifest in self._snapshots:
            try:
                files.update(line.sha256 for line in read_manifest(manifest, store))
            except ArtifactMissing:
                continue
        absent = []
        for sha256 in sorted(files | self._snapshots):
            if (with_bytes or sha256 in self._snapshots) and store.has(sha256):
                # Stored unpacked: weights and images do not get smaller.
                chunks = store.verified_chunks(sha256)
                self._add(ARTIFACTS + sha256, chunks, compression=zipfile.ZIP_STORED)
            else:
                absent.append(sha256)
        return absent

    def _add(self, name: str, chunks: Iterable[bytes], *, compression: int | None = None) -> None:
        with self._entry(name, compression) as entry:
            for chunk in chunks:
                entry.write(chunk)

    @contextmanager
    def _entry(self, name: str, compression: int | None = None) -> Iterator[_Hashed]:
        info = zip_entry(name)
        info.compress_type = self._compression if compression is None else compression
        with self._archive.open(info, "w", force_zip64=True) as opened:
            entry = _Hashed(opened)
            yield entry
        self._entries[name] = ManifestEntry(sha256=entry.digest.hexdigest(), nbytes=entry.nbytes)


def _check_no_holes(head: LogHead) -> None:
    """The index of an event among all leaves is its position less one only without holes."""
    if head.size != head.position:
        raise LogCorrupt(
            f"the log's head says {head.size} events and the position {head.position}; look at it "
            "with `runlore audit verify`"
        )


def _digest_of_leaves(log: EventLog, start: int, stop: int) -> bytes:
    return Frontier().extended(leaves_of(log, stop, after=start)).root


def _is_ours(row: StoredRow) -> bool:
    """Whether runlore wrote the event, and not another application of the same log."""
    return row.event_id is not None


def _check_leaf(row: StoredRow) -> None:
    """Any verification would refuse a bundle with an event that does not match its leaf."""
    try:
        fits = row.leaf == leaf_of(row)
    except UNHASHABLE:
        fits = False
    if not fits:
        raise ExportRefused(row.position)


class _Hashed:
    """A file whose written bytes are counted and hashed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.nbytes = 0

    def write(self, chunk: bytes) -> int:
        self.digest.update(chunk)
        self.nbytes += len(chunk)
        return self._file.write(chunk)


def _json(document: object) -> bytes:
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1)
    return f"{visible_json(text)}\n".encode()


def _schema(topic: str) -> dict[str, Any] | None:
    """The JSON Schema of a topic's newest payload; None if the topic is unknown."""
    event = REGISTRY.get(topic)
    if event is None:
        return None
    return {"version": event.schema_version, "payload": event.json_schema()}


def _checkpoints(folder: HeldPath | None) -> dict[str, bytes]:
    """The entries of the kept checkpoints. Raises BadCheckpoint for one that is damaged."""
    kept = {} if folder is None else AuditFolder(folder).checkpoints_by_file()
    entries = {CHECKPOINTS + file: checkpoint.note.encode() for file, checkpoint in kept.items()}
    return {name: note for name, note in entries.items() if NAME.fullmatch(name)}

"""Export: a bundle made of a workspace's log. The same log gives the same bytes, any time."""

from __future__ import annotations

import hashlib
import json
import zipfile
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from runlore.audit.bundles.file import unpacks_too_far
from runlore.audit.bundles.format import (
    ARTIFACTS,
    CHECKPOINTS,
    EVENTS,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    NAME,
    SCHEMA,
    TREE,
    Entry,
    Head,
    Manifest,
    Record,
    Source,
    pack_nodes,
    pack_record,
)
from runlore.audit.bundles.selection import EVERYTHING, Selection, rows_at, selected_positions
from runlore.audit.checkpoints import leaves_of
from runlore.audit.folder import AuditFolder
from runlore.domain.errors import InvalidInput, UserError
from runlore.domain.events import REGISTRY
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.atomic_files import replacing
from runlore.storage.codec import facts_of
from runlore.storage.errors import LogCorrupt
from runlore.storage.merkle import Frontier
from runlore.storage.pruned_tree import pruned
from runlore.storage.snapshots import read_manifest
from runlore.storage.stamp import leaf_of
from runlore.storage.zip_entry import zip_entry

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.storage.event_log import EventLog, StoredRow
    from runlore.storage.log_head import LogHead
    from runlore.workspace import Workspace


class ExportRefused(UserError):
    """The log holds an event that its leaf does not cover, so that nothing could prove it."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"the event at position {position} is not what its leaf was made of, so a bundle could "
            "not prove it: the log was changed; `runlore audit verify` says where and how"
        )
        self.position = position


WITH_ARTIFACTS: Final = ("bytes", "digests")


def export(
    workspace: Workspace,
    path: str | PathLike[str],
    selection: Selection = EVERYTHING,
    *,
    artifacts: str = "bytes",
) -> Manifest:
    """Writes a bundle of the selected runs, or of the whole log.

    `artifacts` is `bytes`, or `digests` to leave the files' bytes out: then only the manifests
    of snapshots are in it. A file at `path` is replaced, when the new one is whole. However little
    is selected, all leaves of the log are read, 32 bytes each: they prove the selected events.

    Raises RunNotFound, ExperimentNotFound; InvalidInput for options of no sense and in an erasable
    workspace; ExportRefused if a selected event is not what its leaf was made of;
    BadCheckpoint if a kept one is damaged; FileNotWritten if the file cannot be written.
    """
    if artifacts not in WITH_ARTIFACTS:
        raise InvalidInput(f"artifacts is {artifacts!r}; it takes one of {WITH_ARTIFACTS}")
    from runlore.workspace import session_of

    session = session_of(workspace)
    store = session.shared_artifacts  # For what it raises, too.
    session.flush()
    session.recover_values(at_once=True)
    head = session.log.head()
    _check_whole(head)
    checkpoints = _checkpoints(session.files)
    positions = selected_positions(session, selection, head.position)
    with replacing(Path(path)) as file:
        for way in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
            file.seek(0)
            file.truncate()
            with zipfile.ZipFile(file, "w") as archive:
                writer = _Writer(archive, store, way)
                manifest = writer.write(
                    session, selection, positions, head, checkpoints, artifacts == "bytes"
                )
            # The same long texts again and again pack so well that an import would refuse them:
            # then all is written once more.
            if not any(map(unpacks_too_far, archive.infolist())):
                break
    return manifest


class _Writer:
    """Writes entries one after the other, and remembers what the manifest says of them."""

    def __init__(self, archive: zipfile.ZipFile, store: ArtifactStore, way: int) -> None:
        self._archive = archive
        self._way = way
        self._store = store
        self._entries: dict[str, Entry] = {}
        self._events = 0
        self._topics: set[str] = set()
        self._artifacts: set[str] = set()
        self._snapshots: set[str] = set()

    def write(
        self,
        session: Session,
        selection: Selection,
        positions: Sequence[int],
        head: LogHead,
        checkpoints: Mapping[str, bytes],
        with_bytes: bool,
    ) -> Manifest:
        with self._entry(EVENTS) as events:
            exported = self._write_events(session.log, positions, events)
        nodes = pruned(head.size, exported, partial(_digest_of_leaves, session.log))
        self._add(TREE, [pack_nodes(nodes)])
        self._add(SCHEMA, [_json({topic: _schema(topic) for topic in sorted(self._topics)})])
        for name, note in checkpoints.items():
            self._add(name, [note])
        absent = self._add_artifacts(with_bytes)
        manifest = Manifest(
            format=FORMAT,
            version=FORMAT_VERSION,
            workspace=Source(id=session.workspace.workspace_id, name=session.workspace.name),
            selection=selection.said(),
            head=Head(
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

    def _write_events(
        self, log: EventLog, positions: Sequence[int], events: _Hashed
    ) -> Sequence[int]:
        """Writes the events at the positions; returns their numbers among all leaves."""
        exported = array("q")
        for rows in rows_at(log, positions):
            chosen = [row for row in rows if _is_ours(row)]
            self._events += len(chosen)
            self._look_at(chosen)
            for row in chosen:
                _check_leaf(row)
                index = row.position - 1  # As positions have no holes.
                exported.append(index)
                events.write(pack_record(Record(index, row)))
        return exported

    def _look_at(self, rows: Sequence[Any]) -> None:
        for fact in facts_of([row[:-1] for row in rows]):
            self._topics.add(fact.topic)
            if fact.data is None:
                continue
            if fact.topic == "run.artifact_added":
                self._artifacts.add(fact.data["sha256"])
            elif fact.topic == "run.snapshot_taken":
                self._snapshots.add(fact.data["manifest_sha256"])

    def _add_artifacts(self, with_bytes: bool) -> list[str]:
        """Adds the bytes that are to be there; returns the digests of all others."""
        files = set(self._artifacts)
        for manifest in self._snapshots:
            try:
                files.update(line.sha256 for line in read_manifest(manifest, self._store))
            except ArtifactMissing:
                continue
        absent = []
        for sha256 in sorted(files | self._snapshots):
            if (with_bytes or sha256 in self._snapshots) and self._store.has(sha256):
                # Stored as they are: weights and images do not get smaller.
                chunks = self._store.verified_chunks(sha256)
                self._add(ARTIFACTS + sha256, chunks, way=zipfile.ZIP_STORED)
            else:
                absent.append(sha256)
        return absent

    def _add(self, name: str, chunks: Iterable[bytes], *, way: int | None = None) -> None:
        with self._entry(name, way) as entry:
            for chunk in chunks:
                entry.write(chunk)

    @contextmanager
    def _entry(self, name: str, way: int | None = None) -> Iterator[_Hashed]:
        info = zip_entry(name)
        info.compress_type = self._way if way is None else way
        with self._archive.open(info, "w", force_zip64=True) as opened:
            entry = _Hashed(opened)
            yield entry
        self._entries[name] = Entry(sha256=entry.digest.hexdigest(), nbytes=entry.nbytes)


def _check_whole(head: LogHead) -> None:
    """The number of an event among all leaves is its position, less one, of a log without holes."""
    if head.size != head.position:
        raise LogCorrupt(
            f"the log's head says {head.size} events and the position {head.position}; look at it "
            "with `runlore audit verify`"
        )


def _digest_of_leaves(log: EventLog, start: int, stop: int) -> bytes:
    return Frontier().extended(leaves_of(log, stop, after=start)).root


def _is_ours(row: StoredRow) -> bool:
    """Whether runlore wrote the event, and not another application into the same log."""
    return row.event_id is not None


def _check_leaf(row: StoredRow) -> None:
    """A bundle of what its leaves do not cover would be refused wherever it comes to."""
    if row.leaf != leaf_of(row):
        raise ExportRefused(row.position)


class _Hashed:
    """What is written to a file, counted and hashed on the way."""

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
    return f"{text}\n".encode()


def _schema(topic: str) -> dict[str, Any] | None:
    """What the payload of a topic holds in its newest version; None of one that is unknown."""
    event = REGISTRY.get(topic)
    if event is None:
        return None
    return {"version": event.schema_version, "payload": event.model_json_schema()}


def _checkpoints(folder: Path | None) -> dict[str, bytes]:
    """The entries of the kept checkpoints. Raises BadCheckpoint for one that is damaged."""
    kept = {} if folder is None else AuditFolder(folder).checkpoints_by_file()
    entries = {CHECKPOINTS + name: one.note.encode() for name, one in kept.items()}
    return {name: note for name, note in entries.items() if NAME.fullmatch(name)}

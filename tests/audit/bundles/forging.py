"""Bundles that nobody exported: entries, events and manifests rewritten as a stranger would."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runlore.audit.bundles.format import (
    EVENTS,
    MANIFEST,
    TREE,
    BundleRecord,
    pack_nodes,
    pack_record,
    read_records,
)
from runlore.storage.event_log import StoredRow
from runlore.storage.merkle import Frontier, leaf_hash

Entries = dict[str, bytes]


def entries_of(path: Path) -> Entries:
    """The entries of a bundle, by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, entries: Mapping[str, bytes], *, sealed: bool = True) -> Path:
    """A bundle of these entries; `sealed` makes the manifest fit them."""
    entries = dict(entries)
    if sealed:
        manifest = json.loads(entries[MANIFEST])
        manifest["entries"] = {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "nbytes": len(content)}
            for name, content in entries.items()
            if name != MANIFEST
        }
        entries[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def with_manifest(path: Path, **said: Any) -> Path:
    """The bundle, with other things in its manifest."""
    entries = entries_of(path)
    manifest = {**json.loads(entries[MANIFEST]), **said}
    return write(path, {**entries, MANIFEST: json.dumps(manifest).encode()}, sealed=False)


def with_rows(path: Path, change: Callable[[list[StoredRow]], list[StoredRow]]) -> Path:
    """The bundle with other events, all of whose leaves, root and digests are right."""
    entries = entries_of(path)
    rows = [record.row for record in read_records(io.BytesIO(entries[EVENTS]))]
    rows = [
        row._replace(position=position, leaf=b"") for position, row in enumerate(change(rows), 1)
    ]
    rows = [row._replace(leaf=leaf_hash(*row[:4], *row[5:8], row.state)) for row in rows]
    head = {
        "size": len(rows),
        "position": len(rows),
        "recorded_at": rows[-1].recorded_at,
        "root": Frontier().extended(row.leaf for row in rows).root.hex(),
    }
    manifest = {**json.loads(entries[MANIFEST]), "head": head, "events": len(rows)}
    records = [pack_record(BundleRecord(index, row)) for index, row in enumerate(rows)]
    changed = {EVENTS: b"".join(records), TREE: pack_nodes([])}
    return write(path, {**entries, **changed, MANIFEST: json.dumps(manifest).encode()})

"""The bytes of a bundle's file, which a stranger may have sent.

Verifying it raises nothing. If it is refused, an import raises BundleRefused and writes nothing. If
it holds, it can be imported, and all that is then in the log can be read: by folds, by the tables,
and by another export.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from runlore import Workspace
from runlore.audit.bundles.checks import verify_bundle
from runlore.audit.bundles.export import export
from runlore.audit.bundles.format import (
    CHECKPOINTS,
    EVENTS,
    MANIFEST,
    TREE,
    BundleRecord,
    BundleRefused,
    pack_nodes,
    pack_record,
    read_records,
)
from runlore.audit.bundles.imports import ImportClash, import_bundle
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.history import changes_of
from runlore.engine.runs.metric_reads import metrics_of
from runlore.engine.session import LiveSession
from runlore.entry.wiring import memory_session
from runlore.storage.event_log import StoredRow
from runlore.storage.merkle import Frontier
from runlore.storage.stamp import leaf_of
from runlore.testing.logs import check_head
from tests.audit.bundles.every_topic import live_through
from tests.fuzz.mutations import JSON_VALUES, NUMBERS, TEXTS, mutated_bytes, mutated_tree
from tests.fuzz.target import Broken, Target
from tests.fuzz.targets import mapper

Entries = dict[str, bytes]
_YEAR_2000: Final = (2000, 1, 1, 0, 0, 0)
_ATTRIBUTES: Final = (0, 0o120777 << 16, 0o10644 << 16, 0o100644 << 16)


def zipped(entries: Mapping[str, bytes], random: Random | None = None) -> bytes:
    """A zip file; with `random`, one of its entries is odd."""
    out = io.BytesIO()
    odd = None if random is None else random.choice([*entries, None, None])
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name, _YEAR_2000)
            info.compress_type = zipfile.ZIP_DEFLATED
            if random is not None and name == odd:
                info.external_attr = random.choice(_ATTRIBUTES)
                info.compress_type = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_LZMA))
            archive.writestr(info, content)
    return out.getvalue()


def entries_of(data: bytes) -> Entries:
    """The entries of a zip file; none of one that cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {
                info.filename: archive.read(info)
                for info in archive.infolist()
                if info.file_size < 1 << 20
            }
    except Exception:  # The standard library raises nearly everything for damaged zip files.
        return {}


@cache
def seeds() -> list[bytes]:
    """Bundles of workspaces to which everything happens that a run can live through."""
    with tempfile.TemporaryDirectory() as folder:
        with Workspace.create("lab", path=Path(folder) / "lab") as ws:
            live_through(ws)
            ws.audit.new_key(Path(folder) / "key")
            ws.audit.checkpoint(key=Path(folder) / "key")
            ws.export(Path(folder) / "whole.bundle")
            ws.export(Path(folder) / "c.bundle", run="c")
        whole, part = Path(folder) / "whole.bundle", Path(folder) / "c.bundle"
        return [whole.read_bytes(), part.read_bytes()]


# --- structure ----------------------------------------------------------------------------------


def mutate(data: bytes, random: Random) -> bytes:
    """A bundle with a change inside of an entry, whose digests, leaves and root are right."""
    entries = entries_of(data)
    if MANIFEST not in entries or random.random() < 0.05:
        return mutated_bytes(data, random)
    choice = random.random()
    if choice < 0.6 and EVENTS in entries:
        _change_events(entries, random)
    elif choice < 0.75:
        entries[MANIFEST] = _mutated_json(entries[MANIFEST], random)
    elif choice < 0.9:
        name = random.choice(list(entries))
        entries[name] = mutated_bytes(entries[name], random)
    else:
        name = random.choice(list(entries))
        entries[random.choice((f"{CHECKPOINTS}{random.choice(TEXTS)}.txt", name, "x"))] = (
            entries.pop(name)
        )
    if random.random() < 0.9:
        _seal(entries)
    return zipped(entries, random if random.random() < 0.1 else None)


def _mutated_json(text: bytes, random: Random) -> bytes:
    try:
        return json.dumps(mutated_tree(json.loads(text), random, JSON_VALUES)).encode()
    except (ValueError, TypeError, RecursionError):
        return mutated_bytes(text, random)


def _seal(entries: Entries) -> None:
    """Make the manifest's digests right, as far as there are some."""
    try:
        manifest = json.loads(entries[MANIFEST])
        manifest["entries"] = {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "nbytes": len(content)}
            for name, content in entries.items()
            if name != MANIFEST
        }
        entries[MANIFEST] = json.dumps(manifest).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        pass


def _change_events(entries: Entries, random: Random) -> None:
    """Change events, and prove what they have become as a log of their own."""
    try:
        rows = [record.row for record in read_records(io.BytesIO(entries[EVENTS]))]
        manifest = json.loads(entries[MANIFEST])
    except (ValueError, RecursionError):
        return
    rows = _changed(rows, random)
    rows = [row._replace(position=place) for place, row in enumerate(rows, 1)]
    try:
        rows = [row._replace(leaf=leaf_of(row)) for row in rows]
        records = [pack_record(BundleRecord(index, row)) for index, row in enumerate(rows)]
    except (ValueError, OverflowError, TypeError):  # Numbers that no row can hold.
        return
    if isinstance(manifest, dict):
        manifest |= {
            "events": len(rows),
            "head": {
                "size": len(rows),
                "position": len(rows),
                "recorded_at": max([row.recorded_at for row in rows], default=0),
                "root": Frontier().extended(row.leaf for row in rows).root.hex(),
            },
        }
    entries[EVENTS], entries[TREE] = b"".join(records), pack_nodes([])
    entries[MANIFEST] = json.dumps(manifest).encode()


def _changed(rows: list[StoredRow], random: Random) -> list[StoredRow]:
    rows = list(rows)
    for _ in range(random.choice((1, 1, 1, 2))):
        if not rows:
            return rows
        at = random.randrange(len(rows))
        row = rows[at]
        match random.randrange(12):
            case 0:
                del rows[at]
            case 1:
                rows.insert(at, row)
            case 2:
                stream = random.choice(
                    (rows[random.randrange(len(rows))].stream, random.choice(TEXTS))
                )
                rows[at] = row._replace(stream=stream)
            case 3:
                number = random.choice([n for n in NUMBERS if type(n) is int and n < 2**63])
                rows[at] = row._replace(version=number)
            case 4:
                number = random.choice([n for n in NUMBERS if type(n) is int and n < 2**63])
                rows[at] = row._replace(recorded_at=number)
            case _:
                changed = mapper.mutate(mapper.stored(row.topic, row.state, row.metadata), random)
                topic, state, metadata = mapper.parts_of(changed)
                rows[at] = row._replace(topic=topic, state=state, metadata=metadata)
    return rows


# --- the property -------------------------------------------------------------------------------


def check(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.bundle"
        path.write_bytes(data)
        report = verify_bundle(path, trusted=[])
        if report.findings:
            if zlib.crc32(data) % 8 == 0:  # The import looks for the same findings.
                _check_refused(path)
        else:
            _check_imported(path, Path(folder))
        if os.listdir(folder) != ["a.bundle"]:
            raise Broken(f"files were left: {os.listdir(folder)}")


def _check_refused(path: Path) -> None:
    session = memory_session("target")
    head = session.log.head()
    try:
        import_bundle(session, path)
    except BundleRefused:
        pass
    else:
        raise Broken("a bundle with findings was imported")
    if session.log.head() != head:
        raise Broken("a refused bundle was written")
    session.close()


def _check_imported(path: Path, folder: Path) -> None:
    session = memory_session("target")
    try:
        import_bundle(session, path)
        if import_bundle(session, path).events:
            raise Broken("an import that was repeated wrote something")
    except ImportClash:
        session.close()
        return
    _check_readable(session)
    export(session, folder / "again.bundle")
    again = verify_bundle(folder / "again.bundle")
    if again.findings:
        raise Broken(f"exported again, it has {again.findings[0]}")
    (folder / "again.bundle").unlink()
    session.close()


def _check_readable(session: LiveSession) -> None:
    check_head(session.log)
    reader = session.reader()
    for view in ("runs", "tags", "properties", "metrics", "metric_points", "events"):
        reader.sql(f"SELECT * FROM {view}").fetchall()
    for (run_id,) in reader.sql("SELECT run_id FROM runs").fetchall():
        run: Any = RunHandle.existing(session, run_id)
        metrics_of(run)
        for change in changes_of(run):
            str(change)


TARGET: Final = Target("bundle", check, seeds, mutate, max_nbytes=1 << 15, quick=25)

"""On a disk that is full nothing of an audit is half done, and all of it can be done afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Workspace
from runlore.audit.audited import AuditedLog
from runlore.audit.bundles.checks import verify_bundle
from runlore.audit.checkpoints import create_checkpoint, set_automatic
from runlore.audit.keys import new_key
from runlore.audit.verify import verify
from runlore.storage.atomic_files import FileNotWritten
from runlore.storage.errors import DiskFull
from runlore.workspace import session_of
from tests.audit import erasures
from tests.audit.conftest import start
from tests.disks import Disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "small").mkdir()
    disk = Disk(tmp_path / "small")
    yield disk
    disk.close()


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {"filling"}


def test_a_checkpoint_is_signed_when_there_is_room_for_it(disk: Disk, tmp_path: Path) -> None:
    with Workspace.create("lab", path=disk.folder / "lab") as ws:
        start(ws, "first").complete()
        audited = AuditedLog.of(session_of(ws))
        key = tmp_path / "lab.key"
        new_key(key, audited.origin)
        first, _ = create_checkpoint(audited, key=key)
        start(ws, "second").complete()
        before = files_in(disk.folder / "lab" / "audit")
        disk.fill(even_for_small_files=True)

        # Without a mount there is no room for the log's own files either.
        refused = FileNotWritten if disk.mounted else DiskFull
        with pytest.raises(refused, match=r"free some space|raise the limit"):
            create_checkpoint(audited, key=key)
        assert files_in(disk.folder / "lab" / "audit") == before
        assert verify(AuditedLog.of(session_of(ws))).holds
        disk.free()
        second, _ = create_checkpoint(audited, key=key)

        assert second.size > first.size
        assert verify(AuditedLog.of(session_of(ws))).holds


def test_a_run_ends_though_its_checkpoint_cannot_be_exported(disk: Disk, tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        audited = AuditedLog.of(session_of(ws))
        key = tmp_path / "lab.key"
        new_key(key, audited.origin)
        if disk.mounted:
            elsewhere = disk.folder
            disk.fill()
        else:  # One limit holds for all files of the process: what refuses is no folder then.
            elsewhere = disk.folder / "file"
            elsewhere.write_bytes(b"x")
        set_automatic(audited, key=key, export=elsewhere / "checkpoints")
        run = start(ws, "r")

        with pytest.warns(RuntimeWarning, match="no checkpoint was made"):
            run.complete()

        assert run.get_status() == "Completed"
        assert files_in(elsewhere / "checkpoints") == set()
        if disk.mounted:
            disk.free()


def test_an_export_leaves_the_earlier_bundle_alone(disk: Disk, tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        start(ws, "first").complete()
        bundle = disk.folder / "bundle"
        ws.export(bundle)
        before = bundle.read_bytes()
        (tmp_path / "weights").write_bytes(os.urandom(1_000_000))
        run = start(ws, "second")
        run.upload_file("weights", str(tmp_path / "weights"))
        run.complete()
        disk.fill()

        with pytest.raises(FileNotWritten, match="No space left|File too large"):
            ws.export(bundle)
        assert files_in(disk.folder) == {"bundle"}
        assert bundle.read_bytes() == before
        disk.free()
        ws.export(bundle)

        assert verify_bundle(bundle).holds


def test_an_import_is_done_again_when_there_is_room(disk: Disk, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    with Workspace.create("source", path=tmp_path / "source") as source:
        for number in range(20):
            run = start(source, f"r{number}")
            run.tag("note", "x" * 100_000)
            run.complete()
        source.export(bundle)

    with Workspace.create("lab", path=disk.folder / "lab") as ws:
        start(ws, "own").complete()
        size = ws.position
        disk.fill()
        refused = "nothing (was stored, |of it was written; )(free some space|raise the limit)"
        with pytest.raises((DiskFull, FileNotWritten), match=refused):
            ws.import_bundle(bundle)
        assert ws.position == size
        assert verify(AuditedLog.of(session_of(ws))).holds
        disk.free()
        imported = ws.import_bundle(bundle)

        assert imported.runs == 20
        assert ws.get_run("r7").get_tags() == {"note": "x" * 100_000}
        assert verify(AuditedLog.of(session_of(ws))).holds


def test_a_run_is_erased_when_there_is_room_to_record_it(disk: Disk) -> None:
    with Workspace.create("lab", path=disk.folder / "lab", erasable=True) as ws:
        run = erasures.fill(ws)
        other = start(ws, "other")
        disk.fill()
        with pytest.raises(DiskFull, match="nothing was stored, (free some space|raise the limit)"):
            for number in range(10_000):  # Some pages of the log may still be free.
                other.tag(f"tag-{number}", "x" * 10_000)
        with pytest.raises(DiskFull, match="nothing was stored, (free some space|raise the limit)"):
            ws.erase_run(run.id, reason="asked for")
        assert run.get_tags() == {"note": f"{erasures.MARKER} tag"}
        disk.free()
        ws.erase_run(run.id, reason="asked for")

    assert erasures.found_in(disk.folder) == []

"""Bundles from strangers, and from copies of one's own workspace.

Here is what a bundle can do to the machine; `tests/audit/bundles/test_hostile_bundles.py` forges
names, links, entries that are there twice, manifests and events.

| tried | what happens |
|---|---|
| a few bytes that many entries share, so that they unpack to any size | BundleRefused, unread |
| a directory of millions of entries | BundleRefused, before it is read |
| an import where `artifacts` is a link | nothing is written behind it |
| an import into a workspace that was moved away | FolderMoved; nothing at the old place |
| an export, report or table onto a link | the link is replaced, not the file behind it |
| two copies that were both written to | CopiesDiverged, with the position |
| a copy that only imports, and one that was adopted | imported |
"""

from __future__ import annotations

import io
import shutil
import struct
import zipfile
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.audit.bundles.copies import CopiesDiverged
from runlore.audit.bundles.file import open_bundle
from runlore.audit.bundles.format import BundleRefused
from runlore.audit.bundles.zip_directory import directory_nbytes
from runlore.engine.repair import adopt
from runlore.storage.artifact_places import ArtifactsLinked
from runlore.storage.held_folder import FolderMoved
from runlore.workspace import session_of
from tests.audit.bundles.conftest import fill
from tests.cli.shell import runlore as command
from tests.workspaces import project as project
from tests.workspaces import start


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A workspace with runs, closed."""
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        fill(ws)
    return tmp_path / "lab"


@pytest.fixture
def bundle(lab: Path, tmp_path: Path) -> Path:
    with Workspace.open(lab) as ws:
        ws.export(tmp_path / "lab.bundle")
    return tmp_path / "lab.bundle"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "key").write_bytes(b"secret")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- the file -----------------------------------------------------------------------------------


def test_entries_that_share_their_bytes_are_refused(bundle: Path) -> None:
    """Each is at most a hundred times its size, but all are in the same place."""
    with zipfile.ZipFile(bundle) as archive:
        honest = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(bundle, "w") as archive:
        for name, content in honest.items():
            archive.writestr(name, content)
        archive.writestr(f"artifacts/{0:064x}", bytes(10_000_000), zipfile.ZIP_STORED)
        [kernel] = [info for info in archive.infolist() if info.file_size == 10_000_000]
        for number in range(1, 2_000):
            copy = zipfile.ZipInfo(f"artifacts/{number:064x}")
            copy.header_offset, copy.CRC = kernel.header_offset, kernel.CRC
            copy.compress_size = copy.file_size = kernel.file_size
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy

    with pytest.raises(BundleRefused, match="overlap"), open_bundle(bundle):
        pass


@pytest.mark.parametrize("is_zip64", [False, True])
def test_a_directory_of_too_many_entries_is_refused_unread(tmp_path: Path, is_zip64: bool) -> None:
    path, nbytes = tmp_path / "huge.bundle", 3_000_000_000
    with path.open("wb") as file:
        file.truncate(nbytes)  # A hole: nothing is stored.
        file.seek(0, 2)
        if is_zip64:
            file.write(struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 9, 9, nbytes, 0))
            file.write(struct.pack("<4sIQI", b"PK\6\7", 0, nbytes, 1))
            nbytes = 2**32 - 1
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, nbytes, 0, 0))

    with pytest.raises(BundleRefused, match="directory"), open_bundle(path):
        pass


def test_the_size_of_a_directory_is_read_before_any_comment(bundle: Path) -> None:
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.comment = b"PK" * 1_000
    claimed = directory_nbytes(io.BytesIO(bundle.read_bytes()))

    assert 0 < claimed < bundle.stat().st_size
    assert directory_nbytes(io.BytesIO(b"")) == directory_nbytes(io.BytesIO(b"PK\5\6")) == 0


# --- where it is written ------------------------------------------------------------------------


def test_an_import_follows_no_link(bundle: Path, private: Path, tmp_path: Path) -> None:
    before = contents(private)
    with Workspace.create("target", path=tmp_path / "target") as target:
        (tmp_path / "target" / "artifacts").symlink_to(private)
        head = target.log.head()

        with pytest.raises(ArtifactsLinked):
            target.import_bundle(bundle)

        assert target.log.head() == head
    assert contents(private) == before


def test_an_import_into_a_moved_workspace_makes_nothing_in_its_place(
    bundle: Path, tmp_path: Path
) -> None:
    target = Workspace.create("target", path=tmp_path / "target")
    (tmp_path / "target").rename(tmp_path / "moved")

    with pytest.raises(FolderMoved):
        target.import_bundle(bundle)

    assert not (tmp_path / "target").exists()
    (tmp_path / "moved").rename(tmp_path / "target")
    target.close()


def test_what_is_written_replaces_a_link(lab: Path, private: Path, tmp_path: Path) -> None:
    before = contents(private)
    (tmp_path / "tables").mkdir()
    for link in ("out.bundle", "out.html", "out.jsonl", "tables/runs.parquet"):
        (tmp_path / link).symlink_to(private / "key")

    with Workspace.open(lab) as ws:
        ws.export(tmp_path / "out.bundle")
        ws.audit.report(tmp_path / "out.html", run="parent")
        ws.audit.export_jsonl(tmp_path / "out.jsonl")
        ws.audit.export_parquet(tmp_path / "tables")

    assert contents(private) == before
    assert not (tmp_path / "tables" / "runs.parquet").is_symlink()


# --- copies that meet again ---------------------------------------------------------------------


@pytest.fixture
def copy(lab: Path, tmp_path: Path) -> Path:
    """A copy of the workspace, made while nobody wrote; it has the same id."""
    return Path(shutil.copytree(lab, tmp_path / "copy", symlinks=True))


def write_to(folder: Path, run_id: str, bundle: Path | None = None) -> int:
    """A run of its own; returns the position at which it was written."""
    with Workspace.open(folder) as ws:
        before = ws.log.head().position
        start(Experiment(ws, "trees"), run_id=run_id).complete()
        if bundle is not None:
            ws.export(bundle)
        return before + 1


def import_into(folder: Path, bundle: Path) -> int:
    with Workspace.open(folder) as ws:
        return ws.import_bundle(bundle).events


def test_two_copies_that_were_both_written_to_are_told_and_left_alone(
    lab: Path, copy: Path, tmp_path: Path
) -> None:
    first = write_to(copy, "in-copy")
    write_to(lab, "in-lab", tmp_path / "b")

    with Workspace.open(copy) as ws:
        head = ws.log.head()
        with pytest.raises(CopiesDiverged, match=f"from position {first} on") as told:
            ws.import_bundle(tmp_path / "b")
        assert ws.log.head() == head
    assert told.value.position == first
    assert "runlore repair --adopt" in str(told.value)
    assert "in-copy" in str(told.value)
    assert "in-lab" in str(told.value)


def test_a_selection_of_runs_that_both_have_in_common_is_no_clash(
    lab: Path, copy: Path, tmp_path: Path
) -> None:
    write_to(copy, "in-copy")
    write_to(lab, "in-lab")
    with Workspace.open(lab) as ws:
        ws.export(tmp_path / "b", run="child-0")

    assert import_into(copy, tmp_path / "b") == 0


def test_a_copy_that_was_adopted_takes_what_the_original_exports(
    lab: Path, copy: Path, tmp_path: Path
) -> None:
    write_to(copy, "in-copy")
    write_to(lab, "in-lab", tmp_path / "b")
    with Workspace.open(copy) as ws:
        adopt(session_of(ws).writable())

        ws.import_bundle(tmp_path / "b")

        assert ws.get_run("in-lab").get_status() == "Completed"
        assert ws.get_run("in-copy").get_status() == "Completed"


def test_a_copy_that_only_imports_goes_on_doing_so(lab: Path, copy: Path, tmp_path: Path) -> None:
    for number in range(3):
        write_to(lab, f"in-lab-{number}", tmp_path / "b")
        assert import_into(copy, tmp_path / "b") > 0
        assert import_into(copy, tmp_path / "b") == 0
    with Workspace.open(copy) as ws:
        ws.export(tmp_path / "back")

    assert import_into(lab, tmp_path / "back") == 3  # The processes that imported.

    write_to(copy, "in-copy")
    write_to(lab, "in-lab", tmp_path / "b")
    with pytest.raises(CopiesDiverged):
        import_into(copy, tmp_path / "b")


def test_a_copy_that_is_ahead_brings_its_events_to_the_original(
    lab: Path, copy: Path, tmp_path: Path
) -> None:
    write_to(copy, "in-copy", tmp_path / "b")

    assert import_into(lab, tmp_path / "b") > 0


def test_verify_compares_a_bundle_with_a_workspace(lab: Path, copy: Path, tmp_path: Path) -> None:
    write_to(lab, "in-lab", tmp_path / "b")
    same = command("audit", "verify", "../b", "-w", str(lab), cwd=Path.cwd())
    shorter = command("audit", "verify", "../b", "-w", str(copy), cwd=Path.cwd())
    first = write_to(copy, "in-copy")
    other = command("audit", "verify", "../b", "-w", str(copy), cwd=Path.cwd(), code=1)

    assert "has the same events" in same.err
    assert "has the same events" in shorter.err
    assert f"another event at position {first}" in other.err

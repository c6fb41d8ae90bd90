"""Whatever happens to an import, and whoever reads meanwhile: all of a bundle is there, or nothing.

Real processes are killed, interrupted or stopped at each step of an import.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from random import random
from subprocess import Popen

import pytest

from runlore import Experiment, Workspace
from runlore.audit.bundles import imports
from runlore.audit.bundles.copies import records_of
from runlore.audit.bundles.file import open_bundle
from runlore.audit.bundles.imports import ImportClash
from runlore.audit.bundles.staging import PREFIX
from runlore.domain.ids import run_id_of, run_stream
from runlore.storage.atomic_files import FileNotWritten
from runlore.storage.errors import DiskFull
from runlore.storage.verification import verify_log
from runlore.testing.logs import all_rows
from tests.disks import Disk
from tests.processes import LIMIT_S, start_python
from tests.workspaces import in_memory

pytestmark = pytest.mark.long

ALL = {"parent", "child-0", "child-1", "elsewhere"}

IMPORT = """
import os, signal, sys
from itertools import count

from runlore import Workspace
from runlore.audit.bundles.staging import StagedEvents
from runlore.storage import event_log, sqlite_log
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.database import Database
from runlore.storage.held_path import HeldPath

folder, bundle, step, what = sys.argv[1:]

def act():
    if what == "stop":
        print("here", flush=True)
        sys.stdin.readline()
    else:
        os.kill(os.getpid(), getattr(signal, what))

def at(owner, name, is_it, *, after):
    plain = getattr(owner, name)
    def acting(*args, **kwargs):
        if not after and is_it(*args):
            act()
        result = plain(*args, **kwargs)
        if after and is_it(*args):
            act()
        return result
    setattr(owner, name, acting)

workspace = Workspace.open(folder)
event_log._BATCH_SIZE = 4
if step == "file made":
    at(HeldPath, "unlink", lambda path: path.name.startswith(".runlore-import-"), after=False)
elif step == "events staged":
    at(StagedEvents, "finish", lambda staged: True, after=True)
elif step == "a file kept":
    at(ArtifactStore, "put", lambda store, source: True, after=True)
elif step == "some appended":
    calls = count()
    at(Database, "go_on", lambda database: next(calls) == 3, after=True)
elif step == "all appended":
    batches = sqlite_log.batches
    def act_at_the_end(events):
        yield from batches(events)
        act()
    sqlite_log.batches = act_at_the_end
elif step == "committed":
    at(Database, "truncate_wal", lambda database, timeout_s: True, after=False)
workspace.import_bundle(bundle)
print("done", flush=True)
"""
BEFORE = ["file made", "events staged", "a file kept", "some appended", "all appended"]


@pytest.fixture
def bundle(ws: Workspace, tmp_path: Path) -> Path:
    ws.export(tmp_path / "all.bundle")
    return tmp_path / "all.bundle"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with nothing in it."""
    Workspace.create("other", path=tmp_path / "other").close()
    return tmp_path / "other"


def shown(workspace: Workspace) -> set[str]:
    """The runs that readers of all kinds see, who must agree; and the log is whole."""
    then = workspace.as_of(workspace.position)
    workspace.export("seen.bundle")
    with open_bundle(Path("seen.bundle")) as bundle:
        exported = {run_id_of(record.row.stream) for record in records_of(bundle)} - {None}
    seen = listed(workspace)
    others = [
        listed(then),
        asked(workspace),
        asked(then),
        {event.run_id for event in workspace.events(topics="run.created")},
        {run_id for run_id in {*ALL, "mine"} if workspace.log.read_stream(run_stream(run_id))},
        exported,
    ]
    assert others == [seen] * len(others)
    assert verify_log(workspace.log).holds
    return seen


def listed(workspace: Workspace) -> set[str]:
    found = set()
    for experiment in workspace.experiments.values():
        found |= {run.id for run in experiment.get_runs(include_children=True)}
    return found


def asked(workspace: Workspace) -> set[str]:
    return {run_id for (run_id,) in workspace.sql("SELECT run_id FROM runs").fetchall()}


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(PREFIX)]


def ended(importing: Popen[str], *status: int) -> str:
    said, _ = importing.communicate(timeout=LIMIT_S)
    assert importing.returncode in status
    return said


@pytest.mark.processes
@pytest.mark.parametrize("step", BEFORE)
def test_after_a_kill_readers_see_nothing_of_it_and_the_next_import_all(
    bundle: Path, folder: Path, step: str
) -> None:
    ended(start_python(IMPORT, folder, bundle, step, "SIGKILL"), -signal.SIGKILL)

    assert bool(leftovers(folder)) == (step == "file made")
    with Workspace.open(folder) as other:
        assert shown(other) == set()

        assert other.import_bundle(bundle).runs == len(ALL)

        assert leftovers(folder) == []
        assert shown(other) == ALL
        ids = [row.event_id for row in all_rows(other.log)]
        assert len(ids) == len(set(ids))
        other.get_run("parent").download_file("outputs/model.bin", "again.bin")
        assert Path("again.bin").read_bytes() == b"the weights"


@pytest.mark.processes
def test_after_a_kill_behind_the_commit_all_of_it_is_there(bundle: Path, folder: Path) -> None:
    ended(start_python(IMPORT, folder, bundle, "committed", "SIGKILL"), -signal.SIGKILL)

    with Workspace.open(folder) as other:
        assert shown(other) == ALL
        assert other.import_bundle(bundle).events == 0


@pytest.mark.processes
@pytest.mark.parametrize("step", ["events staged", "some appended"])
def test_after_ctrl_c_readers_see_nothing_of_it_and_the_next_import_all(
    bundle: Path, folder: Path, step: str
) -> None:
    ended(start_python(IMPORT, folder, bundle, step, "SIGINT"), 1, -signal.SIGINT)

    assert leftovers(folder) == []
    with Workspace.open(folder) as other:
        assert shown(other) == set()
        assert other.import_bundle(bundle).runs == len(ALL)
        assert shown(other) == ALL


@pytest.mark.processes
def test_while_it_is_appended_readers_see_nothing_and_trainings_go_on(
    bundle: Path, folder: Path
) -> None:
    with Workspace.open(folder) as other:
        run = Experiment(other, "mine").start_logging(
            run_id="mine", outputs=False, snapshot_directory=None
        )
        feed = other.subscribe(topics="run.created", timeout_s=0)
        importing = start_python(IMPORT, folder, bundle, "all appended", "stop")
        assert importing.stdout is not None and importing.stdout.readline() == "here\n"

        assert shown(other) == {"mine"}
        assert list(feed) == []
        run.log("loss", 0.5)
        tagging = threading.Thread(target=run.tag, args=["while", "importing"])
        tagging.start()

        said, _ = importing.communicate("go on\n", timeout=LIMIT_S)
        assert said == "done\n"
        tagging.join(LIMIT_S)
        assert shown(other) == {*ALL, "mine"}
        with feed:
            assert {event.run_id for event in feed} == ALL
        assert run.get_tags() == {"while": "importing"}
        assert run.get_metrics() == {"loss": 0.5}
        times = {
            row.recorded_at for row in all_rows(other.log) if b"origin" in (row.metadata or b"")
        }
        assert len(times) == 1  # So as of a time, too, all are there or none.


@pytest.mark.processes
def test_two_processes_that_import_the_same_bundle_add_it_once(bundle: Path, folder: Path) -> None:
    first = start_python(IMPORT, folder, bundle, "events staged", "stop")
    assert first.stdout is not None and first.stdout.readline() == "here\n"
    ended(start_python(IMPORT, folder, bundle, "-", "-"), 0)

    said, _ = first.communicate("go on\n" * 2, timeout=LIMIT_S)

    assert said.endswith("done\n")
    with Workspace.open(folder) as other:
        ids = [row.event_id for row in all_rows(other.log)]
        assert len(ids) == len(set(ids))
        assert shown(other) == ALL


def test_a_run_that_others_change_after_the_plan_was_made_is_a_clash(
    ws: Workspace, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "parent.bundle"
    ws.export(path, run="parent")
    with Workspace.open(folder) as other:
        other.import_bundle(path)
        ws.get_run("parent").tag("there", "lab")
        ws.export(path, run="parent")
        keep = imports._keep_artifacts

        def keep_while_others_write(*args: object) -> int:
            monkeypatch.setattr(imports, "_keep_artifacts", keep)
            other.get_run("parent").tag("here", "other")
            return keep(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(imports, "_keep_artifacts", keep_while_others_write)
        with pytest.raises(ImportClash, match="run parent is in this workspace as well"):
            other.import_bundle(path)

        assert "there" not in other.get_run("parent").get_tags()


def test_a_disk_that_fills_up_at_any_moment_leaves_nothing_that_readers_see(
    ws: Workspace, tmp_path: Path
) -> None:
    ws.get_run("elsewhere").log_list("noise", [random() for _ in range(20_000)])
    bundle = tmp_path / "noisy.bundle"
    ws.export(bundle)
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk")
    refused = []
    try:
        with Workspace.create("other", path=disk.folder / "other") as other:
            for nbytes in range(0, 2_000_000, 40_000):
                disk.fill(leaving=nbytes)
                try:
                    other.import_bundle(bundle)
                    break
                except (DiskFull, FileNotWritten) as error:
                    refused.append(type(error))
                    assert "free some space" in str(error)
                    assert listed(other) == asked(other) == set()
                    assert leftovers(disk.folder / "other") == []
                finally:
                    disk.free()
            assert refused.count(FileNotWritten) > 1 and refused.count(DiskFull) > 1
            assert shown(other) == ALL
    finally:
        disk.close()


def test_a_workspace_in_memory_takes_a_bundle_whole(bundle: Path) -> None:
    with in_memory("other") as other:
        other.import_bundle(bundle)
        assert shown(other) == ALL

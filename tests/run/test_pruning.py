"""Pruning: bytes go, and the log says whose they were, who gave them up, and why."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import InvalidInput
from runlore.engine.runs.files import FilePruned
from runlore.workspace import session_of


def kept_run(ws: Workspace, folder: Path, files: dict[str, bytes], acc: float = 0.0) -> Run:
    run = Experiment(ws, "exp").start_logging(snapshot_directory=None, outputs=False)
    for name, content in files.items():
        path = folder / "file"
        path.write_bytes(content)
        run.upload_file(name, path)
    run.log("acc", acc)
    run.complete()
    return run


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create("lab", path=tmp_path / "lab", actor="ada")


def holds(ws: Workspace, content: bytes) -> bool:
    return session_of(ws).shared_artifacts.has(hashlib.sha256(content).hexdigest())


def steps(*numbers: int) -> dict[str, bytes]:
    return {f"checkpoints/step-{number}.pt": f"weights {number}".encode() for number in numbers}


def test_a_dry_run_changes_nothing(ws: Workspace, tmp_path: Path) -> None:
    run = kept_run(ws, tmp_path, steps(1, 2, 3))

    pruned = ws.prune_files("checkpoints/*", keep_last=1)

    assert [one.name for one in pruned.files] == [
        "checkpoints/step-1.pt",
        "checkpoints/step-2.pt",
    ]
    assert (pruned.is_done, pruned.freed_nbytes) == (False, 2 * len(b"weights 1"))
    assert holds(ws, b"weights 1")
    run.download_file("checkpoints/step-1.pt", tmp_path / "back")


def test_reading_a_pruned_file_says_who_when_and_why(ws: Workspace, tmp_path: Path) -> None:
    run = kept_run(ws, tmp_path, steps(1, 2))

    done = ws.prune_files("checkpoints/*", keep_last=1, dry_run=False, reason="disk is full")

    assert done.is_done
    assert not holds(ws, b"weights 1")
    with pytest.raises(FilePruned, match=r"by ada@.* on \d{4}-\d\d-\d\d .* UTC: disk is full"):
        run.download_file("checkpoints/step-1.pt", tmp_path / "back")
    assert hashlib.sha256(b"weights 1").hexdigest() in str(
        pytest.raises(FilePruned, run.download_file, "checkpoints/step-1.pt", tmp_path / "b").value
    )
    run.download_file("checkpoints/step-2.pt", tmp_path / "back")
    assert ws.audit.verify().holds
    ws.export(tmp_path / "run.bundle", run=run.id)


def test_numbers_in_names_count_as_numbers(ws: Workspace, tmp_path: Path) -> None:
    run = Experiment(ws, "exp").start_logging(snapshot_directory=None, outputs=False)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for number in (9, 10, 11):
        (folder / f"{number}.pt").write_text(str(number))
    run.upload_folder("checkpoints", folder)
    run.complete()

    pruned = ws.prune_files("checkpoints/*", keep_last=2)

    assert [one.name for one in pruned.files] == ["checkpoints/9.pt"]


def test_the_best_runs_keep_all_their_files(ws: Workspace, tmp_path: Path) -> None:
    runs = [kept_run(ws, tmp_path, {"m.pt": f"{acc}".encode()}, acc) for acc in (0.5, 0.9, 0.7)]

    by_max = ws.prune_files("m.pt", keep_best_by="acc")
    by_min = ws.prune_files("m.pt", keep_best_by="acc", goal="min", keep_best=2)

    assert {one.run_id for one in by_max.files} == {runs[0].id, runs[2].id}
    assert {one.run_id for one in by_min.files} == {runs[1].id}
    with pytest.raises(InvalidInput, match="no run has a number"):
        ws.prune_files("m.pt", keep_best_by="accuracy")


def test_newer_files_stay(ws: Workspace, tmp_path: Path) -> None:
    kept_run(ws, tmp_path, steps(1))

    assert ws.prune_files("*", keep_newer_than="1 hour ago").files == []
    assert len(ws.prune_files("*", keep_newer_than="0 seconds ago").files) == 1


def test_runs_that_go_on_keep_their_files(ws: Workspace, tmp_path: Path) -> None:
    run = Experiment(ws, "exp").start_logging(snapshot_directory=None, outputs=False)
    (tmp_path / "x").write_text("x")
    run.upload_file("x", tmp_path / "x")

    assert ws.prune_files("*", keep_last=0).files == []
    run.complete()


def test_bytes_that_another_run_names_stay(ws: Workspace, tmp_path: Path) -> None:
    first = kept_run(ws, tmp_path, {"m.pt": b"shared", "n.pt": b"own"}, 0.1)
    second = kept_run(ws, tmp_path, {"m.pt": b"shared"}, 0.9)

    done = ws.prune_files("*.pt", keep_best_by="acc", dry_run=False, reason="space")

    assert {one.run_id for one in done.files} == {first.id}
    assert (done.freed_nbytes, done.shared_nbytes) == (len(b"own"), len(b"shared"))
    second.download_file("m.pt", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"shared"
    assert not holds(ws, b"own")


@pytest.mark.processes  # git
def test_bytes_of_a_snapshot_stay(ws: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_bytes(b"print()")
    run = Experiment(ws, "exp").start_logging(snapshot_directory=source, outputs=False)
    run.upload_file("train.py", source / "train.py")
    run.complete()

    done = ws.prune_files("train.py", keep_last=0, dry_run=False, reason="space")

    assert (done.freed_nbytes, done.shared_nbytes) == (0, len(b"print()"))
    run.restore_snapshot(path=tmp_path)


def test_a_pruned_file_can_be_uploaded_again(ws: Workspace, tmp_path: Path) -> None:
    run = kept_run(ws, tmp_path, steps(1))
    ws.prune_files("*", keep_last=0, dry_run=False, reason="space")
    (tmp_path / "again").write_bytes(b"weights 1")

    run.upload_file("checkpoints/step-1.pt", tmp_path / "again")

    run.download_file("checkpoints/step-1.pt", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"weights 1"


def test_a_pruning_that_was_killed_is_completed_by_the_next(ws: Workspace, tmp_path: Path) -> None:
    run = kept_run(ws, tmp_path, steps(1))
    # As after a kill between the event and the removal.
    ws.prune_files("*", keep_last=0, dry_run=False, reason="space")
    session_of(ws).shared_artifacts.put_path(_file(tmp_path, b"weights 1"))
    (tmp_path / "other").write_bytes(b"other")
    run.upload_file("other.pt", tmp_path / "other")

    ws.prune_files("*", keep_last=0, dry_run=False, reason="once more")

    assert not holds(ws, b"weights 1")


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "left"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "options",
    [{}, {"keep_last": -1}, {"keep_last": 1, "goal": "best"}, {"keep_last": 1, "dry_run": False}],
    ids=["no rule", "negative", "goal", "no reason"],
)
def test_contradictory_options_change_nothing(
    ws: Workspace, tmp_path: Path, options: dict[str, object]
) -> None:
    kept_run(ws, tmp_path, steps(1))

    with pytest.raises(InvalidInput):
        ws.prune_files("*", **options)  # type: ignore[arg-type]  # what is tested

    assert holds(ws, b"weights 1")


def test_in_an_erasable_workspace_each_run_has_its_own_bytes(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab", erasable=True) as ws:
        first = kept_run(ws, tmp_path, {"m.pt": b"same"}, 0.1)
        second = kept_run(ws, tmp_path, {"m.pt": b"same"}, 0.9)

        done = ws.prune_files("m.pt", keep_best_by="acc", dry_run=False, reason="space")

        assert done.freed_nbytes > 0
        second.download_file("m.pt", tmp_path / "back")
        with pytest.raises(FilePruned):
            first.download_file("m.pt", tmp_path / "back")


@pytest.mark.processes
def test_uploads_of_the_same_bytes_during_a_pruning_are_not_lost(
    ws: Workspace, tmp_path: Path
) -> None:
    code = """
import sys
from pathlib import Path
from runlore import Experiment, Workspace
with Workspace.open(sys.argv[1]) as ws:
    run = Experiment(ws, "other").start_logging(snapshot_directory=None, outputs=False)
    for number in range(150):
        path = Path(sys.argv[2], f"other-{number % 10}")
        path.write_text(f"content {number % 10}")
        run.upload_file(f"files/{number}", path)
    run.complete()
    print(run.id)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(ws.path), str(tmp_path)],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )
    while child.poll() is None:
        files = {f"own/{number}": f"content {number}".encode() for number in range(10)}
        kept_run(ws, tmp_path, files)
        ws.prune_files("own/*", keep_last=0, dry_run=False, reason="space")
    run_id, _ = child.communicate()
    run = ws.get_run(run_id.strip())

    for number in range(10):
        run.download_file(f"files/{number}", tmp_path / f"back-{number}")
    assert [(tmp_path / f"back-{number}").read_text() for number in range(10)] == [
        f"content {number}" for number in range(10)
    ]

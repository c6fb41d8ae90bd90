"""`runlore artifacts`: places, pruning, and what waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from tests.cli.shell import runlore


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A workspace with a run of three checkpoints of 10 bytes."""
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None, outputs=False)
        for step in (8, 9, 10):
            (tmp_path / "x").write_text(f"weights {step:2}")
            run.upload_file(f"checkpoints/{step}.pt", tmp_path / "x")
        run.complete()
    return tmp_path / "lab"


def test_pruning_shows_first_what_it_would_do(lab: Path) -> None:
    options = ("artifacts", "prune", "-w", str(lab), "--files", "checkpoints/*", "--keep-last", "1")

    shown = runlore(*options, cwd=lab.parent)

    assert [row["name"] for row in shown.data] == ["checkpoints/8.pt", "checkpoints/9.pt"]
    assert "2 files: 20 bytes freed" in shown.err
    assert "--reason and --yes" in shown.err
    done = runlore(*options, "--reason", "disk is full", "--yes", cwd=lab.parent)
    assert done.data == shown.data
    assert "(pruned)" in done.err
    assert runlore(*options, cwd=lab.parent).data == []


def test_pruning_needs_a_rule_and_a_reason(lab: Path) -> None:
    options = ("artifacts", "prune", "-w", str(lab), "--files", "*")

    assert "say what to keep" in runlore(*options, code=1, cwd=lab.parent).err
    assert (
        "needs a reason"
        in runlore(*options, "--keep-last", "1", "--yes", code=1, cwd=lab.parent).err
    )


def test_files_are_placed_elsewhere(lab: Path, tmp_path: Path) -> None:
    place = tmp_path / "shared"

    assert (
        runlore("artifacts", "place", str(place), "-w", str(lab), cwd=lab.parent).data["copied"]
        >= 3
    )

    with Workspace.open(lab) as ws:
        [run] = ws.experiments["exp"].get_runs()
        run.download_file("checkpoints/8.pt", tmp_path / "back")
        assert (tmp_path / "back").read_text() == "weights  8"
    assert runlore("artifacts", "deliver", "-w", str(lab), cwd=lab.parent).data == {"delivered": 0}


def test_a_store_is_trusted_as_a_folder_is(tmp_path: Path) -> None:
    place = "s3://team-bucket/lab"

    assert {"folder": place} in runlore("trust", place + "/", cwd=tmp_path).data
    assert {"folder": place} in runlore("trust", "--list", cwd=tmp_path).data
    assert {"folder": place} not in runlore("trust", "--remove", place, cwd=tmp_path).data
    refused = runlore("trust", "s3://ann:sekrit@lab", code=1, cwd=tmp_path).err
    assert "sekrit" not in refused

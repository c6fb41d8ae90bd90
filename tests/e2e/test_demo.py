"""`make demo` does what it says, and does it again in the same folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runlore import Workspace

ROOT = Path(__file__).parents[2]


def demo(folder: Path, script: str = "demo.py") -> str:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "examples" / script)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def check_printed(printed: str) -> None:
    """All that the demo shows, wherever its workspace is."""
    assert "'Failed': 1" in printed
    assert "epoch 0\nepoch 1\nepoch 2\n" in printed
    assert "Completed, {'loss': [1.0, 0.5," in printed
    assert "'Canceled': 1" in printed
    assert "quality = fantastic run: alpha=" in printed
    assert "properties never" in printed
    assert "{'alpha': '" in printed and "'quality': 'great run'}" in printed
    assert "PROVED." in printed and "is signed by runlore/" in printed
    assert "events: all holds" in printed
    assert "its columns do not match its leaf" in printed
    assert "'quality': 'great run'" in printed
    assert "'great run' → 'fantastic run'" in printed


@pytest.mark.long
def test_the_demo_trains_queries_and_draws_as_often_as_it_is_run(tmp_path: Path) -> None:
    printed = demo(tmp_path)

    check_printed(printed)
    assert printed.endswith("make studio-demo\n")
    assert (tmp_path / "demo-output" / "chart.png").read_bytes().startswith(b"\x89PNG")

    demo(tmp_path)

    with Workspace.open(tmp_path / "demo-output" / "workspace") as workspace:
        searches = list(workspace.experiments["diabetes-ridge"].get_runs())
        assert [search.get_status() for search in searches] == ["Completed", "Completed"]
        assert [len(list(search.get_children(recursive=True))) for search in searches] == [112, 112]
        (best,) = searches[0].get_children(tags={"quality": "fantastic run"})
        (fold, *_) = best.get_children()
        assert len(fold.get_metrics("val_rmse")["val_rmse"]) == 30
        assert searches[0].get_metrics("r2 by alpha")["r2 by alpha"]["alpha"][0] == 0.0001
        assert searches[0].get_file_names()[0].endswith(".png")


@pytest.mark.long
@pytest.mark.processes
def test_the_demo_prints_the_same_of_a_workspace_in_postgresql(tmp_path: Path) -> None:
    printed = demo(tmp_path, "demo_postgres.py")

    check_printed(printed)
    assert "The workspace was in postgresql://" in printed
    assert (tmp_path / "demo-output" / "postgres" / "chart.png").read_bytes().startswith(b"\x89PNG")

"""What runs do on each kind of target that is a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runlore import Experiment, Run, ScriptRunConfig, Workspace
from tests.e2e.test_seed import parent_and_child

ROOT = Path(__file__).parents[1]


def check_demo(folder: Path, kinds: tuple[str, ...], **variables: str) -> None:
    """The demo's submitted scripts do the same on all these kinds."""
    ran = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo_targets.py"), *kinds],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("epoch 0\nepoch 1\nepoch 2\n") == len(kinds)
    assert ran.stdout.count("Completed, {'loss': [1.0, 0.5,") == len(kinds)
    assert ran.stdout.count("the second script: Canceled") == len(kinds)


def parent_with_children(ws: Workspace, folder: Path) -> list[Run]:
    """The article's parent, submitted to `gpu-cluster`, and the children that it submits there."""
    for name, code in parent_and_child().items():
        (folder / name).write_text(code)
    config = ScriptRunConfig(str(folder), "parent.py", compute_target="gpu-cluster")
    parent = Experiment(ws, "explore-runs").submit(config)
    parent.wait_for_completion()

    children = list(parent.get_children())
    assert [child.get_status() for child in children] == ["Completed"] * 3
    assert {child.get_details()["target"] for child in children} == {"gpu-cluster"}
    assert set(parent.get_metrics()["MyMetric"]) == {
        f"Data from child run {child.id}" for child in children
    }
    return [parent, *children]

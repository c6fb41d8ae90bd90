"""The demo's submitted scripts print the same on all kinds of targets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.processes


def test_the_demos_scripts_do_the_same_everywhere(tmp_path: Path) -> None:
    kinds = ("local", "pool", "slurm")
    ran = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo_targets.py"), *kinds],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("epoch 0\nepoch 1\nepoch 2\n") == len(kinds)
    assert ran.stdout.count("Completed, {'loss': [1.0, 0.5,") == len(kinds)
    assert ran.stdout.count("the second script: Canceled") == len(kinds)

"""The demo's submitted scripts print the same on Ray as on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ray.head import Head

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.processes


def test_the_demos_scripts_do_the_same_on_ray(tmp_path: Path, head: Head) -> None:
    kinds = ("local", "ray")
    ran = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo_targets.py"), *kinds],
        cwd=tmp_path,
        env={**os.environ, "RAY_API_SERVER_ADDRESS": head.address},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("epoch 0\nepoch 1\nepoch 2\n") == len(kinds)
    assert ran.stdout.count("Completed, {'loss': [1.0, 0.5,") == len(kinds)
    assert ran.stdout.count("the second script: Canceled") == len(kinds)

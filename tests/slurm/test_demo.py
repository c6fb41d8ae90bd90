"""The demo's submitted scripts print the same on all kinds of targets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.targets import check_demo

pytestmark = pytest.mark.processes


def test_the_demos_scripts_do_the_same_everywhere(tmp_path: Path) -> None:
    check_demo(tmp_path, ("local", "pool", "slurm"))

"""The demo's submitted scripts print the same on Ray as on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ray.head import Head
from tests.targets import check_demo

pytestmark = pytest.mark.processes


def test_the_demos_scripts_do_the_same_on_ray(tmp_path: Path, head: Head) -> None:
    check_demo(tmp_path, ("local", "ray"), RAY_API_SERVER_ADDRESS=head.address)

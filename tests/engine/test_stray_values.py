"""Values that are logged into a workspace which this user may only read."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Workspace
from tests.processes import in_child
from tests.workspaces import start

NOBODY = 65_534


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter, and only this one write to; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.mark.processes
def test_a_value_that_cannot_be_written_blocks_no_read_and_no_close(public_folder: Path) -> None:
    folder = public_folder / "lab"
    with Workspace.create("lab", path=folder) as workspace:
        start(Experiment(workspace, "e"), run_id="shared").log("loss", 1.0)
        workspace.sql("SELECT 1")  # The other user may not be able to import what that takes.

    def read() -> tuple[dict[str, Any], list[tuple[Any, ...]], list[str]]:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with Workspace.open(folder) as workspace:
                run = workspace.get_run("shared")
                run.log("loss", 0.5)
                metrics = run.get_metrics()
                counted = workspace.sql("SELECT count(*) FROM metric_points").fetchall()
        return metrics, counted, [str(warning.message) for warning in told]

    metrics, counted, told = in_child(read)

    assert metrics == {"loss": [1.0, 0.5]}
    assert counted == [(1,)]
    assert any(text.startswith("the answer lacks values") for text in told)
    assert any("logged into a workspace that is only read are lost" in text for text in told)
    with Workspace.open(folder) as workspace:
        assert workspace.get_run("shared").get_metrics() == {"loss": 1.0}

"""Processes that leave a run at the same moment: one end, and the worst one."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from runlore import Workspace
from runlore.domain.status import TERMINAL
from tests.chaos.rounds import LEAVES
from tests.engine.test_leaving import assert_no_parts, ends_of
from tests.ranks import ranks

pytestmark = pytest.mark.processes
WORST = ("Failed", "Canceled", "Completed")


def test_processes_that_leave_at_once_write_one_end_the_worst(tmp_path: Path) -> None:
    folder, rng = tmp_path / "lab", Random(0)
    Workspace.create("lab", path=folder).close()
    with Workspace.open(folder) as workspace, ranks(folder, 3) as team:
        for _ in range(LEAVES):
            run_id = team[0].ask("create")
            for rank in team[1:]:
                rank.ask("join", run_id)
            outcomes = [rng.choice(sorted(TERMINAL)) for _ in team]
            for rank, status in zip(team, outcomes, strict=True):
                rank.begin("leave", str(status), "boom" if status == "Failed" else None)
            answers = [rank.answer() for rank in team]
            assert True in answers
            assert ends_of(workspace, run_id) == [min(outcomes, key=WORST.index)]
            assert_no_parts(folder)

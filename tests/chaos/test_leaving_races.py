"""Processes that leave a run at the same moment: one end, and the worst one."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore import Workspace
from runlore.domain.status import TERMINAL
from runlore.engine.runs.leaving import settle
from runlore.run.run import handle_of
from tests.chaos.rounds import LEAVES, STORIES
from tests.engine.test_leaving import assert_no_parts, ends_of
from tests.ranks import Rank, ranks

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


class Story:
    """What happened to a run's processes, and the end that must come of it."""

    def __init__(self, team: list[Rank], workspace: Workspace) -> None:
        self.workspace = workspace
        self.run_id: str = team[0].ask("create")
        self.inside = [team[0]]
        self.outside = team[1:]
        self.left: list[str] = []
        self.deaths = 0

    @property
    def is_open(self) -> bool:
        return bool(self.inside)

    def join(self, data: st.DataObject) -> None:
        rank = self.outside.pop()
        rank.ask("join", self.run_id)
        self.inside.append(rank)

    def leave(self, data: st.DataObject) -> None:
        status = data.draw(st.sampled_from(WORST))
        rank = self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1)))
        self.left.append(status)
        ended = rank.ask("leave", status, "boom" if status == "Failed" else None)
        assert ended is not self.is_open

    def kill(self, data: st.DataObject) -> None:
        self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1))).kill()
        self.deaths += 1

    def kill_in_leaving(self, data: st.DataObject) -> None:
        """Before, or after it wrote its outcome; a process alone writes none."""
        rank = self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1)))
        status = data.draw(st.sampled_from(WORST[1:]))
        alone = not (self.inside or self.left or self.deaths)
        point = data.draw(st.integers(0, 4 if alone else 5))
        rank.ask("die_at", point)
        rank.begin("leave", status)
        rank.died()
        if point >= 3 and not alone:
            self.left.append(status)
        else:
            self.deaths += 1

    def stop_and_go_on(self, data: st.DataObject) -> None:
        """A process that is stopped is not dead, whoever looks."""
        rank = data.draw(st.sampled_from(self.inside))
        os.kill(rank.pid, signal.SIGSTOP)
        assert not settle(handle_of(self.workspace.get_run(self.run_id)))
        os.kill(rank.pid, signal.SIGCONT)

    def assert_ended_well(self) -> None:
        run = self.workspace.get_run(self.run_id)
        settle(handle_of(run))
        worst = min([*self.left, *["Failed"] * self.deaths], key=WORST.index)
        assert ends_of(self.workspace, self.run_id) == [worst]


@settings(max_examples=STORIES)
@given(st.data())
def test_whatever_happens_to_its_processes_a_run_ends_once_and_with_the_worst_end(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("story") / "lab"
    Workspace.create("lab", path=folder).close()
    with Workspace.open(folder) as workspace, ranks(folder, 3) as team:
        story = Story(team, workspace)
        while story.is_open:
            happenings = [story.leave, story.kill, story.kill_in_leaving]
            if story.outside:  # The other processes come early, if at all.
                happenings += [story.join, story.stop_and_go_on]
            data.draw(st.sampled_from(happenings))(data)
            if data.draw(st.booleans()):
                story.outside.clear()
        story.assert_ended_well()

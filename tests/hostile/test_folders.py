"""A workspace's folder in which something was replaced: nothing outside is touched or taken."""

from __future__ import annotations

import os
from typing import Final

import pytest

from tests.hostile import rich_workspace
from tests.hostile.folders import ATTACKS, arena, cases, run

pytestmark = pytest.mark.long

ALL: Final = os.environ.get("RUNLORE_HOSTILE") == "all"
_EVERY: Final = len(ATTACKS)  # One attack on each thing or so, another one on each.


@pytest.mark.processes
@pytest.mark.slow
def test_whatever_was_replaced_nothing_outside_is_touched_taken_or_waited_for() -> None:
    """`RUNLORE_HOSTILE=all` tries every attack on everything."""
    with arena() as top:
        original = rich_workspace.make(top / "original")
        chosen = cases(original)
        outcomes = list(run(chosen if ALL else chosen[::_EVERY], original, top))
    assert len(outcomes) > len(ATTACKS)
    assert {str(each.case): each.problems for each in outcomes if each.problems} == {}

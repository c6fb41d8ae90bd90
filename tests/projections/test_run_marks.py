"""The marks that people give to runs, now and in the past."""

from __future__ import annotations

import pytest

from runlore import Experiment
from runlore.domain.run_marks import COLOUR, STAR, chosen_look
from runlore.projections.rows import RunMarks
from runlore.shown.colours import look_of
from runlore.workspace import session_of
from tests.workspaces import in_memory, start


def test_marks_are_those_of_the_moment() -> None:
    with in_memory("lab") as ws:
        nets, trees = (Experiment(ws, name) for name in ("nets", "trees"))
        first, _ = start(nets, run_id="first"), start(nets, run_id="second")
        third = start(trees, run_id="third")
        before = ws.position
        first.set_tags({STAR: None, COLOUR: "9", "other": "8"})
        third.set_tags({COLOUR: "4"})
        then = ws.position
        first.remove_tags([STAR])
        third.set_tags({COLOUR: "5"})
        reader = session_of(ws).reader()

        assert reader.marks_of(["first", "second", "third", "nobody", "' OR 1=1"]) == {
            "first": RunMarks(nets.id, "9", False),
            "second": RunMarks(nets.id, None, False),
            "third": RunMarks(trees.id, "5", False),
        }
        assert reader.marks_of([]) == {}
        assert reader.at(then).marks_of(["first", "third"]) == {
            "first": RunMarks(nets.id, "9", True),
            "third": RunMarks(trees.id, "4", False),
        }
        assert reader.at(before).marks_of(["first"]) == {"first": RunMarks(nets.id, None, False)}


def test_a_chosen_look_goes_before_that_of_the_number() -> None:
    assert look_of(3, "nets", chosen_look("9")) == (1, 1)
    assert look_of(3, "nets", chosen_look("31")) == (7, 3)


@pytest.mark.parametrize("value", [None, "", "32", "-1", "1.0", "red", "\u0665", "0" * 5_000])
def test_what_names_no_look_leaves_that_of_the_number(value: str | None) -> None:
    assert look_of(3, "nets", chosen_look(value)) == look_of(3, "nets")

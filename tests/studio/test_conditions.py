"""Why no run matches: how many runs would without each condition."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from tests.studio.asking import Served, served
from tests.workspaces import start


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Served]:
    """Four runs with a number from 0 on; the even ones have a tag, and the last one a child."""
    with Workspace.create("lab", path=tmp_path / "lab", show_output=False) as ws:
        experiment = Experiment(ws, "e")
        start(Experiment(ws, "other"), run_id="elsewhere")
        for number in range(4):
            run = start(experiment, run_id=f"r{number}")
            run.add_config({"number": number})
            if number % 2 == 0:
                run.tag("even")
        run.child_run().add_config({"number": 9})
        with served(ws) as found:
            yield found


def test_the_condition_comes_first_that_leaves_out_most(studio: Served) -> None:
    found = studio.get(
        "/api/conditions",
        experiment="e",
        f="has(tags.even) and config.number = 3 and status != Failed",
    )

    assert found["below"] == 0
    assert [(one["text"], one["without"], one["alone"]) for one in found["conditions"]] == [
        ("config.number = 3", 2, 1),
        ("has(tags.even)", 1, 2),
        ("status != Failed", 0, 4),
    ]
    assert found["conditions"][0]["f"] == "has(tags.even) and status != Failed"


def test_a_search_is_a_condition(studio: Served) -> None:
    found = studio.get("/api/conditions", q="r1", f="has(tags.even) or status = Failed")
    by_text = {one["text"]: one for one in found["conditions"]}

    assert by_text["r1"] | {"without": 0} == {
        "text": "r1", "f": "has(tags.even) or status = Failed", "q": None, "without": 0, "alone": 1,
    }  # fmt: skip
    assert by_text["r1"]["without"] == 2
    other = by_text["has(tags.even) or status = Failed"]
    assert (other["f"], other["q"], other["without"]) == (None, "r1", 1)


def test_runs_below_others_are_counted_apart(studio: Served) -> None:
    found = studio.get("/api/conditions", f="config.number = 9")

    assert (found["below"], found["conditions"][0]["without"]) == (1, 5)
    assert studio.get("/api/conditions", f="config.number = 9", children=True)["below"] == 1


def test_a_wrong_filter_is_told(studio: Served) -> None:
    assert studio.problem("/api/conditions", f="status =")[1]["title"] == "FilterError"
    assert studio.get("/api/conditions") == {"conditions": [], "below": 6}

"""What a call of `log` asks of the machine, counted: times differ from machine to machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.counted import COUNTING
from tests.fresh_python import run_python

pytestmark = pytest.mark.processes

LOGGED = (
    COUNTING
    + """
import runlore
ws = runlore.Workspace.create("lab")
bare = dict(outputs=False, snapshot_directory=None, capture="none")
run = runlore.Experiment(ws, "e").start_logging(**bare)
run.log("loss", 0.5)
loaded, open_before, before = set(sys.modules), descriptors(), dict(counts)
{log}
print(json.dumps({
    **{name: number - before[name] for name, number in counts.items()},
    "descriptors": descriptors() - open_before,
    "modules": sorted(set(sys.modules) - loaded),
}))
run.complete()
"""
)
NOTHING = {
    "syncs": 0,
    "statements": 0,
    "commits": 0,
    "connections": 0,
    "threads": 0,
    "descriptors": 0,
    "modules": [],
}


@pytest.mark.parametrize(
    "log",
    [
        "for step in range(1_000): run.log('loss', 0.5)",
        "for step in range(1_000): run.log('acc', 0.5, step=step)",
        "for number in range(1_000): run.log(f'loss/{number}', 0.5)",
        "for step in range(1_000): run.log_metrics({'a': 0.5, 'b': 0.5}, step)",
    ],
    ids=["value", "value-at-step", "new-name", "several"],
)
def test_a_thousand_values_ask_nothing_of_the_machine(log: str, tmp_path: Path) -> None:
    printed = run_python(LOGGED.replace("{log}", log), cwd=tmp_path)

    assert json.loads(printed) == NOTHING


def test_a_run_is_started_and_ended_in_few_commits(tmp_path: Path) -> None:
    printed = run_python(
        LOGGED.replace(
            "{log}",
            "one = runlore.Experiment(ws, 'e').start_logging(**bare)\n"
            "one.log('loss', 0.5)\n"
            "one.complete()",
        ),
        cwd=tmp_path,
    )

    counted = json.loads(printed)
    assert counted["commits"] == 2, counted
    assert counted["statements"] <= 40, counted
    assert counted["connections"] == counted["threads"] == counted["descriptors"] == 0, counted


OBJECTS = """
import gc, runlore
ws = runlore.Workspace.create("lab")
bare = dict(outputs=False, snapshot_directory=None, capture="none")
run = runlore.Experiment(ws, "e").start_logging(**bare)
run.log("loss", 0.5)
run.flush()
gc.collect()
before = len(gc.get_objects())
for number in range(5_000):
    run.log(f"loss/{number}", 0.5{step})
run.flush()
gc.collect()
print((len(gc.get_objects()) - before) / 5_000)
run.complete()
"""


@pytest.mark.parametrize("step", ["", ", step=number"], ids=["value", "value-at-step"])
def test_a_metric_of_one_value_leaves_few_objects_to_the_collector(
    step: str, tmp_path: Path
) -> None:
    printed = run_python(OBJECTS.replace("{step}", step), cwd=tmp_path)

    assert 0 < float(printed) < 4.5  # Its series, its channel with it in a tuple, its steps.

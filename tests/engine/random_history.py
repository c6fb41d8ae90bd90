"""A workspace to which things happen at random, through the SDK."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

from runlore import ComputeTarget, Experiment, Workspace
from runlore.domain.errors import RunloreError
from runlore.engine.runs import going_on
from runlore.run.run import handle_of

RUNS = tuple(f"r{number}" for number in range(6))


def happen(ws: Workspace, pick: random.Random, step: int) -> None:
    """One change of a workspace, whatever comes of it."""
    name = pick.choice(["e0", "e1"])
    active = ws.experiments.get(name)
    records = ws.get_run_records(include_children=True, include_archived=True)
    runs = [ws.get_run(record["run_id"]) for record in records]
    run = pick.choice(runs) if runs else None
    fresh = next((run_id for run_id in RUNS if run_id not in {one.id for one in runs}), None)
    if run is None or (fresh is not None and pick.random() < 0.25):
        if run is not None and pick.random() < 0.5:
            run.child_run(run_id=fresh)
        else:
            (active or Experiment(ws, name)).start_logging(
                run_id=fresh, outputs=False, snapshot_directory=None, tags={"a": "x"}
            )
        return
    handle = handle_of(run)
    changes: list[Callable[[], object]] = [
        lambda: run.tag(pick.choice("ab"), pick.choice(["x", "y", None])),
        lambda: run.remove_tags(["a"]),
        lambda: run.add_properties({"p": str(step)}),
        lambda: run.add_properties({"azureml.runsource": "hyperdrive"}),
        lambda: run.correct_property("p", f"{step} after all", reason="a slip"),
        lambda: run.log("loss", step / 7),
        lambda: run.log("acc", step / 7, step=step % 5),
        lambda: going_on.rewind(handle, pick.randrange(5)),
        lambda: going_on.resume(handle, "more epochs"),
        lambda: going_on.archive(handle) if pick.random() < 0.5 else going_on.reactivate(handle),
        lambda: going_on.add_config(handle, {"c": {pick.choice("ab"): step}}),
        lambda: going_on.correct_config(handle, "c.a", -step, "a slip"),
        lambda: run.log_row("table", x=step, y=f"{step}"),
        lambda: run.upload_file(f"logs/{step}.txt", __file__),
        lambda: setattr(run, "display_name", f"shown {step}"),
        lambda: setattr(run, "description", f"described {step}"),
        lambda: run.take_snapshot("source"),
        lambda: run.complete() if pick.random() < 0.5 else run.fail("because", "Why"),
        lambda: run.experiment.tag("stage", str(step)),
        lambda: run.experiment.archive() if pick.random() < 0.5 else run.experiment.reactivate(),
        lambda: ComputeTarget.attach(ws, "pool", slots=step + 1),
    ]
    with suppress(RunloreError):  # Refused: that is an event of a history, too.
        pick.choice(changes)()

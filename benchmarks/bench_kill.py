"""kill -9 at a random moment: are the values there whose `log()` had returned?

    python -m benchmarks.bench_kill [ROUNDS]

Every round is a fresh process (with threads, or with forked children that are killed with it), a
SIGKILL up to a second after its first value, and another fresh process that opens the workspace
and looks for every number that was acknowledged.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.acknowledged import counters
from benchmarks.fresh import Answer, fresh, kill, start
from benchmarks.harness import Result, exactly, line, scratch, sized
from benchmarks.victim import WRITERS
from runlore import Experiment, Workspace

PACES = {"1,000/s a writer": 1_000, "flat out": 0}


def run(rounds: int | None = None) -> Iterator[Result]:
    """Lost values, for each way to write and each pace."""
    rounds = rounds or sized(30, 2)
    rng = random.Random(0)
    for how in WRITERS:
        for pace, per_s in PACES.items():
            with scratch() as folder:
                answers = [one_round(folder, how, per_s, rng.random()) for _ in range(rounds)]
            total = {
                key: sum(answer[key] for answer in answers)
                for key in ("acknowledged", "lost", "repeated")
            }
            yield Result(
                f"values lost by kill -9, {how}, {pace}",
                total["lost"] + total["repeated"],
                None,
                "",
                "",
                rounds,
                (exactly(0),),
                f"of {total['acknowledged']:,} acknowledged in {rounds} rounds; "
                f"{total['repeated']} repeated",
            )


def one_round(folder: Path, how: str, per_s: float, wait_s: float) -> Answer:
    """Kills one process and its children, and has another one count."""
    with Workspace.create("bench", path=folder / "ws", exist_ok=True) as workspace:
        experiment = Experiment(workspace, "kill")
        run_id = experiment.start_logging(outputs=False, snapshot_directory=None).id
    path = folder / run_id
    acknowledged = counters(path)
    arguments = (folder / "ws", run_id, path, how, per_s)
    victim = start("benchmarks.victim", "log", *arguments)
    try:
        while not all(acknowledged[: WRITERS[how]]):
            assert victim.poll() is None, f"the victim ended by itself: {victim.returncode}"
            time.sleep(0.001)
        time.sleep(wait_s)
    finally:
        kill(victim)
    return fresh("benchmarks.victim", "count", *arguments)


if __name__ == "__main__":
    for result in run(int(sys.argv[1]) if len(sys.argv) > 1 else None):
        print(line(result), flush=True)

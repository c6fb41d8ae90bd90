"""A process that logs until it is killed, and one that counts what it left.

python -m benchmarks.victim log FOLDER RUN_ID COUNTERS HOW PER_S
python -m benchmarks.victim count FOLDER RUN_ID COUNTERS HOW PER_S
"""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.acknowledged import compare, counters, log_for_ever
from benchmarks.fresh import say
from runlore import Run, Workspace
from runlore.engine.runs.metric_reads import metrics_of
from runlore.run.run import handle_of

WRITERS: Final = {"one thread": 1, "4 threads": 4, "3 forks": 4}


def log(run: Run, acknowledged: memoryview, how: str, per_s: float) -> None:
    """Each writer has a metric and a counter of its own and logs the numbers from 0 on."""

    def writer(number: int) -> None:
        count = acknowledged[number : number + 1]
        log_for_ever(partial(run.log, f"metric_{number}"), count, per_s)

    for number in range(1, WRITERS[how]):
        if how == "3 forks":
            run.log("before the fork", number)
            if os.fork() == 0:
                writer(number)
        else:
            threading.Thread(target=writer, args=(number,), daemon=True).start()
    writer(0)


def count(run: Run, acknowledged: memoryview, how: str) -> None:
    """Says how many values there are, of which writers said how many."""
    metrics = metrics_of(handle_of(run))
    totals = {"acknowledged": 0, "lost": 0, "repeated": 0}
    for number in range(WRITERS[how]):
        name = f"metric_{number}"
        found = [float(value) for value in metrics[name].values] if name in metrics else []
        for key, figure in compare(found, acknowledged[number]).items():
            totals[key] += figure
    say(**totals)


def main(what: str, folder: str, run_id: str, path: str, how: str, per_s: str) -> None:
    workspace = Workspace.open(folder)
    run = workspace.get_run(run_id)
    if what == "log":
        log(run, counters(Path(path)), how, float(per_s))
    else:
        count(run, counters(Path(path)), how)
        workspace.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

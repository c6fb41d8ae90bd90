"""A trainer with four forked workers, as PyTorch's data loaders are.

    python -m tests.e2e.trainer FOLDER

It logs, queries (so it holds a projection), forks, says "forked" and waits to be killed. Each
worker waits for a byte on the shared standard input, logs and ends.
"""

from __future__ import annotations

import os
import signal
import sys

from runlore import Experiment, Workspace

WORKERS = 4


def main(folder: str) -> None:
    workspace = Workspace.open(folder)
    experiment = Experiment(workspace, "forks")
    run = experiment.start_logging(run_id="trained", outputs=False, snapshot_directory=None)
    run.log("loss", 1.0)
    run.flush()
    list(experiment.get_runs())
    for number in range(WORKERS):
        if os.fork() == 0:
            os.read(0, 1)
            run.log("worker", number)
            run.tag(f"worker-{number}", "done")
            run.flush()
            list(experiment.get_runs())
            os._exit(0)
    run.log("loss", 0.5)
    run.flush()
    os.write(1, b"forked\n")
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])

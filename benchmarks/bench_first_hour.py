"""The first hour beside mlflow and trackio: import, start, log, a table of many runs, the capture.

`python -m benchmarks.bench_first_hour [RUNS [BUDGET_S]]` prints one table (50,000 runs, 60 s). Each
peer runs in an environment of its own, one after the other in the same call; one that cannot make
so many runs in the budget is asked for a table of those that it has made; their number is shown.
The first table of runlore includes making its own tables from the log.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping

from benchmarks.fresh import Answer, Interpreter, WorkloadFailed, fresh
from benchmarks.peers.environments import PEERS, QUIET, CannotInstall

RUNS = 50_000
BUDGET_S = 60.0
COMPARED = ("runlore", "mlflow-sqlite", "trackio")
MODULE = "benchmarks.peers.first_hour"


def measured(
    name: str, runs: int, budget_s: float, variables: Mapping[str, str] | None = None
) -> Answer | str:
    """The figures of a peer, or why there are none."""
    [peer] = [peer for peer in PEERS if peer.name == name]
    try:
        python = peer.python
        with tempfile.TemporaryDirectory(prefix="first-hour-") as folder:
            # trackio asks for its folder when it is imported, which is timed before all else.
            mine = {**QUIET, "TRACKIO_DIR": f"{folder}/trackio", **(variables or {})}
            interpreter = Interpreter(python=python, variables=mine)
            return fresh(MODULE, name, folder, runs, budget_s, interpreter=interpreter)
    except (CannotInstall, WorkloadFailed) as error:
        return str(error).splitlines()[-1][:100]


def lines(runs: int, budget_s: float) -> Iterator[str]:
    """The table, line by line."""
    yield "| | import | start of a run | a logging call | a whole run | table of all | once more |"
    yield "|---|---|---|---|---|---|---|"
    for name in COMPARED:
        yield _line(name, measured(name, runs, budget_s))
    without = measured("runlore", min(runs, 100), budget_s, {"RUNLORE_CAPTURE": "none"})
    yield _line("runlore, RUNLORE_CAPTURE=none", without)


def _line(name: str, found: Answer | str) -> str:
    if isinstance(found, str):
        return f"| {name} | {found} | | | | | |"
    return (
        f"| {name} | {found['import_s'] * 1e3:,.0f} ms | {found['start_s'] * 1e3:,.1f} ms "
        f"| {found['log_s'] * 1e6:,.1f} µs | {found['make_s'] / found['made'] * 1e3:,.1f} ms "
        f"| {found['table_s']:.2f} s of {found['runs']:,} runs | {found['again_s']:.2f} s |"
    )


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    budget_s = float(sys.argv[2]) if len(sys.argv) > 2 else BUDGET_S
    print(f"{runs:,} runs, budget {budget_s:g} s, load {os.getloadavg()[0]:.1f}", flush=True)
    for line in lines(runs, budget_s):
        print(line, flush=True)


if __name__ == "__main__":
    main()

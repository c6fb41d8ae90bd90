"""What a newcomer waits for, run in a peer's own interpreter: `... PEER FOLDER RUNS BUDGET_S`.

Import, the start of a run, a logging call, and a table of all runs with their config and last
metrics, the first time and once more. The last line of the output is one JSON object. A peer that
cannot make so many runs within the budget is asked for a table of those that it has made; runlore
makes them all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from benchmarks.fresh import say
from benchmarks.peers.store import Store

STARTS = 10
CALLS = 2_000


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def main(peer: str, folder: str, runs: str, budget_s: str) -> None:
    name = {"mlflow-sqlite": "mlflow"}.get(peer, peer)
    import_s, _ = timed(lambda: __import__(name))

    from benchmarks.peers.operations import opened

    store = opened(peer, folder)
    store.start({}).end()
    starts = []
    for number in range(STARTS):
        start_s, run = timed(partial(store.start, {"n": str(number)}))
        starts.append(start_s)
        run.log("loss", 0.5, 0)
        run.end()
    run = store.start({})
    give_up_at = time.monotonic() + float(budget_s)
    calls = 0
    began = time.perf_counter()
    while calls < CALLS and time.monotonic() < give_up_at:
        run.log("loss", 1 / (calls + 1), calls)
        calls += 1
    log_s = (time.perf_counter() - began) / calls
    run.end()
    make_s, made = timed(lambda: _made(store, peer, int(runs), float(budget_s)))
    table_s, rows = timed(lambda: _table(store, peer))
    again_s, _ = timed(lambda: _table(store, peer))
    store.close()
    say(
        import_s=import_s,
        start_s=median(starts),
        log_s=log_s,
        runs=rows,
        made=made,
        make_s=make_s,
        table_s=table_s,
        again_s=again_s,
    )


def _made(store: Store, peer: str, count: int, budget_s: float) -> int:
    """Make runs with a tag and two metrics, as users make them, each ended before the next."""
    give_up_at = time.monotonic() + budget_s
    for number in range(count):
        if time.monotonic() > give_up_at and peer != "runlore":
            return number
        run = store.start({"n": str(number)})
        run.log_dict({"loss": 1 / (number + 1), "acc": number / count}, 0)
        run.end()
    return count


def _table(store: Any, peer: str) -> int:
    """The rows of the table that the peer's users get of all runs."""
    if peer == "runlore":
        return len(store.experiment.runs_table().fetchall())
    if peer.startswith("mlflow"):
        import mlflow

        found = mlflow.search_runs(search_all_experiments=True, max_results=50_000)
        return len(found)
    import trackio

    return sum(1 for run in trackio.Api().runs("bench") if run.config is not None)


if __name__ == "__main__":
    main(*sys.argv[1:])

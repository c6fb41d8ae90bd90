"""A day of slow logging: ten metrics, two steps a second, on a simulated clock.

Values carry the simulated time, and `flush()` is called when the background thread would write:
every 0.5 s in a young run, growing with 2 % of its age to 5 s. Every commit is real and synced.
What the thread itself writes in the meantime, in real time, comes on top.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator
from functools import partial

from benchmarks.fresh import fresh, median_of, say
from benchmarks.harness import Result, at_most, scratch, sized
from benchmarks.workloads import METRICS, noisy, opened

STEPS_PER_S = 2
workload = partial(fresh, "benchmarks.workloads")


def run() -> Iterator[Result]:
    """Events, bytes per point, and one of the ten series read back."""
    hours = sized(24, 1)
    with scratch() as folder:
        run_id = fresh("benchmarks.bench_slow", folder / "ws", hours)["run_id"]
        with sqlite3.connect(folder / "ws" / "log.sqlite") as connection:
            [[events]] = connection.execute("SELECT count(*) FROM stored_events")
        connection.close()
        size = sum(file.stat().st_size for file in (folder / "ws").glob("log.sqlite*"))
        steps = hours * 3600 * STEPS_PER_S
        what = f"{len(METRICS)} metrics x {STEPS_PER_S} steps/s x {hours} h"
        yield Result(f"{what}: events", events, None, "", "events", 1, (at_most(20_000),))
        per_point = size / steps / len(METRICS)
        yield Result(f"{what}: on disk, per point", per_point, None, "", "bytes", 1, (at_most(20),))
        warm = workload("one_metric", folder / "ws", 1)["run_id"]
        reads = [workload("read", folder / "ws", run_id, warm, METRICS[0]) for _ in range(5)]
        files = [workload("read_file", folder, steps) for _ in range(5)]
    assert {answer["count"] for answer in reads} == {steps}
    yield Result(
        f"{what}: one series of {steps:,} points read back",
        median_of(reads, "read_ms"),
        median_of(files, "read_ms"),
        "numpy.load of three such columns",
        "ms",
        5,
        (at_most(50),),
    )


def simulate(folder: str, hours: str) -> None:
    """Logs for so many hours of a clock that only this function moves."""
    began = now = 1_800_000_000_000_000_000

    def simulated() -> int:
        return now

    vars(time)["time_ns"] = simulated  # Before runlore is imported, which may keep hold of it.
    workspace, run = opened(folder)
    values = noisy(10_000)
    started = time.monotonic()
    flushed = began
    for step in range(int(float(hours) * 3600 * STEPS_PER_S)):
        now = began + step * 1_000_000_000 // STEPS_PER_S
        at = step * len(METRICS) % len(values)
        run.log_metrics(dict(zip(METRICS, values[at : at + len(METRICS)], strict=True)))
        age_s = (now - began) / 1e9
        if now - flushed >= min(5.0, max(0.5, age_s * 0.02)) * 1e9:
            run.flush()
            flushed = now
    run.complete()
    workspace.close()
    say(started=started, run_id=run.id)


if __name__ == "__main__":
    simulate(*sys.argv[1:])

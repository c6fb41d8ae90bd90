"""`run.log` in a training loop, beside the bare Python body that it cannot be cheaper than.

1,000,000 calls with a float, in fresh processes that take turns; runlore's background work runs
beside its calls and so is in its figures. The mean is of a loop that never looks at the clock,
p99 and the longest call are of a second loop that does so around every call.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial

from benchmarks.fresh import Answer, fresh, median_of
from benchmarks.harness import (
    Goal,
    Result,
    at_most,
    at_most_times,
    scratch,
    sized,
)

BODY = "method, dict look-up, float(), time_ns, append"
REPEAT = 3
workload = partial(fresh, "benchmarks.workloads")


def run() -> Iterator[Result]:
    """Mean, p99 and the longest stall."""
    calls = sized(1_000_000)
    ours: list[Answer] = []
    bare: list[Answer] = []
    for _ in range(REPEAT):
        with scratch() as folder:
            bare.append(workload("bare", folder, calls))
            ours.append(workload("log", folder / "ws", calls))

    def beside(what: str, key: str, unit: str, *goals: Goal) -> Result:
        mine, theirs = median_of(ours, key), median_of(bare, key)
        return Result(f"{what}, {calls:,} calls", mine, theirs, BODY, unit, REPEAT, goals)

    yield beside(
        "run.log(name, float), mean per call", "mean_us", "µs", at_most(1), at_most_times(3)
    )
    yield beside("run.log(name, float), p99", "p99_us", "µs", at_most(10), at_most_times(30))
    yield beside("run.log(name, float), longest call", "longest_ms", "ms")
    beyond = statistics.median(
        max(0.0, mine["longest_ms"] - theirs["longest_ms"])
        for mine, theirs in zip(ours, bare, strict=True)
    )
    yield Result(
        "run.log, longest call beyond that of the bare body",
        beyond,
        None,
        "",
        "ms",
        REPEAT,
        (at_most(20),),
    )

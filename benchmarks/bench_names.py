"""Very many metrics in one run: what the first `run.log` of a name takes, and reading all back.

100,000 names with a value each, in fresh processes that take turns. Figures are processor time: of
the calling thread for a name, of all threads for `get_metrics()`. `python -m benchmarks names`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.fresh import Answer, fresh, median_of
from benchmarks.harness import Result, at_most, scratch, sized

workload = partial(fresh, "benchmarks.workloads")


def run() -> Iterator[Result]:
    """A new name, and the reading of all."""
    names, rounds = sized(100_000), sized(5, 1)
    ours: list[Answer] = []
    bare: list[Answer] = []
    read: list[Answer] = []
    read_bare: list[Answer] = []
    for _ in range(rounds):
        with scratch() as folder:
            ours.append(workload("names", folder / "ws", names))
            bare.append(workload("bare_names", folder / "names.json", names))
            read.append(workload("read_names", folder / "ws", ours[-1]["run"]))
            read_bare.append(workload("read_bare_names", folder / "names.json"))
    yield Result(
        f"first run.log of a metric, mean of {names:,}",
        median_of(ours, "name_us"),
        median_of(bare, "name_us"),
        "a list in a dict",
        "µs",
        rounds,
        (at_most(50),),
    )
    yield Result(
        f"get_metrics() of {median_of(read, 'count'):,.0f} series of a value",
        median_of(read, "read_s"),
        median_of(read_bare, "read_s"),
        "the same from JSON",
        "s",
        rounds,
        (at_most(2),),
    )

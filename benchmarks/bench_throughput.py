"""Whole processes that log and end, bytes on disk, memory, and reading back.

Rates are points divided by the time from the first call until the values are durable and the
process is gone: `complete()`, closing the workspace and the interpreter's exit are in it; start,
imports, opening the workspace and starting the run are not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.fresh import LIMIT_S, Answer, WorkloadFailed, finish, fresh, median_of, start
from benchmarks.harness import Goal, Result, at_least, at_most, exactly, scratch, sized
from runlore import Experiment, Run, Workspace
from runlore.engine.runs.metric_reads import metrics_of
from runlore.run.run import handle_of

REPEAT = 5
PROCESSES = 4
MODULE = "benchmarks.workloads"
BARE = "the bare Python body in a process"
workload = partial(fresh, MODULE)


def run() -> Iterator[Result]:
    """Each beside what does the least in the same form."""
    points = sized(1_000_000)
    yield rate("run.log of one metric", "one_metric", "bare_metric", BARE, points, at_least(600e3))
    yield rate(
        "run.log_metrics of ten metrics", "dicts", "bare_dicts", BARE, 2 * points, at_least(2e6)
    )
    yield rate("run.log_row of ten columns", "rows", "bare_dicts", BARE, 2 * points, at_least(2e6))
    yield rate(
        "run.log_batch of arrays of 10,000",
        "batches",
        "file",
        "write() of the arrays to a file, one fsync",
        5 * points,
        at_least(5e6),
    )
    yield from beside_others("own runs", points // 2, at_least(800e3))
    yield from beside_others("one run", points // 2, at_least(600e3))
    yield from on_disk(points)
    yield from reading(sized(100_000))
    yield memory(points)


def rate(
    what: str, ours: str, baseline: str, baseline_what: str, points: int, goal: Goal
) -> Result:
    """Points a second of a whole process, in turns with the baseline's."""
    took: list[tuple[float, float]] = []
    for _ in range(REPEAT):
        with scratch() as folder:
            mine = workload(ours, folder / "ws", points)
            theirs = workload(baseline, folder, points)
            took.append((mine.whole_s, theirs.whole_s))
            check(folder / "ws", [mine["run_id"]], points)
    return Result(
        f"{what}, until durable and exit, {points:,} points",
        points / statistics.median(mine for mine, _ in took),
        points / statistics.median(theirs for _, theirs in took),
        baseline_what,
        "points/s",
        REPEAT,
        (goal,),
    )


def check(folder: Path, run_ids: list[str], points: int) -> None:
    """The runs must have all points that were logged. Raises WorkloadFailed."""
    with Workspace.open(folder) as workspace:
        found = sum(stored(workspace.get_run(run_id)) for run_id in run_ids)
    if found != points:
        raise WorkloadFailed(f"{points:,} points were logged, {found:,} are there")


def stored(run: Run) -> int:
    """How many numbers a run has, rows counted by their columns."""
    return sum(len(metric) * len(metric.columns) for metric in metrics_of(handle_of(run)).values())


def beside_others(which: str, share: int, goal: Goal) -> Iterator[Result]:
    """Four processes that begin at the same moment; rate, then errors, then missing points."""
    points = PROCESSES * share
    rates: list[float] = []
    errors = missing = 0
    for _ in range(3):
        with scratch() as folder:
            run_id = ""
            if which == "one run":
                with Workspace.create("bench", path=folder / "ws") as workspace:
                    run_id = new_run(workspace).id
            took, run_ids, failed = at_once(folder / "ws", share, run_id)
            rates.append(points / took)
            errors += failed
            missing += points - numbered(folder / "ws", run_ids, points)
    what = f"{PROCESSES} processes, {which}"
    yield Result(
        f"{what}, until durable and exit, {points:,} points",
        statistics.median(rates),
        None,
        "",
        "points/s",
        3,
        (goal,),
    )
    yield Result(f"{what}: processes that failed", errors, None, "", "", 3, (exactly(0),))
    yield Result(f"{what}: points missing", missing, None, "", "", 3, (exactly(0),))


def at_once(folder: Path, share: int, run_id: str) -> tuple[float, set[str], int]:
    """Seconds from the signal to begin until the last process is gone, the runs, the failures."""
    with Workspace.create("bench", path=folder, exist_ok=True) as workspace:
        Experiment(workspace, "bench")
    processes = [
        start(MODULE, "beside_others", folder, share, number, run_id) for number in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
    began = time.monotonic()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.wait(LIMIT_S)
    took = time.monotonic() - began
    run_ids = set()
    failed = 0
    for process in processes:
        if process.returncode:
            failed += 1
        else:
            run_ids.add(finish(process)["run_id"])
    return took, run_ids, failed


def numbered(folder: Path, run_ids: set[str], points: int) -> int:
    """How many of the numbered values are there."""
    with Workspace.open(folder) as workspace:
        found = {
            value for run_id in run_ids for value in workspace.get_run(run_id).values("loss").values
        }
    return len(found & set(map(float, range(points))))


def new_run(workspace: Workspace) -> Run:
    return Experiment(workspace, "bench").start_logging(outputs=False, snapshot_directory=None)


def on_disk(points: int) -> Iterator[Result]:
    """Bytes of the log per point of full-mantissa floats; a point has step, time and value."""
    with scratch() as folder:
        workload("one_metric", folder / "ws", points)
        size = sum(file.stat().st_size for file in (folder / "ws").glob("log.sqlite*"))
        yield Result(
            f"the log on disk, per point of noisy float64, {points:,} points",
            size / points,
            24,
            "step, time and value as int64, int64, float64",
            "bytes",
            1,
            (at_most(12),),
        )


def reading(points: int) -> Iterator[Result]:
    """One series in a fresh process, imports done; then what opening the workspace adds."""
    answers: list[Answer] = []
    files: list[Answer] = []
    with scratch() as folder:
        run_id = workload("one_metric", folder / "ws", points)["run_id"]
        warm = workload("one_metric", folder / "ws", 1)["run_id"]
        for _ in range(7):
            answers.append(workload("read", folder / "ws", run_id, warm, "loss"))
            files.append(workload("read_file", folder, points))
    assert {answer["count"] for answer in answers} == {points}
    yield Result(
        f"get_run(id).values(name) in a fresh process, {points:,} points",
        median_of(answers, "read_ms"),
        median_of(files, "read_ms"),
        "numpy.load of three such columns",
        "ms",
        7,
        (at_most(10),),
    )
    yield Result(
        "Workspace.open in a process that has imported runlore",
        median_of(answers, "open_ms"),
        None,
        "",
        "ms",
        7,
    )


def memory(points: int) -> Result:
    """The peak in RAM of a process that logs, less that of bare Python with the same loop."""
    peaks: list[float] = []
    for _ in range(3):
        with scratch() as folder:
            ours = workload("memory", folder / "ws", points)["peak_bytes"]
            bare = workload("bare_memory", folder, points)["peak_bytes"]
            peaks.append((ours - bare) / 1e6)
    return Result(
        f"a writer's peak memory over bare Python's, {points:,} calls",
        statistics.median(peaks),
        None,
        "",
        "MB",
        3,
        (at_most(40),),
    )

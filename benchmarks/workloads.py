"""What the benchmarks' fresh processes do: `python -m benchmarks.workloads NAME [ARGUMENT ...]`.

Imports, opening the workspace, starting the run and making the data come before `started`, if the
docstring does not say otherwise.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.fresh import peak_bytes, say

if TYPE_CHECKING:
    from runlore import Run, Workspace

METRICS: Final = tuple(f"metric_{number}" for number in range(10))
BATCH: Final = 10_000


class BareBody:
    """The least that a logging call can do in Python."""

    def __init__(self) -> None:
        self._series: dict[str, list[tuple[int, float]]] = {name: [] for name in ("loss", *METRICS)}

    def log(self, name: str, value: float) -> None:
        self._series[name].append((time.time_ns(), float(value)))


def noisy(count: int) -> list[float]:
    """Full-mantissa float64, the same every time."""
    rng = random.Random(0)
    return [rng.random() for _ in range(count)]


def opened(folder: str, run_id: str | None = None) -> tuple[Workspace, Run]:
    """The workspace and a run in it: a new one, or that of the id."""
    from runlore import Experiment, Workspace

    workspace = Workspace.create("bench", path=folder, exist_ok=True)
    if run_id is not None:
        return workspace, workspace.get_run(run_id)
    experiment = Experiment(workspace, "bench")
    return workspace, experiment.start_logging(outputs=False, snapshot_directory=None)


def call_all(log: Callable[[str, float], None], values: Sequence[float]) -> float:
    """The seconds that logging the values takes, without a look at the clock in between."""
    started = time.perf_counter()
    for value in values:
        log("loss", value)
    return time.perf_counter() - started


def call_each(log: Callable[[str, float], None], values: Sequence[float]) -> array[int]:
    """The nanoseconds of every call, the clock's own included."""
    took = array("q", bytes(8 * len(values)))
    clock = time.perf_counter_ns
    for place, value in enumerate(values):
        before = clock()
        log("loss", value)
        took[place] = clock() - before
    return took


def bare(folder: str, count: str) -> None:
    """The bare body: mean, then p99 and longest call."""
    values = noisy(int(count))
    body = BareBody()
    started = time.monotonic()
    mean = call_all(body.log, values) / len(values)
    say(started=started, mean_us=mean * 1e6, **spread(call_each(BareBody().log, values)))


def log(folder: str, count: str) -> None:
    """`run.log`: mean, then p99 and longest call in a run of its own; background work included."""
    values = noisy(int(count))
    workspace, run = opened(folder)
    started = time.monotonic()
    mean = call_all(run.log, values) / len(values)
    run.complete()
    _, second = opened(folder)
    each = spread(call_each(second.log, values))
    second.complete()
    workspace.close()
    say(started=started, mean_us=mean * 1e6, **each)


def spread(took: array[int]) -> dict[str, float]:
    """p99 in microseconds and the longest in milliseconds."""
    ordered = sorted(took)
    return {"p99_us": ordered[len(ordered) * 99 // 100] / 1e3, "longest_ms": ordered[-1] / 1e6}


def one_metric(folder: str, count: str) -> None:
    """One metric, value by value."""
    values = noisy(int(count))
    workspace, run = opened(folder)
    started = time.monotonic()
    for value in values:
        run.log("loss", value)
    end(workspace, run, started)


def dicts(folder: str, count: str) -> None:
    """`log_metrics` of ten metrics; `count` points, a tenth as many calls."""
    rows = [dict(zip(METRICS, row, strict=True)) for row in rows_of_ten(int(count))]
    workspace, run = opened(folder)
    started = time.monotonic()
    for row in rows:
        run.log_metrics(row)
    end(workspace, run, started)


def rows(folder: str, count: str) -> None:
    """`log_row` of ten columns; `count` points, a tenth as many calls."""
    rows = [dict(zip(METRICS, row, strict=True)) for row in rows_of_ten(int(count))]
    workspace, run = opened(folder)
    started = time.monotonic()
    for row in rows:
        run.log_row("table", None, **row)
    end(workspace, run, started)


def bare_dicts(folder: str, count: str) -> None:
    """The bare body for each of ten metrics."""
    rows = [dict(zip(METRICS, row, strict=True)) for row in rows_of_ten(int(count))]
    body = BareBody()
    started = time.monotonic()
    for row in rows:
        for name, value in row.items():
            body.log(name, value)
    say(started=started)


def rows_of_ten(count: int) -> list[list[float]]:
    values = noisy(count)
    return [values[at : at + 10] for at in range(0, count - 9, 10)]


def batches(folder: str, count: str) -> None:
    """`log_batch` with numpy arrays of 10,000 values."""
    import numpy as np

    arrays = np.array(noisy(int(count))).reshape(-1, min(BATCH, int(count)))
    workspace, run = opened(folder)
    started = time.monotonic()
    for values in arrays:
        run.log_batch("loss", values)
    end(workspace, run, started)


def file(folder: str, count: str) -> None:
    """The same arrays appended to one file as they are, synced at the end."""
    import numpy as np

    arrays = np.array(noisy(int(count))).reshape(-1, min(BATCH, int(count)))
    with open(Path(folder, "values.bin"), "wb", buffering=0) as target:
        started = time.monotonic()
        for values in arrays:
            target.write(values.tobytes())
        os.fsync(target.fileno())
    say(started=started)


def bare_metric(folder: str, count: str) -> None:
    """The bare body, value by value."""
    values = noisy(int(count))
    body = BareBody()
    started = time.monotonic()
    for value in values:
        body.log("loss", value)
    say(started=started)


def end(workspace: Workspace, run: Run, started: float) -> None:
    """Completes the run, closes the workspace, and says so."""
    run.complete()
    workspace.close()
    say(started=started, run_id=run.id)


def beside_others(folder: str, count: str, number: str, run_id: str) -> None:
    """Logs its own share when told to, into a run of its own or (`run_id`) one of all.

    Values are numbered through all processes, so that each can be looked for afterwards.
    """
    share = int(count)
    values = [float(int(number) * share + place) for place in range(share)]
    workspace, run = opened(folder, run_id or None)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    for value in values:
        run.log("loss", value)
    if run_id:
        run.flush()
    else:
        run.complete()
    workspace.close()
    say(started=started, run_id=run.id)


def memory(folder: str, count: str) -> None:
    """Logs values that are made on the way and kept nowhere; says its peak memory."""
    started = time.monotonic()
    rng = random.Random(0)
    workspace, run = opened(folder)
    for _ in range(int(count)):
        run.log("loss", rng.random())
    run.complete()
    workspace.close()
    say(started=started, peak_bytes=peak_bytes())


def bare_memory(folder: str, count: str) -> None:
    """The same loop without logging, and without runlore."""
    started = time.monotonic()
    rng = random.Random(0)
    for _ in range(int(count)):
        rng.random()
    say(started=started, peak_bytes=peak_bytes())


def read(folder: str, run_id: str, warm_run_id: str, name: str) -> None:
    """Opens the workspace and reads a series; another run's, of `one_metric`, did the imports."""
    from runlore import Workspace

    with Workspace.open(folder) as other:
        other.get_run(warm_run_id).values("loss")
        other.get_run(warm_run_id).values("loss", max_points=10)  # The imports of long series.
    started = time.monotonic()
    workspace = Workspace.open(folder)
    opening = time.monotonic() - started
    before = time.perf_counter()
    values = workspace.get_run(run_id).values(name).values
    took = time.perf_counter() - before
    say(started=started, open_ms=opening * 1e3, read_ms=took * 1e3, count=len(values))


def read_file(folder: str, count: str) -> None:
    """Reads the same number of steps, times and values with numpy from one file."""
    import numpy as np

    path = Path(folder, "series.npy")
    np.save(path, np.array(noisy(3 * int(count))).reshape(3, -1))
    np.load(path)
    started = time.monotonic()
    before = time.perf_counter()
    values = np.load(path)
    say(started=started, read_ms=(time.perf_counter() - before) * 1e3, count=values.shape[1])


def starts(folder: str, count: str) -> None:
    """Starts and completes runs, one after the other."""
    from runlore import Experiment, Workspace

    workspace = Workspace.create("bench", path=folder, exist_ok=True)
    experiment = Experiment(workspace, "bench")
    started = time.monotonic()
    for _ in range(int(count)):
        experiment.start_logging(outputs=False, snapshot_directory=None).complete()
    workspace.close()
    say(started=started)


def names(folder: str, count: str) -> None:
    """One value of each of many metrics; processor time of this thread."""
    workspace, run = opened(folder)
    run.log("before", 0.0)
    wanted = [f"metric-{number}" for number in range(int(count))]
    started = time.monotonic()
    before = time.thread_time()
    for name in wanted:
        run.log(name, 0.5)
    used_s = time.thread_time() - before
    workspace.close()
    say(started=started, run=run.id, name_us=used_s / int(count) * 1e6)


def bare_names(folder: str, count: str) -> None:
    """A list in a dict for each name, then all of them in a JSON file."""
    held: dict[str, list[tuple[int, float]]] = {}
    wanted = [f"metric-{number}" for number in range(int(count))]
    started = time.monotonic()
    before = time.thread_time()
    for name in wanted:
        held.setdefault(name, []).append((time.time_ns(), 0.5))
    used_s = time.thread_time() - before
    Path(folder).write_text(json.dumps(held), encoding="utf-8")
    say(started=started, name_us=used_s / int(count) * 1e6)


def read_names(folder: str, run_id: str) -> None:
    """All metrics of a run; processor time of the process."""
    workspace, run = opened(folder, run_id)
    started = time.monotonic()
    before = time.process_time()
    count = len(run.get_metrics())
    used_s = time.process_time() - before
    workspace.close()
    say(started=started, read_s=used_s, count=count)


def read_bare_names(path: str) -> None:
    """The JSON file of `bare_names`."""
    started = time.monotonic()
    before = time.process_time()
    count = len(json.loads(Path(path).read_text(encoding="utf-8")))
    say(started=started, read_s=time.process_time() - before, count=count)


ALL: Final[Mapping[str, Callable[..., None]]] = {
    "bare": bare,
    "bare_dicts": bare_dicts,
    "bare_memory": bare_memory,
    "bare_metric": bare_metric,
    "bare_names": bare_names,
    "batches": batches,
    "beside_others": beside_others,
    "dicts": dicts,
    "file": file,
    "log": log,
    "memory": memory,
    "names": names,
    "one_metric": one_metric,
    "read": read,
    "read_bare_names": read_bare_names,
    "read_file": read_file,
    "read_names": read_names,
    "rows": rows,
    "starts": starts,
}

if __name__ == "__main__":
    ALL[sys.argv[1]](*sys.argv[2:])

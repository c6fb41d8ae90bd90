"""What is measured, run in a peer's own interpreter: `python -m ... STORE OPERATION FOLDER ...`.

The last line of the output is one JSON object. Nothing here knows which tracker it drives, and
nothing but the standard library is imported before the tracker is.
"""

from __future__ import annotations

import importlib
import random
import sys
import time
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.acknowledged import compare, counters, log_for_ever
from benchmarks.fresh import folder_bytes, peak_bytes, say
from benchmarks.peers.store import NotOffered, OpenRun, Store

STORES: Final = {
    "runlore": "runlore:RunloreStore",
    "list": "limits:ListStore",
    "write": "limits:WriteStore",
    "mlflow-sqlite": "mlflow:MlflowStore",
    "mlflow-file": "mlflow:MlflowFileStore",
    "aim": "aim:AimStore",
    "trackio": "trackio:TrackioStore",
    "tensorboardX": "tensorboardx:TensorboardStore",
}
METRICS: Final = tuple(f"metric_{number}" for number in range(10))
LOOK_EVERY: Final = 100
WANTED: Final = 20
SERIES: Final = 100_000


def opened(name: str, folder: str) -> Store:
    module, kind = STORES[name].split(":")
    store: Store = getattr(importlib.import_module(f"benchmarks.peers.stores.{module}"), kind)(
        Path(folder)
    )
    return store


def prepare(store: Store) -> None:
    """Opens the store for the first time, so that what is made once is not measured later."""
    store.start({}).end()
    store.close()
    say()


def call(store: Store, count: str, budget_s: str) -> None:
    """Time of single calls in a loop, the clock's own included."""
    rng = random.Random(0)
    values = [rng.random() for _ in range(int(count))]
    run = store.start({})
    log, clock = run.log, time.perf_counter_ns
    took = array("q")
    last = time.monotonic() + float(budget_s)
    for step, value in enumerate(values):
        before = clock()
        log("loss", value, step)
        took.append(clock() - before)
        if time.monotonic() > last:
            break
    run.end()
    store.close()
    ordered = sorted(took)
    say(
        count=len(took),
        mean_us=sum(took) / len(took) / 1e3,
        p99_us=ordered[len(ordered) * 99 // 100] / 1e3,
        longest_ms=ordered[-1] / 1e6,
    )


def log(store: Store, count: str, budget_s: str) -> None:
    """One metric, value by value, until the run has ended; the budget may end it earlier."""
    values = numbers(count)
    run = store.start({})
    started = time.monotonic()
    last = started + float(budget_s)
    logged = len(values)
    for step, value in enumerate(values):
        run.log("loss", value, step)
        if step % LOOK_EVERY == 0 and time.monotonic() > last:
            logged = step + 1
            break
    ended(store, run, started, logged)


def dicts(store: Store, count: str, budget_s: str) -> None:
    """Ten metrics a step; `count` values in all."""
    values = numbers(count)
    rows = [
        dict(zip(METRICS, values[at : at + 10], strict=True))
        for at in range(0, len(values) - 9, 10)
    ]
    run = store.start({})
    started = time.monotonic()
    last = started + float(budget_s)
    logged = 10 * len(rows)
    for step, row in enumerate(rows):
        run.log_dict(row, step)
        if step % LOOK_EVERY == 0 and time.monotonic() > last:
            logged = 10 * (step + 1)
            break
    ended(store, run, started, logged)


def series(store: Store, count: str, budget_s: str) -> None:
    """One metric in the fastest way offered, in parts of 10,000."""
    values = numbers(count)
    run = store.start({})
    started = time.monotonic()
    last = started + float(budget_s)
    logged = 0
    while logged < len(values) and time.monotonic() < last:
        run.log_series("loss", values[logged : logged + 10_000])
        logged = min(logged + 10_000, len(values))
    ended(store, run, started, logged)


def numbers(count: str) -> list[float]:
    """Different values with full mantissas, as noise has."""
    rng = random.Random(0)
    return [number + rng.random() for number in range(int(count))]


def ended(store: Store, run: OpenRun, started: float, logged: int) -> None:
    run.end()
    store.close()
    say(started=started, run_id=run.id, count=logged, peak_bytes=peak_bytes())


def starts(store: Store, count: str, budget_s: str) -> None:
    """Runs that start and end."""
    started = time.monotonic()
    made = 0
    while made < int(count) and time.monotonic() < started + float(budget_s):
        store.start({}).end()
        made += 1
    took = time.monotonic() - started
    store.close()
    say(count=made, ms=took / made * 1e3)


def read(store: Store, run_id: str, name: str) -> None:
    """A series of another process; the store is open and one read has loaded what it imports."""
    store.settle()
    store.read("no-such-run", name)
    before = time.perf_counter()
    values = store.read(run_id, name)
    took = time.perf_counter() - before
    store.close()
    say(count=len(values), ms=took * 1e3)


def tags(store: Store, count: str, budget_s: str) -> None:
    """Makes runs of one value, every hundredth with a tag, and finds those; the median of five."""
    store.tagged("wanted", "yes")  # Raises if it cannot.
    last = time.monotonic() + float(budget_s)
    made = wanted = 0
    while made < int(count) and time.monotonic() < last:
        yes = made % 100 == 0
        run = store.start({"wanted": "yes" if yes else "no"})
        run.log("loss", 0.5, 0)  # Some keep no trace of a run without values.
        run.end()
        made += 1
        wanted += yes
    store.settle()
    took = []
    for _ in range(5):
        before = time.perf_counter()
        found = store.tagged("wanted", "yes")
        took.append(time.perf_counter() - before)
    store.close()
    say(count=made, wanted=wanted, found=found, ms=sorted(took)[2] * 1e3)


def children(store: Store, count: str) -> None:
    """Makes children of one parent."""
    before = time.perf_counter()
    store.make_children(int(count))
    took = time.perf_counter() - before
    store.close()
    say(count=int(count), ms=took * 1e3)


def kill(store: Store, path: str, per_s: str) -> None:
    """Logs until somebody kills this process; says the run's id first."""
    run = store.start({})
    say(run_id=run.id)
    log_for_ever(
        lambda value: run.log("loss", value, int(value)), counters(Path(path)), float(per_s)
    )


def count(store: Store, run_id: str, path: str) -> None:
    """Compares what is there with what was acknowledged."""
    store.settle()
    found = [float(value) for value in store.read(run_id, "loss")]
    store.close()
    say(**compare(found, counters(Path(path))[0]))


def grow_runs(store: Store, sizes: str, budget_s: str) -> None:
    """Adds runs of one value; at each size says what starting, logging and finding cost."""
    last = time.monotonic() + float(budget_s)
    made = 0
    for size in map(int, sizes.split(",")):
        while made < size:
            run = store.start({"wanted": "yes" if made < WANTED else "no"})
            run.log("loss", 0.5, 0)
            run.end()
            made += 1
            if made < size and time.monotonic() > last:
                say(stopped=f"after {budget_s} s, at {made:,} of {size:,} runs")
                return
        say(
            size=size,
            start_ms=start_ms(store),
            log_us=log_us(store),
            search_ms=search_ms(store),
            disk_mb=disk_mb(),
        )
    store.close()


def grow_points(store: Store, sizes: str, budget_s: str) -> None:
    """Adds runs of one series each; at each size says what starting, logging and reading cost."""
    last = time.monotonic() + float(budget_s)
    made = 0
    for size in map(int, sizes.split(",")):
        while made < size:
            run = store.start({})
            count = min(SERIES, size - made)
            run.log_series("loss", [number + 0.1 for number in range(count)])
            run.end()
            made += count
            if made < size and time.monotonic() > last:
                say(stopped=f"after {budget_s} s, at {made:,} of {size:,} points")
                return
        store.settle()
        took = [seconds(lambda run=run: store.read(run.id, "loss")) for _ in range(3)]  # type: ignore[misc]  # binds it now
        per_point = sorted(took)[1] / count
        say(
            size=size,
            start_ms=start_ms(store),
            log_us=log_us(store),
            read_ms=per_point * 100_000 * 1e3,
            disk_mb=disk_mb(),
        )
    store.close()


def start_ms(store: Store) -> float:
    return sorted(seconds(lambda: store.start({}).end()) for _ in range(5))[2] * 1e3


def log_us(store: Store) -> float:
    """The mean of so many calls as a fifth of a second holds."""
    run = store.start({})
    done = 0
    started = time.perf_counter()
    while (took := time.perf_counter() - started) < 0.2:
        run.log("loss", 0.5, done)
        done += 1
    run.end()
    return took / done * 1e6


def search_ms(store: Store) -> float | None:
    """Finding the few wanted runs; None if the tracker has no search."""
    store.settle()
    try:
        return sorted(seconds(lambda: store.tagged("wanted", "yes")) for _ in range(5))[2] * 1e3
    except NotOffered:
        return None


def disk_mb() -> float:
    """Of the folder that the process was started in, which is the store's."""
    return folder_bytes(Path.cwd()) / 1e6


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def bare() -> None:
    """The memory of an interpreter that holds the values and knows no tracker."""
    held = numbers(sys.argv[4])
    say(peak_bytes=peak_bytes(), count=len(held))


ALL: Final[Mapping[str, Callable[..., None]]] = {
    "call": call,
    "children": children,
    "count": count,
    "dicts": dicts,
    "grow_points": grow_points,
    "grow_runs": grow_runs,
    "kill": kill,
    "log": log,
    "prepare": prepare,
    "read": read,
    "series": series,
    "starts": starts,
    "tags": tags,
}


def main(name: str, operation: str, folder: str, *arguments: str) -> None:
    if operation == "bare":
        bare()
        return
    try:
        ALL[operation](opened(name, folder), *arguments)
    except NotOffered as error:
        say(not_run=str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])

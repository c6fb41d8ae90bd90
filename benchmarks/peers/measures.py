"""Asks one peer for everything; what fails or does not exist is kept as the reason."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import syncs
from benchmarks.acknowledged import counters
from benchmarks.fresh import (
    Answer,
    Interpreter,
    WorkloadFailed,
    folder_bytes,
    fresh,
    kill,
    start,
)
from benchmarks.peers.environments import QUIET, CannotInstall, Peer

MODULE: Final = "benchmarks.peers.operations"


@dataclass(frozen=True)
class Sizes:
    """How much is asked for, and after how many seconds a slow peer may stop."""

    points: int
    calls: int
    runs: int
    starts: int
    children: int
    budget_s: float
    kills: int
    repeat: int


FULL: Final = Sizes(1_000_000, 100_000, 2_000, 200, 1_000, 15, 10, 3)
QUICK: Final = Sizes(20_000, 2_000, 100, 10, 20, 2, 2, 1)


@dataclass(frozen=True)
class Figure:
    """One cell: a number in a unit, or why there is none; `note` says of what size."""

    quantity: str
    value: float | None
    note: str = ""


@dataclass(frozen=True)
class Quantity:
    """A row of the table."""

    key: str
    what: str
    unit: str
    larger_is_better: bool = False
    compared: bool = True


QUANTITIES: Final = (
    Quantity("import", "import, less the interpreter's start", "ms"),
    Quantity("mean", "log one value, mean", "µs"),
    Quantity("p99", "log one value, p99", "µs"),
    Quantity("longest", "log one value, longest", "ms"),
    Quantity("log", "one metric until run end and process exit", "points/s", True),
    Quantity("dicts", "ten metrics a step until run end and exit", "points/s", True),
    Quantity("series", "one metric the fastest way until run end and exit", "points/s", True),
    Quantity("missing", "values missing after a clean end", "", compared=False),
    Quantity("kill_paced", "acknowledged values lost by kill -9, 1,000/s", "%", compared=False),
    Quantity("kill_flat", "acknowledged values lost by kill -9, flat out", "%", compared=False),
    Quantity("syncs", "sync calls of a process that logs 100 values", "", compared=False),
    Quantity("starts", "start and end a run", "ms"),
    Quantity("read", "read the series back, per 100,000 points", "ms"),
    Quantity("disk", "on disk, per point", "bytes"),
    Quantity("memory", "peak memory over bare Python", "MB"),
    Quantity("tags", "find the runs of a tag (1 %)", "ms"),
    Quantity("children", "make child runs, per child", "ms"),
)


def measure(peer: Peer, folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """All quantities, in order of measurement."""
    try:
        asked = Asked(peer, folder, sizes)
    except (CannotInstall, WorkloadFailed) as error:
        yield from (Figure(quantity.key, None, str(error)) for quantity in QUANTITIES)
        return
    parts: tuple[tuple[tuple[str, ...], Callable[[], Iterator[Figure]]], ...] = (
        (("import",), asked.importing),
        (("mean", "p99", "longest"), asked.calls),
        (("log", "missing", "read", "disk", "memory"), asked.logging),
        (("dicts",), lambda: asked.rate("dicts")),
        (("series",), lambda: asked.rate("series")),
        (("kill_paced",), lambda: asked.killing("kill_paced", 1_000)),
        (("kill_flat",), lambda: asked.killing("kill_flat", 0)),
        (("syncs",), asked.synced),
        (("starts",), asked.starts),
        (("tags",), asked.tags),
        (("children",), asked.children),
    )
    for keys, part in parts:
        done = set()
        try:
            for figure in part():
                done.add(figure.quantity)
                yield figure
        except WorkloadFailed as error:
            yield from (Figure(key, None, str(error)) for key in keys if key not in done)


class Asked:
    """One peer in its interpreter, over a store of its own that has been opened before."""

    def __init__(self, peer: Peer, folder: Path, sizes: Sizes) -> None:
        self._peer = peer
        self._folder = folder
        self._sizes = sizes
        self._interpreter = Interpreter(peer.python, folder, QUIET)
        self._ask("prepare")

    def importing(self) -> Iterator[Figure]:
        """The median of whole processes that import and do nothing, less those without import."""

        def whole(code: str) -> float:
            took = [self._seconds(code) for _ in range(2 * self._sizes.repeat + 1)]
            return statistics.median(took) * 1e3

        self._seconds(f"import {self._peer.module}")  # Compiles what was never imported.
        yield Figure("import", max(0.0, whole(f"import {self._peer.module}") - whole("pass")))

    def _seconds(self, code: str) -> float:
        before = time.perf_counter()
        done = subprocess.run(
            [self._interpreter.python, "-c", code], cwd=self._folder, capture_output=True
        )
        if done.returncode != 0:
            raise WorkloadFailed(done.stderr.decode().strip().splitlines()[-1])
        return time.perf_counter() - before

    def calls(self) -> Iterator[Figure]:
        """Single calls."""
        answer = self._ask("call", self._sizes.calls, self._sizes.budget_s)
        note = f"{answer['count']:,} calls"
        yield Figure("mean", answer["mean_us"], note)
        yield Figure("p99", answer["p99_us"], note)
        yield Figure("longest", answer["longest_ms"], note)

    def logging(self) -> Iterator[Figure]:
        """A process that logs; then what is on disk, in memory, and read by another."""
        answers, sizes = [], []
        for _ in range(self._sizes.repeat):
            before = folder_bytes(self._folder)
            answers.append(self._ask("log", self._sizes.points, self._sizes.budget_s))
            sizes.append((folder_bytes(self._folder) - before) / answers[-1]["count"])
        last = answers[-1]
        note = f"{last['count']:,} points"
        yield Figure("log", rate_of(answers), note)
        yield Figure("disk", statistics.median(sizes), note)
        bare = self._ask("bare", self._sizes.points)["peak_bytes"]
        peaks = [(answer["peak_bytes"] - bare) / 1e6 for answer in answers]
        yield Figure("memory", statistics.median(peaks), note)
        reads = [self._ask("read", last["run_id"], "loss") for _ in range(self._sizes.repeat)]
        found = reads[-1]["count"]
        yield Figure("missing", last["count"] - found, f"of {last['count']:,}")
        if found:
            took = statistics.median(answer["ms"] for answer in reads)
            yield Figure("read", took / found * 100_000, f"{found:,} points in {took:.3g} ms")
        else:
            yield Figure("read", None, "nothing was there to read")

    def rate(self, operation: str) -> Iterator[Figure]:
        """Points a second of whole processes."""
        answers = [
            self._ask(operation, self._sizes.points, self._sizes.budget_s)
            for _ in range(self._sizes.repeat)
        ]
        yield Figure(operation, rate_of(answers), f"{answers[-1]['count']:,} points")

    def killing(self, key: str, per_s: float) -> Iterator[Figure]:
        """Kills processes up to two seconds after their first value and has others count."""
        rng = random.Random(0)
        totals = {"acknowledged": 0, "lost": 0, "repeated": 0}
        for number in range(self._sizes.kills):
            path = self._folder / f"{key}-{number}.counters"
            acknowledged = counters(path)
            victim = start(
                MODULE, self._peer.name, "kill", self._folder, path, per_s,
                interpreter=self._interpreter,
            )  # fmt: skip
            try:
                assert victim.stdout is not None
                said = next((line for line in victim.stdout if line.startswith('{"run_id"')), "")
                if not said:
                    raise WorkloadFailed("it ended before it logged anything")
                limit = time.monotonic() + 60
                while not acknowledged[0]:
                    if victim.poll() is not None or time.monotonic() > limit:
                        raise WorkloadFailed("no value was acknowledged")
                    time.sleep(0.001)
                time.sleep(2 * rng.random())
            finally:
                kill(victim)
            answer = self._ask("count", json.loads(said)["run_id"], path)
            for name in totals:
                totals[name] += answer[name]
        yield Figure(
            key,
            100 * totals["lost"] / totals["acknowledged"],
            f"{totals['lost']:,} of {totals['acknowledged']:,} in {self._sizes.kills} kills"
            + (f", {totals['repeated']:,} repeated" if totals["repeated"] else ""),
        )

    def synced(self) -> Iterator[Figure]:
        """Sync calls, by strace."""
        missing = syncs.why_not()
        if missing:
            yield Figure("syncs", None, missing)
            return
        trace = self._folder / "trace"
        self._ask("log", 100, self._sizes.budget_s, prefix=tuple(syncs.prefix(trace)))
        yield Figure("syncs", syncs.counted(trace))

    def starts(self) -> Iterator[Figure]:
        answer = self._ask("starts", self._sizes.starts, self._sizes.budget_s)
        yield Figure("starts", answer["ms"], f"{answer['count']:,} runs")

    def tags(self) -> Iterator[Figure]:
        answer = self._ask("tags", self._sizes.runs, self._sizes.budget_s)
        note = f"{answer['count']:,} runs"
        if answer["found"] != answer["wanted"]:
            note += f"; found {answer['found']} of {answer['wanted']}"
        yield Figure("tags", answer["ms"], note)

    def children(self) -> Iterator[Figure]:
        answer = self._ask("children", self._sizes.children)
        yield Figure("children", answer["ms"] / answer["count"], f"{answer['count']:,} children")

    def _ask(self, operation: str, *arguments: object, prefix: tuple[str, ...] = ()) -> Answer:
        """Raises WorkloadFailed, also for what the peer does not offer."""
        answer = fresh(
            MODULE,
            self._peer.name,
            operation,
            self._folder,
            *arguments,
            prefix=prefix,
            interpreter=self._interpreter,
            timeout_s=120 + 4 * self._sizes.budget_s,
        )
        if "not_run" in answer.said:
            raise WorkloadFailed(answer["not_run"])
        return answer


def rate_of(answers: list[Answer]) -> float:
    """The median of points a second, to the process's end."""
    return float(statistics.median(answer["count"] / answer.whole_s for answer in answers))

"""`run.log` in a training loop, beside the bare Python body that it cannot be cheaper than."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from benchmarks.harness import Result, scratch, side_by_side
from runlore import Experiment, Workspace

CALLS = 200_000


def run() -> Iterator[Result]:
    """200,000 calls with a float, without the flush; then the flush, per value."""
    values = [random.Random(0).random() for _ in range(CALLS)]
    with scratch() as folder, Workspace.create("bench", path=folder / "ws") as ws:
        run_ = Experiment(ws, "log").start_logging(outputs=False, snapshot_directory=None)
        body = BareBody()

        def log() -> None:
            for value in values:
                run_.log("loss", value)

        def append() -> None:
            for value in values:
                body.log("loss", value)

        yield side_by_side(
            "run.log(name, float), mean per call",
            log,
            "method, dict look-up, float(), time_ns, append",
            append,
            repeat=5,
            count=CALLS,
            unit="µs",
        )

        def log_and_flush() -> None:
            log()
            run_.flush()

        yield side_by_side(
            "run.log and flush, on disk, mean per value",
            log_and_flush,
            "the same bare body",
            append,
            repeat=5,
            count=CALLS,
            unit="µs",
        )


class BareBody:
    """The least that a logging call can do in Python."""

    def __init__(self) -> None:
        self._series: dict[str, list[tuple[int, float]]] = {"loss": []}

    def log(self, name: str, value: float) -> None:
        self._series[name].append((time.time_ns(), float(value)))

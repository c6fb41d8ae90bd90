"""Times things beside their baseline, in one run, and shows the ratio.

Machines are shared and noisy: what counts is the ratio of two medians whose measurements took
turns, not the figure itself.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """Medians of `repeat` turns, in `unit`; `per` says per what."""

    what: str
    ours: float
    baseline: float
    baseline_what: str
    unit: str
    repeat: int

    @property
    def ratio(self) -> float:
        """How many times the baseline ours takes."""
        return self.ours / self.baseline if self.baseline else float("nan")


def seconds(action: Callable[[], object]) -> float:
    """How long one call takes, without the garbage of earlier ones."""
    gc.collect()
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def side_by_side(
    what: str,
    ours: Callable[[], object],
    baseline_what: str,
    baseline: Callable[[], object],
    *,
    repeat: int,
    count: int = 1,
    unit: str = "ms",
) -> Result:
    """Both actions in turns, `repeat` times; figures are per one of `count` things."""
    scale = {"s": 1, "ms": 1e3, "µs": 1e6}[unit] / count
    took = [(seconds(ours), seconds(baseline)) for _ in range(repeat)]
    mine = statistics.median(one for one, _ in took) * scale
    theirs = statistics.median(other for _, other in took) * scale
    return Result(what, mine, theirs, baseline_what, unit, repeat)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on a real disk, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="runlore-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def machine() -> str:
    """The machine and the versions that the figures are of."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("runlore", "duckdb", "pyarrow"))
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}"
    )


def markdown(results: Sequence[Result]) -> str:
    """The results as a Markdown table, with machine and command."""
    lines = [
        f"`make bench` · {machine()} · medians",
        "",
        "| what | runlore | baseline | ratio |",
        "|---|---|---|---|",
    ]
    lines.extend(
        f"| {r.what} | {r.ours:.3g} {r.unit} | {r.baseline:.3g} {r.unit} ({r.baseline_what}) "
        f"| {r.ratio:.2f} |"
        for r in results
    )
    return "\n".join(lines) + "\n"


def write(results: Sequence[Result], folder: Path) -> None:
    """`results.json` and `results.md` in the folder."""
    folder.mkdir(exist_ok=True)
    document = {
        "machine": machine(),
        "command": "make bench",
        "results": [asdict(result) | {"ratio": result.ratio} for result in results],
    }
    (folder / "results.json").write_text(json.dumps(document, indent=2) + "\n")
    (folder / "results.md").write_text(markdown(results))


def python(code: str) -> list[str]:
    """The command of a fresh interpreter that runs the code."""
    return [sys.executable, "-c", code]

"""Times things beside their baseline, in one run, and shows the ratio.

Machines are shared and noisy: what counts is the ratio of two medians whose measurements took
turns, not the figure itself.
"""

from __future__ import annotations

import gc
import json
import math
import os
import platform
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

from runlore.storage.user_cache import VARIABLE, find_cache, folders_of_logs

QUICK: Final = "RUNLORE_BENCH_QUICK"
"""Set by `--quick`: small sizes, to see that everything works."""


@dataclass(frozen=True)
class Goal:
    """What a figure, or its ratio to the baseline, has to be."""

    limit: float
    sense: Literal["at most", "at least", "exactly"]
    of: Literal["figure", "ratio"] = "figure"

    def met_by(self, figure: float) -> bool:
        """Whether the figure is as it has to be; NaN never is."""
        if self.sense == "at most":
            return figure <= self.limit
        return figure >= self.limit if self.sense == "at least" else figure == self.limit

    def text(self, unit: str) -> str:
        """As the table shows it."""
        sign = {"at most": "≤ ", "at least": "≥ ", "exactly": ""}[self.sense]
        return f"{sign}{shown(self.limit)} {'×' if self.of == 'ratio' else unit}".rstrip()


def at_most(limit: float) -> Goal:
    """The figure may be no larger."""
    return Goal(limit, "at most")


def at_least(limit: float) -> Goal:
    """The figure may be no smaller."""
    return Goal(limit, "at least")


def exactly(limit: float) -> Goal:
    """The figure must be this one."""
    return Goal(limit, "exactly")


def at_most_times(limit: float) -> Goal:
    """The figure may be so many times the baseline."""
    return Goal(limit, "at most", "ratio")


@dataclass(frozen=True)
class Result:
    """Medians of `repeat` turns, in `unit`; without `baseline` there is nothing to compare to.

    `ours` is None for what was not run; `note` then says why, and else what there is to know.
    """

    what: str
    ours: float | None
    baseline: float | None
    baseline_what: str
    unit: str
    repeat: int
    goals: tuple[Goal, ...] = ()
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times the baseline's time ours takes; for rates, how many times as slow."""
        if self.ours is None or not self.baseline:
            return float("nan")
        if self.unit.endswith("/s"):
            return self.baseline / self.ours if self.ours else float("inf")
        return self.ours / self.baseline

    @property
    def verdicts(self) -> list[tuple[str, bool]]:
        """Each goal as text, and whether it is met; empty for what was not run."""
        if self.ours is None:
            return []
        return [
            (goal.text(self.unit), goal.met_by(self.ratio if goal.of == "ratio" else self.ours))
            for goal in self.goals
        ]


def not_run(what: str, why: str, *, unit: str = "", goals: tuple[Goal, ...] = ()) -> Result:
    """The line of something that this machine cannot measure."""
    return Result(what, None, None, "", unit, 0, goals, why)


def sized(full: int, quick: int | None = None) -> int:
    """The size of the data: full, or with `--quick` a small one (a twentieth by default)."""
    if not os.environ.get(QUICK):
        return full
    return max(1, full // 20) if quick is None else quick


def seconds(action: Callable[[], object]) -> float:
    """How long one call takes, without the garbage of earlier ones."""
    gc.collect()
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def seconds_warm(action: Callable[[], object]) -> float:
    """How long a call takes that comes right behind another one."""
    gc.collect()
    action()
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
    goals: tuple[Goal, ...] = (),
    warm: bool = False,
) -> Result:
    """Both actions in turns, `repeat` times; figures are per one of `count` things.

    In each turn the garbage collector goes through all memory first. Where that is not to count,
    `warm` actions are called twice in a row, and the second call is timed.
    """
    scale = {"s": 1, "ms": 1e3, "µs": 1e6}[unit] / count
    timed = seconds_warm if warm else seconds
    took = [(timed(ours), timed(baseline)) for _ in range(repeat)]
    mine = statistics.median(one for one, _ in took) * scale
    theirs = statistics.median(other for _, other in took) * scale
    return Result(what, mine, theirs, baseline_what, unit, repeat, goals)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on a real disk, gone afterwards; the user's cache is in it."""
    folder = Path(tempfile.mkdtemp(prefix="runlore-bench-"))
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder / "cache")
    try:
        yield folder
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
        shutil.rmtree(folder)


def cached(workspace: Path | None) -> Path:
    """The folder in the cache for what is made from the log of the workspace in a folder."""
    [found] = [
        one.path
        for one in folders_of_logs(find_cache().folder or Path())
        if one.origin is not None and one.origin.folder == str(workspace)
    ]
    return found


def machine() -> str:
    """The machine and the versions that the figures are of."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("runlore", "duckdb", "arro3-core"))
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}"
    )


def shown(figure: float) -> str:
    """Three digits, thousands for large ones."""
    return f"{figure:,.0f}" if abs(figure) >= 1_000 else f"{figure:.3g}"


def line(result: Result) -> str:
    """A result as a line of the terminal."""
    if result.ours is None:
        return f"{result.what:62} not run: {result.note}"
    text = f"{result.what:62} {shown(result.ours):>10} {result.unit}"
    if result.baseline is not None:
        text += f"  {result.ratio:.2f} x {result.baseline_what} ({shown(result.baseline)})"
    for goal, met in result.verdicts:
        text += f"  [{goal}: {'met' if met else 'MISSED'}]"
    return text + (f"  ({result.note})" if result.note else "")


def markdown(results: Sequence[Result], command: str = "make bench") -> str:
    """The results as a Markdown table, with machine and command."""
    lines = [
        f"`{command}` · {machine()} · medians",
        "",
        "| what | runlore | baseline | ratio | goal |",
        "|---|---|---|---|---|",
    ]
    lines.extend(_row(result) for result in results)
    return "\n".join(lines) + "\n"


def shown_as_it_runs(results: Iterable[Result]) -> None:
    """Prints each result as it comes, and then the table of all."""
    print(machine(), flush=True)
    held = []
    for result in results:
        held.append(result)
        print(line(result), flush=True)
    print(f"\n{markdown(held)}")


def _row(result: Result) -> str:
    note = f" ({result.note})" if result.note else ""
    if result.ours is None:
        wanted = ", ".join(goal.text(result.unit) for goal in result.goals)
        return f"| {result.what} | not run{note} | | | {wanted} |"
    goals = ", ".join(f"{goal}: {'met' if met else '**missed**'}" for goal, met in result.verdicts)
    baseline, ratio = "", ""
    if result.baseline is not None:
        baseline = f"{shown(result.baseline)} {result.unit} ({result.baseline_what})"
        ratio = f"{result.ratio:.2f}"
    ours = f"{shown(result.ours)} {result.unit}".rstrip()
    return f"| {result.what} | {ours}{note} | {baseline} | {ratio} | {goals} |"


def write(results: Sequence[Result], folder: Path, command: str = "make bench") -> None:
    """`results.json` and `results.md` in the folder."""
    folder.mkdir(exist_ok=True)
    document = {
        "machine": machine(),
        "command": command,
        "results": [_as_json(result) for result in results],
    }
    (folder / "results.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    (folder / "results.md").write_text(markdown(results, command))


def _as_json(result: Result) -> dict[str, object]:
    goals = [{"goal": goal, "met": met} for goal, met in result.verdicts]
    ratio = None if math.isnan(result.ratio) else result.ratio
    return asdict(result) | {"ratio": ratio, "goals": goals}


def python(code: str) -> list[str]:
    """The command of a fresh interpreter that runs the code."""
    return [sys.executable, "-c", code]

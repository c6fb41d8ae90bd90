"""Runs as `runlore run watch` shows them: step, rate, progress and curves, within 80 columns."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.table import Table
from rich.text import Text

from runlore.cli.frame.guard import encodable
from runlore.domain.status import TERMINAL
from runlore.domain.visible_text import visible
from runlore.shown.colours import status_sign
from runlore.shown.numbers import duration_text, short_number
from runlore.shown.sparks import spark_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from runlore.shown.card import ShownMetric

_STEPS: Final = ("total_steps", "max_steps", "num_steps", "n_steps", "steps")
_EPOCHS: Final = ("total_epochs", "max_epochs", "num_epochs", "n_epochs", "epochs")
_EPOCH: Final = "epoch"
_STYLES: Final = {
    "completed": "green",
    "failed": "red",
    "canceled": "magenta",
    "accent": "blue",
    "waiting": "yellow",
}
_NARROWER: Final = (("", 18), ("", 10), ("time", 10), ("rate", 10), ("step", 10))
"""What a narrow screen leaves out, one after the other, and how long the names of runs may be."""
_METRIC_CHARS: Final = 16
_BAR_CHARS: Final = 24
_GAP: Final = 2


@dataclass(frozen=True)
class Watched:
    """A run as it is shown: its record, short name, seconds, and metrics in short.

    `done` and `total` are what it counts, in steps or epochs; None where that is not known.
    """

    record: Mapping[str, Any]
    name: str
    seconds: float | None
    metrics: Sequence[ShownMetric]
    more: int = 0
    done: int | None = None
    total: int | None = None

    @property
    def is_active(self) -> bool:
        """Whether the run goes on."""
        return self.record["status"] not in TERMINAL

    @property
    def step(self) -> int | None:
        """The last step of any metric."""
        return max((m.last_step for m in self.metrics if m.last_step is not None), default=None)

    @property
    def rate(self) -> float | None:
        """Steps per second of the metric that came furthest; None once the run has ended."""
        if not self.is_active:
            return None
        return next((m.rate for m in self.metrics if m.last_step == self.step), None)

    @property
    def left_s(self) -> float | None:
        """The seconds to the end, if it goes on as now: only where steps are counted."""
        if not self.rate or self.total is None or self.done is None or self.step is None:
            return None
        if self.done != self.step + 1:  # Epochs, which take as many steps each as until now.
            return None
        return max(0, self.total - self.done) / self.rate


def progress_of(
    config: Mapping[str, str | None], metrics: Sequence[ShownMetric], total: int | None
) -> tuple[int | None, int | None]:
    """What is done, and of how much: by the option, or by what the config names.

    A config that says how many steps there are is compared with the last step, one of epochs with
    the last value of a metric `epoch`.
    """
    last = max((m.last_step for m in metrics if m.last_step is not None), default=None)
    steps = total if total is not None else _number_in(config, _STEPS)
    if steps is not None:
        return (0 if last is None else last + 1), steps
    epochs = _number_in(config, _EPOCHS)
    epoch = next((m.last for m in metrics if m.name == _EPOCH), None)
    if epochs is not None and isinstance(epoch, int | float) and epoch == epoch:
        return min(epochs, max(0, int(min(epoch, epochs)))), epochs
    return None, None


def _number_in(config: Mapping[str, str | None], names: Sequence[str]) -> int | None:
    """The first of these that the config has as a whole number above 0, at any depth."""
    for name in names:
        for key, text in config.items():
            if key.rpartition(".")[2] == name:
                value = json.loads(text or "null")
                if type(value) is int and value > 0:
                    return value
    return None


def runs_shown(runs: Sequence[Watched], width: int) -> RenderableType:
    """The runs as a table; a single run with its metrics below each other."""
    return _single(runs[0], width) if len(runs) == 1 else _many(runs, width)


def _many(runs: Sequence[Watched], width: int) -> Table:
    cells = {
        "status": [_status(run) for run in runs],
        "time": [_text(duration_text(run.seconds)) for run in runs],
        "step": [_text(_steps(run)) for run in runs],
        "rate": [_text(_rate(run)) for run in runs],
    }
    for dropped, chars in _NARROWER:
        cells.pop(dropped, None)
        names = [_text(_cut(run.name, chars)) for run in runs]
        taken = [_widest("run", names), *(_widest(head, cells[head]) for head in cells)]
        left = width - sum(taken) - _GAP * len(taken)
        if left >= _METRIC_CHARS:
            break
    columns = {
        "run": names,
        **cells,
        "metric": [_text(_metric(run.metrics[0], left) if run.metrics else "") for run in runs],
    }
    table = _table(*columns)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _widest(head: str, cells: Sequence[Text]) -> int:
    return max(len(head), *(cell.cell_len for cell in cells))


def _single(run: Watched, width: int) -> Group:
    facts = (run.record["_experiment_name"], duration_text(run.seconds), _rate(run))
    head = Text.assemble(
        _text(f"{_cut(run.name, 30)}  ", "bold"),
        _status(run),
        _text("  " + "  ".join(str(fact) for fact in facts if fact)),
    )
    head.truncate(width, overflow="ellipsis")
    parts: list[RenderableType] = [head]
    if run.total is not None:
        parts.append(_text(_progress(run)))
    table = _table("metric", "step", "last", "curve")
    curve = max(8, min(32, width - _METRIC_CHARS - 30))
    for metric in run.metrics:
        table.add_row(
            _text(_cut(metric.name, max(_METRIC_CHARS, width - curve - 30))),
            _text("" if metric.last_step is None else f"{metric.last_step}"),
            _text(_cut(short_number(metric.last), 14)),
            _text(_bars(metric, curve)),
        )
    if run.metrics:
        parts.append(table)
    if run.more:
        parts.append(_text(f"and {run.more} more metrics"))
    return Group(*parts)


def _table(*heads: str) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for head in heads:
        is_number = head in ("time", "step", "rate", "last")
        table.add_column(head, justify="right" if is_number else "left", no_wrap=True)
    return table


def _status(run: Watched) -> Text:
    status = str(run.record["status"])
    sign, colour = status_sign(status)
    return _text(f"{sign} {status}", _STYLES[colour])


def _steps(run: Watched) -> str:
    if run.total is not None and run.done is not None:
        return f"{run.done}/{run.total} {min(100, 100 * run.done // run.total)}%"
    return "" if run.step is None else str(run.step)


def _rate(run: Watched) -> str:
    """Steps per second with three digits; slow ones per minute or hour."""
    rate = run.rate
    if rate is None:
        return ""
    unit, seconds = next(
        (found for found in (("s", 1), ("min", 60)) if rate * found[1] >= 1), ("h", 3_600)
    )
    rate *= seconds
    for suffix, thousands in (("M", 1e6), ("k", 1e3)):
        if rate >= thousands:
            return f"{rate / thousands:.3g}{suffix}/{unit}"
    return f"{rate:.3g}/{unit}"


def _progress(run: Watched) -> str:
    assert run.total is not None, "the caller checks"
    done = run.done or 0
    full = min(_BAR_CHARS, _BAR_CHARS * done // run.total)
    left = "" if run.left_s is None else f", {duration_text(run.left_s)} left"
    bar = "█" * full + "░" * (_BAR_CHARS - full)
    if not _has_blocks():
        bar = "#" * full + "-" * (_BAR_CHARS - full)
    return f"{bar} {done}/{run.total} {min(100, 100 * done // run.total)}%{left}"


def _metric(metric: ShownMetric, width: int) -> str:
    name = _cut(metric.name, max(4, width - 16))
    last = _cut(short_number(metric.last), 10)
    bars = _bars(metric, max(0, width - cell_len(name) - cell_len(last) - 2))
    return f"{name} {last} {bars}".rstrip()


def _bars(metric: ShownMetric, width: int) -> str:
    return spark_text(metric.curve, min(width, 32), ascii_only=not _has_blocks())


def _has_blocks() -> bool:
    try:
        "▁█░".encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _cut(text: str, most: int) -> str:
    """The text in at most so many columns of a screen."""
    shown = visible(text)
    return shown if cell_len(shown) <= most else f"{set_cell_size(shown, most - 1).rstrip()}…"


def _text(text: str, style: str = "") -> Text:
    return Text(encodable(visible(text), sys.stdout), style)

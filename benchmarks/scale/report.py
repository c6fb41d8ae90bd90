"""The curves as PNG, JSON and Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot  # noqa: E402

from benchmarks.harness import machine, shown  # noqa: E402
from benchmarks.scale.curves import Axis, Curve, Quantity  # noqa: E402


def write(axis: Axis, curves: Sequence[Curve], command: str, folder: Path) -> None:
    """`scale-<axis>.png`, `.json` and `.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    draw(axis, curves, folder / f"scale-{axis}.png")
    document = {
        "machine": machine(),
        "command": command,
        "curves": [
            {
                "tracker": curve.tracker,
                "what": curve.quantity.what,
                "unit": curve.quantity.unit,
                "sizes": list(curve.figures),
                "figures": list(curve.figures.values()),
                "baselines": list(curve.baselines.values()),
                "verdict": curve.verdict,
                "note": curve.note,
            }
            for curve in curves
        ],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    (folder / f"scale-{axis}.json").write_text(text + "\n")
    (folder / f"scale-{axis}.md").write_text(markdown(axis, curves, command))


def quantities(curves: Sequence[Curve]) -> list[Quantity]:
    """Those of the curves, in their order."""
    return list(dict.fromkeys(curve.quantity for curve in curves))


def draw(axis: Axis, curves: Sequence[Curve], path: Path) -> None:
    """A panel for each quantity, both axes logarithmic, a line for each tracker."""
    panels = quantities(curves)
    rows = -(-len(panels) // 2)
    figure, grid = pyplot.subplots(rows, 2, figsize=(11, 3.2 * rows), squeeze=False)
    for quantity, panel in zip(panels, grid.flat, strict=False):
        for curve in curves:
            if curve.quantity == quantity and curve.figures:
                panel.loglog(
                    list(curve.figures),
                    list(curve.figures.values()),
                    marker="o",
                    label=f"{curve.tracker}, slope {curve.slope:.2f}"
                    if len(curve.figures) > 1
                    else curve.tracker,
                )
        limits = bounds([c for c in curves if c.quantity == quantity])
        panel.set_ylim(*limits)
        panel.set_title(f"{quantity.what} (should be {quantity.shape.name})", fontsize=9)
        panel.set_xlabel(axis, fontsize=8)
        panel.set_ylabel(quantity.unit, fontsize=8)
        panel.grid(True, which="major", alpha=0.3)
        if panel.has_data():
            panel.legend(fontsize=7)
    for panel in grid.flat[len(panels) :]:
        panel.set_visible(False)
    figure.suptitle(f"{machine()}", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def bounds(curves: Sequence[Curve]) -> tuple[float, float]:
    """Whole decades around all figures, so that noise does not look like growth."""
    figures = [figure for curve in curves for figure in curve.figures.values() if figure > 0]
    low, high = math.log10(min(figures)), math.log10(max(figures))
    return 10 ** math.floor(low - 0.1), 10 ** math.ceil(high + 0.1)


def markdown(axis: Axis, curves: Sequence[Curve], command: str) -> str:
    """A table of the figures, then a line on each of our slopes."""
    sizes = sorted({size for curve in curves for size in curve.figures})
    lines = [
        f"`{command}` · {machine()}",
        "",
        f"| {axis} | tracker | " + " | ".join(f"{size:,}" for size in sizes) + " | slope |",
        "|---" * (len(sizes) + 3) + "|",
    ]
    for curve in curves:
        cells = [shown(curve.figures[size]) if size in curve.figures else "" for size in sizes]
        what = f"{curve.quantity.what}, {curve.quantity.unit}"
        slope = f"{curve.slope:.2f}" if len(curve.figures) > 1 else ""
        lines.append(f"| {what} | {curve.tracker} | {' | '.join(cells)} | {slope} |")
    lines.append("")
    lines += [
        f"- {curve.quantity.what}: {curve.verdict}"
        for curve in curves
        if curve.tracker == "runlore"
    ]
    stopped = {(curve.tracker, curve.note) for curve in curves if curve.note}
    lines += [f"- {tracker} ended: {note}" for tracker, note in sorted(stopped)]
    return "\n".join(lines) + "\n"

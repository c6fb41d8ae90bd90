"""Charts: many metrics of a run, and many runs in one chart."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Locator, Page

from benchmarks.harness import Result, at_most, sized
from benchmarks.studio.browser import FRAMES, first_content_ms, page_of, serving, wait_for
from benchmarks.studio.workspaces import EXPERIMENT, curves
from runlore import Experiment, Workspace

_DRAWN: Final = ".chart .uplot"
_HOVERS: Final = 30


def run_page(browser: Browser, folder: Path, repeat: int) -> Iterator[Result]:
    """The metrics of a run that has 100 of 100,000 points."""
    points = sized(100_000, 1_000)
    with curves(folder, runs=1, metrics=100, points=points) as workspace:
        run_id = _runs(workspace)[0]
    with serving(folder) as (address, _):
        page = f"{address}/run/{run_id}/metrics"
        first_content_ms(browser, page, _DRAWN, 1)
        yield Result(
            f"run page, 100 metrics x {points:,} points",
            first_content_ms(browser, page, _DRAWN, repeat),
            None,
            "",
            "ms",
            repeat,
            (at_most(800),),
            "until the first chart is drawn",
        )


def one_chart(browser: Browser, folder: Path, repeat: int) -> Iterator[Result]:
    """50 runs of 10,000 points in one chart: request and draw, zoom, hover."""
    points = sized(10_000, 1_000)
    with curves(folder, runs=50, metrics=1, points=points) as workspace:
        ids = _runs(workspace)
    with serving(folder) as (address, _):
        compare = f"{address}/compare?" + "&".join(f"run={run_id}" for run_id in ids)
        first_content_ms(browser, compare, _DRAWN, 1)
        yield Result(
            f"50 runs x {points:,} points in one chart: request and draw",
            statistics.median(_since_request_ms(browser, compare) for _ in range(repeat)),
            None,
            "",
            "ms",
            repeat,
            (at_most(250),),
        )
        with page_of(browser) as page:
            page.goto(compare, wait_until="commit")
            chart = page.locator(_DRAWN).first
            wait_for(chart)
            yield Result(
                "its zoom", _zoomed_ms(page, chart, repeat), None, "", "ms", repeat, (at_most(60),)
            )
            frame, hovered = _frame_ms(page), _hovered_ms(page, chart)
            yield Result("a hover, between frames", hovered, frame, "a page at rest", "ms", _HOVERS)


_SINCE_REQUEST: Final = """() => {
    const asked = performance
        .getEntriesByType("resource")
        .filter((one) => one.name.includes("/api/charts"));
    return performance.now() - Math.min(...asked.map((one) => one.startTime));
}"""


def _since_request_ms(browser: Browser, address: str) -> float:
    with page_of(browser) as page:
        page.goto(address, wait_until="commit")
        wait_for(page.locator(_DRAWN))
        return float(page.evaluate(_SINCE_REQUEST))


def _runs(workspace: Workspace) -> list[str]:
    return [run.id for run in Experiment(workspace, EXPERIMENT).get_runs()]


_ZOOMED: Final = """() => {
    self.zoomed = new Promise((resolve) => {
        addEventListener("mouseup", () => {
            const let_go = performance.now();
            const drawn = () => resolve(performance.now() - let_go);
            requestAnimationFrame(() => requestAnimationFrame(drawn));
        }, { capture: true, once: true });
    });
}"""
"""By the page's own clock: what the browser's driver takes is not counted."""


def _zoomed_ms(page: Page, chart: Locator, repeat: int) -> float:
    """From letting go of a selection of half of the chart, until it is drawn again."""
    took = []
    for _ in range(repeat):
        chart.wait_for()
        box = chart.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
        page.evaluate(_ZOOMED)
        page.mouse.up()
        took.append(float(page.evaluate("self.zoomed")))
        page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.evaluate(FRAMES, 2)
    return statistics.median(took)


def _frame_ms(page: Page) -> float:
    frames: list[float] = page.evaluate(FRAMES, _HOVERS)
    return statistics.median(frames)


def _hovered_ms(page: Page, chart: Locator) -> float:
    """The time between frames while the pointer moves over the chart."""
    chart.wait_for()  # It may have just been drawn anew.
    box = chart.bounding_box()
    assert box is not None
    found: list[float] = []
    for number in range(_HOVERS):
        page.mouse.move(box["x"] + 60 + number * 4, box["y"] + box["height"] / 2)
        found += page.evaluate(FRAMES, 1)
    return statistics.median(found)

"""The page of an experiment's runs: its first content, and another filter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page

from benchmarks.harness import Result, at_most
from benchmarks.studio.browser import (
    change_ms,
    first_content_ms,
    page_of,
    scripts_of,
    serving,
    text_that_comes,
)
from benchmarks.studio.workspaces import METRICS, PROPERTIES, TAGS, many_runs

_ROW: Final = ".grid-row .run-name"
_COLUMNS: Final = (
    *("tags.model", *(f"tags.tag_{number}" for number in range(TAGS - 1))),
    *(f"properties.property_{number}" for number in range(PROPERTIES)),
    *(f"metrics.metric_{number}" for number in range(METRICS)),
)


def runs_page(
    browser: Browser, folder: Path, runs: int, *, repeat: int, first_s: float, filter_ms: float
) -> Iterator[Result]:
    """First content and filter changes with 60 columns, at so many runs."""
    many_runs(folder, runs).close()
    query = "&".join(f"cols={column}" for column in _COLUMNS)
    with serving(folder) as (address, _):
        table = f"{address}/e/vision?{query}"
        first_content_ms(browser, table, _ROW, 1)
        yield Result(
            f"runs page, {runs:,} runs x {len(_COLUMNS)} columns, first content",
            first_content_ms(browser, table, _ROW, repeat),
            None,
            "",
            "ms",
            repeat,
            (at_most(first_s * 1e3),),
        )
        with page_of(browser) as page:
            page.goto(table)
            page.locator(_ROW).first.wait_for()
            filters = _Filters(page)
            took = change_ms(page, filters.change, filters.wait, repeat, prepare=filters.write)
        yield Result(
            f"runs page, {runs:,} runs, another filter",
            took,
            None,
            "",
            "ms",
            repeat,
            (at_most(filter_ms),),
        )
        scripts = scripts_of(browser, f"{address}/e/vision", _ROW)
        yield Result(
            "scripts before the first content, compressed",
            sum(scripts.values()) / 1e3,
            None,
            "",
            "kB",
            1,
            (at_most(60),),
            f"{len(scripts)} files",
        )


class _Filters:
    """Filters one after the other, each with another number of matching runs."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._told = page.get_by_role("status").filter(has_text=" runs").first
        self._before = self._told.text_content() or ""

    def write(self, turn: int) -> None:
        self._page.locator("#filter").fill(f"tags.tag_0 = {turn} or tags.tag_1 = {turn}")

    def change(self, turn: int) -> None:
        """Ask for the filter that was written."""
        self._page.locator("#filter").press("Enter")

    def wait(self, turn: int) -> None:
        """Until the table has another number of runs."""
        self._before = text_that_comes(self._told, after=self._before)

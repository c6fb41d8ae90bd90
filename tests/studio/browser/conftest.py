"""A browser, a workspace with a Studio, and pages in which nothing may go wrong unseen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from runlore import Experiment, Workspace
from tests.browsers import ARGUMENTS, browser_path
from tests.studio.asking import served

HOSTILE = """<img src=x onerror="alert(1)">"><script>alert(2)</script> {{7*7}} ${7*7}"""

_REFUSED = "the server responded with a status of 422"  # A browser says so of a wrong filter.

Opened = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser of these tests. While it is there, others could run no loop of their own."""
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=browser_path(), args=[*ARGUMENTS])
        yield found
        found.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with 40 runs of one experiment, and one of another with hostile names."""
    folder: Path = tmp_path_factory.mktemp("studio") / "lab"
    with Workspace.create("lab", path=folder) as ws:
        vision = Experiment(ws, "vision")
        options: dict[str, Any] = {"outputs": False, "snapshot_directory": None}
        for number in range(40):
            with vision.start_logging(**options) as run:
                run.display_name = f"resnet-{number}"
                run.add_config({"lr": number / 1000, "net": {"layers": 18}})
                run.tag("model", "resnet" if number % 2 else "vit")
                run.log_batch("loss", [1 / (step + number + 1) for step in range(50)])
                run.log_batch("val/acc", [0.5, math.nan, 0.75])
        with Experiment(ws, "hostile").start_logging(**options) as run:
            run.display_name = HOSTILE
            run.description = HOSTILE
            run.tag(HOSTILE, HOSTILE)
            run.add_config({HOSTILE: HOSTILE})
            run.add_properties({HOSTILE: HOSTILE})
            run.log(HOSTILE, 0.5)
            file = folder.parent / "page.html"
            file.write_text(f"<script>alert(3)</script>{HOSTILE}")
            run.upload_file("outputs/page.html", file)
            run.fail(HOSTILE)
        yield ws


@pytest.fixture(scope="module")
def studio(lab: Workspace) -> Iterator[str]:
    """The address of the Studio of the workspace, without the last slash."""
    with served(lab) as found:
        yield found.origin


@pytest.fixture
def wrong() -> list[str]:
    """What went wrong in the pages of `open_page`."""
    return []


@pytest.fixture
def open_page(browser: Browser, studio: str, wrong: list[str]) -> Iterator[Opened]:
    """Opens pages by their paths. Fails if the console, a request or the page says an error."""
    refused = [_REFUSED]

    def watch(page: Page) -> Page:
        page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda said: (
                wrong.append(said.text)
                if said.type in ("error", "warning")
                and not any(one in said.text for one in refused)
                else None
            ),
        )
        page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((studio, "blob:", "data:"))
                else wrong.append(f"a request to {asked.url}")
            ),
        )
        return page

    with ExitStack() as stack:

        def opened(
            path: str, *, context: BrowserContext | None = None, status: int = 200, **options: Any
        ) -> Page:
            refused.append(f"the server responded with a status of {status}")
            if context is None:
                context = browser.new_context(
                    **{
                        "viewport": {"width": 1280, "height": 800},
                        "reduced_motion": "reduce",
                        "timezone_id": "UTC",
                        "locale": "en-US",
                        **options,
                    }
                )
                stack.callback(context.close)
            page = watch(context.new_page())
            page.set_default_timeout(60_000)
            page.goto(studio + path)
            return page

        yield opened
    assert not wrong, wrong

"""A page in a headless browser, and how long it takes to show something."""

from __future__ import annotations

import gzip
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Locator, Page, Route, ViewportSize, sync_playwright

from tests.browsers import ARGUMENTS, browser_path

LIMIT_MS: Final = 120_000
_LOOK_S: Final = 0.005
SIZE: Final[ViewportSize] = {"width": 1280, "height": 800}
FRAMES: Final = """(wanted) => new Promise((resolve) => {
    const times = [];
    const next = (time) => {
        times.push(time);
        if (times.length > wanted) resolve(times.map((one, at) => one - times[at - 1]).slice(1));
        else requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
})"""
"""The milliseconds between so many frames of the page."""


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=[*ARGUMENTS])
        yield browser
        browser.close()


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`runlore studio` of a workspace: its address, without the last slash, and its process."""
    program = "from runlore.cli import main; main()"
    command = [sys.executable, "-c", program, "studio", "-w", str(folder), "--no-browser"]
    server = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip().rstrip("/"), server
    finally:
        server.terminate()
        server.wait(60)


@contextmanager
def page_of(browser: Browser) -> Iterator[Page]:
    """A page with nothing in its cache."""
    context = browser.new_context(viewport=SIZE, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(LIMIT_MS)
    yield page
    context.close()


def now_ms(page: Page) -> float:
    """The page's clock, in milliseconds since it was asked for."""
    return float(page.evaluate("performance.now()"))


def wait_for(shown: Locator) -> None:
    """Until the first one of some elements is visible; looks all the time.

    Playwright's own `wait_for` looks after 20, 70, 170, 270 and 770 ms, and so on.
    """
    until = time.monotonic() + LIMIT_MS / 1e3
    while not shown.first.is_visible():
        if time.monotonic() > until:
            raise TimeoutError(f"nothing is shown of {shown}")
        time.sleep(_LOOK_S)


def first_content_ms(browser: Browser, address: str, shown: str, repeat: int) -> float:
    """From asking for a page until a first element of a selector is visible; the median."""
    took = []
    for _ in range(repeat):
        with page_of(browser) as page:
            page.goto(address, wait_until="commit")
            wait_for(page.locator(shown))
            took.append(now_ms(page))
    return statistics.median(took)


def text_that_comes(shown: Locator, *, after: str = "", wanted: str | None = None) -> str:
    """The text of an element when it is another one, or has what is wanted; looks all the time.

    Playwright's own expectations look again after a quarter of a second.
    """
    until = time.monotonic() + LIMIT_MS / 1e3
    while time.monotonic() < until:
        text = shown.text_content() or ""
        if text != after if wanted is None else wanted in text:
            return text
        time.sleep(_LOOK_S)
    raise TimeoutError(f"nothing came in place of {after!r}, with {wanted!r}")


def change_ms(
    page: Page,
    change: Callable[[int], None],
    is_shown: Callable[[int], None],
    repeat: int,
    *,
    prepare: Callable[[int], None] = lambda turn: None,
) -> float:
    """From a change until its result is shown; the median. All get the number of the turn.

    `prepare` is what a person does before, such as to write.
    """
    took = []
    for turn in range(repeat):
        prepare(turn)
        before = now_ms(page)
        change(turn)
        is_shown(turn)
        took.append(now_ms(page) - before)
    return statistics.median(took)


def scripts_of(browser: Browser, address: str, shown: str) -> Mapping[str, int]:
    """The compressed bytes of each script that came before the first content, by its path."""
    found: dict[str, int] = {}

    def keep(route: Route) -> None:
        answer = route.fetch()
        if "javascript" in answer.headers.get("content-type", ""):
            path = re.sub(r"^https?://[^/]+", "", route.request.url)
            found[path] = len(gzip.compress(answer.body()))
        route.fulfill(response=answer)

    with page_of(browser) as page:
        page.route("**/static/**", keep)
        page.goto(address, wait_until="commit")
        page.locator(shown).first.wait_for()
        return dict(found)

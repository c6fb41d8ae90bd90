"""The server: its start, how late a point is on the screen, and the cost of many tabs."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import psutil
from playwright.sync_api import Browser

from benchmarks.harness import Result, at_most, sized
from benchmarks.studio.browser import page_of, serving, text_that_comes, wait_for
from runlore import Experiment, Workspace

_TABS: Final = 50
_LOGS_PER_S: Final = 200
_OLD_S: Final = 60.0
"""A run of this age writes its values into the log every few seconds only."""


def start(browser: Browser, folder: Path, repeat: int) -> Iterator[Result]:
    """From `runlore studio` to the first page of a workspace that is caught up."""
    took = []
    for _ in range(repeat + 1):
        before = time.perf_counter()
        with serving(folder) as (address, _), page_of(browser) as page:
            page.goto(f"{address}/", wait_until="commit")
            wait_for(page.get_by_role("link", name="vision"))
            took.append(time.perf_counter() - before)
    yield Result(
        "from `runlore studio` to the first page",
        statistics.median(took[1:]),
        None,
        "",
        "s",
        repeat,
        (at_most(1.5),),
    )


def live(browser: Browser, folder: Path, repeat: int) -> Iterator[Result]:
    """From `log` to the point on the screen, of a run that is a minute old."""
    with Workspace.create("live", path=folder) as workspace:
        run = Experiment(workspace, "live").start_logging(outputs=False, snapshot_directory=None)
        run.log("loss", 0.5)
        run.flush()
        time.sleep(sized(int(_OLD_S), 2))
        took = []
        with serving(folder) as (address, _), page_of(browser) as page:
            page.goto(f"{address}/run/{run.id}/metrics")
            page.locator(".chart .uplot").first.wait_for()
            for turn in range(repeat):
                before = time.perf_counter()
                run.log("loss", 1000 + turn)
                text_that_comes(page.locator(".chart").first, wanted=f"{turn + 2} points")
                took.append(time.perf_counter() - before)
                time.sleep(0.7)
        run.complete()
    yield Result(
        "from `log` to the point on the screen",
        statistics.median(took),
        None,
        "",
        "s",
        repeat,
        (at_most(1),),
        f"slowest {max(took):.2f} s",
    )


def tabs(folder: Path) -> Iterator[Result]:
    """The server's share of a core and its memory: 50 streams beside 200 values and a tag a second.

    A browser has one stream for all of its tabs; here each tab is a browser of its own.
    """
    duration_s = sized(20, 3)
    stop = threading.Event()
    with ExitStack() as stack:
        workspace = stack.enter_context(Workspace.create("busy", path=folder))
        address, server = stack.enter_context(serving(folder))
        writer = threading.Thread(target=_write, args=(workspace, stop), daemon=True)
        writer.start()
        readers = [
            threading.Thread(target=_listen, args=(address, stop), daemon=True)
            for _ in range(_TABS)
        ]
        for reader in readers:
            reader.start()
        time.sleep(2)
        process = psutil.Process(server.pid)
        before = process.cpu_times()
        time.sleep(duration_s)
        after = process.cpu_times()
        memory = process.memory_info().rss
        stop.set()
        writer.join()
    spent = after.user + after.system - before.user - before.system
    yield Result(
        f"{_TABS} tabs on a busy workspace",
        100 * spent / duration_s,
        None,
        "",
        "% of a core",
        1,
        (at_most(8),),
    )
    yield Result("memory of that server", memory / 1e6, None, "", "MB", 1, (at_most(250),))


def _write(workspace: Workspace, stop: threading.Event) -> None:
    run = Experiment(workspace, "busy").start_logging(outputs=False, snapshot_directory=None)
    number = 0
    while not stop.wait(1 / _LOGS_PER_S):
        run.log("loss", 1 / (number + 1))
        if number % _LOGS_PER_S == 0:
            run.tag("at", str(number))
        number += 1
    run.complete()


def _listen(address: str, stop: threading.Event) -> None:
    with (
        httpx.Client(trust_env=False, timeout=None) as client,
        client.stream("GET", f"{address}/api/feed") as answer,
    ):
        for _ in answer.iter_lines():
            if stop.is_set():
                return

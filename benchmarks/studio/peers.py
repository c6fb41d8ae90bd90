"""The pages of MLflow and trackio with as many runs, in the same browser."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import httpx
from playwright.sync_api import Browser
from playwright.sync_api import Error as BrowserError

from benchmarks.fresh import Interpreter, WorkloadFailed, fresh, kill
from benchmarks.harness import Result, not_run
from benchmarks.peers.environments import PEERS, QUIET, CannotInstall
from benchmarks.studio.browser import first_content_ms

_START_S: Final = 120.0
_PORT: Final = ("--port", "{port}")


class _Page(NamedTuple):
    """A peer's table of runs: how it is served, where it is, and a first row of it."""

    peer: str
    command: Sequence[str]
    path: str
    row: str


_PAGES: Final = (
    _Page(
        "mlflow-sqlite",
        ("-m", "mlflow", "ui", "--backend-store-uri", "sqlite:///{folder}/mlflow.db", *_PORT),
        "/#/experiments/1/runs",
        "[role=row] a[href*='/runs/']",
    ),
    _Page(
        "trackio",
        ("-c", "import trackio; trackio.show(project='bench', open_browser=False)"),
        "/?project=bench",
        "text=metric_0",
    ),
)


def pages(
    browser: Browser, folder: Path, runs: int, budget_s: float, repeat: int
) -> Iterator[Result]:
    """The first content of each peer's page, or why there is none."""
    for page in _PAGES:
        what = f"{page.peer}: first content of its page of runs"
        place = folder / page.peer
        place.mkdir()
        try:
            [peer] = [peer for peer in PEERS if peer.name == page.peer]
            interpreter = Interpreter(python=peer.python, variables=QUIET)
            made = fresh(
                "benchmarks.peers.filled",
                *(page.peer, place, runs, budget_s),
                interpreter=interpreter,
            )["made"]
            with served(page.command, interpreter, place) as address:
                first_content_ms(browser, address + page.path, page.row, 1)
                took = first_content_ms(browser, address + page.path, page.row, repeat)
        except (CannotInstall, WorkloadFailed, BrowserError, TimeoutError) as error:
            yield not_run(what, str(error).splitlines()[0][:100], unit="ms")
            continue
        yield Result(what, took, None, "", "ms", repeat, (), f"{made:,} runs")


@contextmanager
def served(command: Sequence[str], interpreter: Interpreter, folder: Path) -> Iterator[str]:
    """The address of a peer's server, without the last slash.

    `{folder}` and `{port}` in its command stand for the store and for a free port; trackio and
    Gradio read them from variables. Raises TimeoutError if it does not answer.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        **os.environ,
        **interpreter.variables,
        "TRACKIO_DIR": str(folder / "trackio"),
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            [interpreter.python, *(part.format(folder=folder, port=port) for part in command)],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            kill(server)


def _wait_for(address: str, server: subprocess.Popen[str]) -> None:
    give_up_at = time.monotonic() + _START_S
    while time.monotonic() < give_up_at and server.poll() is None:
        try:
            if httpx.get(address, trust_env=False, timeout=5).status_code < 500:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise TimeoutError(f"its server did not answer within {_START_S:g} s")

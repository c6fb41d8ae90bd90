"""The tools: where each runs, how its store is filled and its pages are served."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.fresh import Interpreter, WorkloadFailed, fresh, kill, start
from benchmarks.peers.environments import QUIET, pin_of, python_with
from benchmarks.studio.browser import serving
from benchmarks.studio.peers import served

_SHOW: Final = "import trackio; trackio.show(project='vision', open_browser=False)"


class Tool(NamedTuple):
    """A tracker by the name of its package; `command` serves the pages of its store."""

    name: str
    command: Sequence[str] = ()

    @property
    def title(self) -> str:
        """Its name and version."""
        if self.name == "runlore":
            return f"runlore {version('runlore')}"
        return pin_of(self.name).replace("==", " ")

    @property
    def interpreter(self) -> Interpreter:
        """Raises CannotInstall."""
        python = sys.executable if self.name == "runlore" else python_with(self.name)
        return Interpreter(python=python, variables=QUIET)


TOOLS: Final = (
    Tool("runlore"),
    Tool(
        "mlflow",
        (
            *("-m", "mlflow", "ui", "--backend-store-uri", "sqlite:///{folder}/mlflow.db"),
            *("--port", "{port}"),
        ),
    ),
    Tool("aim", ("-m", "aim", "up", "--repo", "{folder}", "--port", "{port}")),
    Tool("trackio", ("-c", _SHOW)),
)


@contextmanager
def with_trainings(tool: Tool, folder: Path) -> Iterator[str]:
    """The address of the tool's pages; its store has all trainings, and the newest one goes on.

    Raises CannotInstall, WorkloadFailed, TimeoutError.
    """
    fresh(_FILLED, tool.name, folder, "past", interpreter=tool.interpreter)
    with (folder / "live.log").open("w", encoding="utf-8") as errors:
        live = start(
            _FILLED, tool.name, folder, "live", interpreter=tool.interpreter, errors=errors
        )
        try:
            _wait_for_a_line(live.stdout)
            with _pages(tool, folder) as address:
                yield address
        finally:
            kill(live)


_FILLED: Final = "benchmarks.studio.beside.filled"


@contextmanager
def _pages(tool: Tool, folder: Path) -> Iterator[str]:
    if tool.name == "runlore":
        with serving(folder / "lab") as (address, _):
            yield address
    else:
        with served(tool.command, tool.interpreter, folder) as address:
            yield address


def _wait_for_a_line(output: object) -> None:
    """Until the live training has said that it logs."""
    for line in output:  # type: ignore[attr-defined]  # a pipe, which is there
        if line.startswith("{"):
            return
    raise WorkloadFailed("the live training has ended")

"""What the SDK's tests share: a working folder of their own, and both kinds of workspace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from runlore import Experiment, Run, Workspace
from runlore.entry import context
from runlore.entry.wiring import memory_session
from runlore.workspace import workspace_of
from tests.fresh_python import without_settings

if TYPE_CHECKING:
    from tests.postgres.server import Server

ON_POSTGRES: Final = bool(os.environ.get("RUNLORE_TEST_POSTGRES"))
"""Whether the tests of the SDK run on workspaces in PostgreSQL: `make test-postgres`."""

KINDS: Final = (
    ["postgres"] if ON_POSTGRES else [pytest.param("folder", marks=pytest.mark.on_disk), "memory"]
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder: empty, outside of any repository and without anybody's settings."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in os.environ.keys() - without_settings(os.environ).keys():
        monkeypatch.delenv(name)
    context.forget()
    yield folder
    context.forget()


@pytest.fixture
def folder_ws(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace in a folder."""
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        yield workspace


@pytest.fixture(params=KINDS)
def ws(request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """A workspace in a folder, and the kind that offline runs live in; or one on a server."""
    if request.param == "memory":
        with in_memory("lab") as workspace:
            yield workspace
    elif request.param == "folder":
        yield request.getfixturevalue("folder_ws")
    else:
        server: Server = request.getfixturevalue("server")
        uri = server.uri(f"test_{os.urandom(8).hex()}")
        with Workspace.create("lab", path=uri) as workspace:
            yield workspace


@pytest.fixture
def exp(ws: Workspace) -> Experiment:
    """An experiment without runs."""
    return Experiment(ws, "explore-runs")


@pytest.fixture
def run(exp: Experiment) -> Run:
    """A run that keeps neither files nor a snapshot."""
    return start(exp)


def in_memory(name: str) -> Workspace:
    """A workspace of the kind that offline runs live in."""
    return workspace_of(memory_session(name))


def start(exp: Experiment, **options: object) -> Run:
    """A run that keeps neither files nor a snapshot, unless the options say so."""
    return exp.start_logging(**{"outputs": False, "snapshot_directory": None, **options})  # type: ignore[arg-type]  # whatever the test wants to give


def seen_again(run: Run) -> Run:
    """The run as somebody else finds it, who has read nothing of it yet."""
    return run.experiment.workspace.get_run(run.id)

"""A process whose log a newer runlore has written to: it reads on, and what it logs is not lost."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.events import LOG_VERSION
from runlore.storage.errors import LogTooNew
from runlore.testing.logs import asking_for
from runlore.workspace import session_of
from tests.workspaces import in_memory, start


@pytest.fixture
def run(folder_ws: Workspace) -> Iterator[Run]:
    """A run with one value in the log, one in the spool, and a log that is too new since."""
    run = start(Experiment(folder_ws, "explore-runs"), run_id="first")
    run.log("loss", 1.0)
    run.flush()
    make_too_new(folder_ws)
    run.log("loss", 0.5)
    with warnings.catch_warnings():  # Of the thread that writes values.
        warnings.simplefilter("ignore", RuntimeWarning)
        yield run
        folder_ws.close()


def make_too_new(ws: Workspace) -> None:
    event = asking_for(LOG_VERSION + 1, "run/of-a-newer-runlore")
    session_of(ws).log.append([event._replace(topic="run.promoted")])


def make_known(folder: Path) -> None:
    """As if this runlore was upgraded."""
    with closing(sqlite3.connect(folder / "log.sqlite")) as connection:
        connection.execute(f"PRAGMA user_version={LOG_VERSION}")


def test_changes_and_flushes_say_so(run: Run) -> None:
    for change in (
        lambda: run.tag("quality", "great"),
        lambda: run.add_properties({"author": "me"}),
        run.child_run,
        run.flush,
    ):
        with pytest.raises(LogTooNew, match="upgrade runlore"):
            change()


def test_all_values_are_read(folder_ws: Workspace, run: Run) -> None:
    assert run.get_metrics() == {"loss": [1.0, 0.5]}
    run.log("loss", 0.25)
    assert run.values("loss").values.tolist() == [1.0, 0.5, 0.25]
    assert [one.id for one in Experiment(folder_ws, "explore-runs").get_runs()] == ["first"]
    assert folder_ws.sql("SELECT value FROM metric_points").fetchall() == [(1.0,)]
    assert [change.what for change in run.history()] == ["created", "values_logged"]


def test_values_wait_for_the_upgrade(folder_ws: Workspace, run: Run) -> None:
    folder = folder_ws.path
    assert folder is not None
    folder_ws.close()
    assert list((folder / "spools").iterdir())

    make_known(folder)

    with Workspace.open(folder) as ws:
        assert ws.get_run("first").get_metrics() == {"loss": [1.0, 0.5]}
        assert ws.sql("SELECT value FROM metric_points").fetchall() == [(1.0,), (0.5,)]
        assert ws.audit.verify().holds
    assert list((folder / "spools").iterdir()) == []


def test_closing_says_once_that_values_wait(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "explore-runs"))
    make_too_new(folder_ws)
    run.log("loss", 0.5)

    with pytest.warns(RuntimeWarning, match="keep waiting: .*upgrade runlore"):
        folder_ws.close()


def test_values_in_memory_are_not_given_up_silently() -> None:
    ws = in_memory("lab")
    run = start(Experiment(ws, "explore-runs"))
    make_too_new(ws)
    run.log("loss", 0.5)

    with pytest.raises(LogTooNew):
        ws.close()
    assert run.get_metrics() == {}

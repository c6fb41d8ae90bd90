"""A server that is away: logging goes on, changes wait, and the rest is written later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Workspace
from runlore.exceptions import LogBusy, ValuesDropped
from runlore.storage import value_buffer
from runlore.storage.spool_format import SEGMENT_NBYTES, SLOT
from runlore.testing.waiting import LIMIT_S, wait_until
from runlore.workspace import session_of
from tests.postgres.server import Server, running_server

pytestmark = [pytest.mark.long, pytest.mark.processes]

SETUP = "import runlore, sys, time\nrun = runlore.init(experiment='e', quiet=True)\n"


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that these tests stop."""
    with running_server() as server:
        yield server


@pytest.fixture
def uri(own: Server, schema: str) -> str:
    if not own.answers():
        own.start()
    return own.uri(schema)


@pytest.fixture
def ws(uri: str) -> Iterator[Workspace]:
    with Workspace.create("team", path=uri) as workspace:
        yield workspace


def training(uri: str, code: str, **variables: str) -> subprocess.Popen[str]:
    """A process that prints its run's id, and then does what the code says."""
    env = {**os.environ, "RUNLORE_WORKSPACE_URI": uri, **variables}
    return subprocess.Popen(
        [sys.executable, "-c", f"{SETUP}print(run.id, flush=True)\n{code}"],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_training_does_not_notice_that_the_server_is_away(
    own: Server, ws: Workspace, uri: str
) -> None:
    code = """
worst = 0.0
for i in range(100):
    began = time.perf_counter()
    run.log("loss", i)
    worst = max(worst, time.perf_counter() - began)
    time.sleep(0.04)
print(worst, flush=True)
"""
    with training(uri, code) as process:
        run_id = line(process)
        own.stop(signal.SIGQUIT)
        worst = float(line(process))  # It has logged all of it while the server was away.
        own.start()
        assert process.wait(LIMIT_S) == 0

    run = ws.get_run(run_id)
    assert worst < 1.0
    # A server that recovers for longer than a process waits at its end gets the end later.
    wait_until(lambda: run.get_status() == "Completed", "the end")
    assert run.get_metrics()["loss"] == list(range(100))


def test_an_end_that_cannot_be_recorded_waits_for_the_next_process(
    own: Server, ws: Workspace, uri: str
) -> None:
    code = "run.log('loss', 1)\nsys.stdin.read()\nraise ValueError('bad luck')"
    with training(uri, code) as process:
        run_id = line(process)
        own.stop(signal.SIGQUIT)
        began = time.monotonic()
        _, said = process.communicate(timeout=LIMIT_S)
        took_s = time.monotonic() - began
        own.start()

    assert process.returncode == 1
    assert took_s < 12  # Five seconds of patience, and the start of Python.
    assert f"the end of run {run_id} is not recorded yet" in said
    with Workspace.open(uri) as again:
        run = again.get_run(run_id)
        assert run.get_status() == "Failed"
        assert "bad luck" in str(run.get_details()["error"])
        assert run.get_metrics() == {"loss": 1.0}


def test_values_of_a_killed_process_come_with_the_next_one_on_this_host(
    ws: Workspace, uri: str
) -> None:
    code = "run.log('loss', 1)\nprint('logged', flush=True)\nsys.stdin.read()"
    with training(uri, code) as process:
        run_id = line(process)
        assert line(process) == "logged"
        process.kill()
        process.communicate(timeout=LIMIT_S)

    with Workspace.open(uri) as again:
        run = again.get_run(run_id)
        assert run.get_metrics() == {"loss": 1.0}
        assert run.get_status() == "Failed"


def test_a_change_waits_for_the_server_and_then_says_that_it_is_away(
    own: Server, ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(ws)
    log: Any = session_of(ws).log
    monkeypatch.setattr(log.connections, "wait_s", 1.0)
    own.stop(signal.SIGQUIT)
    began = time.monotonic()
    with pytest.raises(LogBusy, match=r"cannot be reached.*it is safe to try again"):
        run.tag("a", "b")
    assert 0.9 < time.monotonic() - began < 8

    own.start()
    run.tag("a", "c")
    assert run.get_tags() == {"a": "c"}
    run.complete()


def test_values_that_find_no_room_are_counted_and_the_count_is_recorded(
    own: Server, ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With three small files in place of 256: two of them are there already."""
    run = start(ws)
    run.log("other", 0.0)
    run.flush()
    buffer: Any = session_of(ws)._use.shared.values  # type: ignore[attr-defined]
    buffer._spool._files_max = 3
    monkeypatch.setattr(session_of(ws).log.connections, "wait_s", 0.5)  # type: ignore[attr-defined]
    own.stop(signal.SIGQUIT)
    room = 3 * SEGMENT_NBYTES // SLOT
    with pytest.warns(RuntimeWarning) as warned:
        for step in range(room + 1_000):
            run.log("loss", 1.0, step=step)
    own.start()

    told = [str(one.message) for one in warned if "dropped" in str(one.message)]
    assert len(told) == 1
    with pytest.raises(ValuesDropped, match="were dropped"):
        run.flush()
    alerts = ws.sql("SELECT level, title, text FROM alerts").fetchall()
    assert {(level, title) for level, title, _ in alerts} == {("error", "values dropped")}
    dropped = sum(int(text.split(" ")[0].replace(",", "")) for *_, text in alerts)
    assert 900 <= dropped < room
    assert len(run.get_metrics()["loss"]) == room + 1_000 - dropped
    assert buffer._spool._files <= 2
    run.complete()


def test_a_large_backlog_is_written_in_parts(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(ws)
    log: Any = session_of(ws).log
    monkeypatch.setattr(value_buffer, "_REGIONS_AT_ONCE", 1)
    monkeypatch.setattr(value_buffer.ValueBuffer, "_start", lambda self: None)
    before = log.last_position()
    count = 2 * SEGMENT_NBYTES // SLOT + 10
    for step in range(count):
        run.log("loss", 1.0, step=step)
    run.flush()

    assert log.last_position() - before >= 3
    assert len(run.get_metrics()["loss"]) == count
    run.complete()


def start(ws: Workspace) -> Any:
    return Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None)

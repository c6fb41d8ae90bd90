"""Processes of several machines in one workspace: each machine has a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.storage import presence
from runlore.testing.waiting import LIMIT_S, wait_until
from runlore.workspace import session_of
from tests.postgres.server import Server

pytestmark = [pytest.mark.long, pytest.mark.processes]


class Host:
    """A machine: processes that share a folder, and no locks with those of other machines."""

    def __init__(self, name: str, uri: str, folder: Path) -> None:
        self.name = name
        self._uri = uri
        self._variables = {
            "RUNLORE_SPOOL_DIR": str(folder / name),
            "RUNLORE_WORKSPACE_URI": uri,
        }

    def start(self, code: str) -> subprocess.Popen[str]:
        """A process of the machine that runs the code and obeys lines on its stdin."""
        named = f"""
import os
name = os.uname()
os.uname = lambda: os.uname_result((name[0], {self.name!r}, *name[2:]))
import runlore, sys, time
"""
        return subprocess.Popen(
            [sys.executable, "-c", named + code],
            env={**os.environ, **self._variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def run(self, code: str) -> str:
        """What a process of the machine prints."""
        with self.start(code) as process:
            said, errors = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, errors
        return said


@pytest.fixture
def ws(server: Server, schema: str) -> Iterator[Workspace]:
    with Workspace.create("team", path=server.uri(schema)) as workspace:
        yield workspace


@pytest.fixture
def hosts(ws: Workspace, tmp_path: Path) -> tuple[Host, Host]:
    return Host("north", ws.uri, tmp_path), Host("south", ws.uri, tmp_path)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    assert said or process.stderr is None, process.stderr.read()
    return said


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


DAY_S = 24 * 3600
START = "run = runlore.init(experiment='e', quiet=True)\nprint(run.id, flush=True)\n"
LOGGING = f"{START}run.log('a', 1)\nrun.flush()\nprint(1, flush=True)\nsys.stdin.read()"


def heard_of(ws: Workspace) -> dict[str, presence.Heard]:
    """The writers that the server has heard of, by their machines."""
    known = session_of(ws).log.presence
    assert known is not None
    return {one.process.host: one for one in known.heard()}


def test_a_run_goes_on_while_a_process_of_another_machine_takes_part(
    ws: Workspace, hosts: tuple[Host, Host]
) -> None:
    north, south = hosts
    with north.start(f"{START}sys.stdin.readline()\nrun.log('a', 1)\n") as first:
        run_id = line(first)
        joining = f"""
run = runlore.Workspace.open(os.environ["RUNLORE_WORKSPACE_URI"]).get_run({run_id!r})
run.log("b", 2)
run.flush()
print("logged", flush=True)
sys.stdin.readline()
run.log("b", 3)
"""
        with south.start(joining) as second:
            assert line(second) == "logged"
            wait_until(lambda: run_id in heard_of(ws)["south"].parts, "the second part")
            go_on(first)
            assert first.wait(LIMIT_S) == 0
            assert ws.get_run(run_id).get_status() == "Running"
            go_on(second)
            assert second.wait(LIMIT_S) == 0

    assert ws.get_run(run_id).get_metrics() == {"a": 1.0, "b": [2.0, 3.0]}


def test_a_process_that_died_on_another_machine_is_lost_when_it_was_silent_for_long(
    ws: Workspace, hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    with hosts[0].start(LOGGING) as one:
        run_id = line(one)
        assert line(one) == "1"
        wait_until(lambda: "north" in heard_of(ws), "the first sign of life")
        one.kill()
        one.communicate(timeout=LIMIT_S)

    with Workspace.open(ws.uri) as soon:
        assert soon.get_run(run_id).get_status() == "Running"
        told = soon.overview()
        assert [one["host"] for one in told["writers"] if one["host"] == "north"] == ["north"]
        assert "log_nbytes" not in told  # The server has it.
    time.sleep(0.3)
    monkeypatch.setattr(presence, "ALIVE_S", 0.1)
    monkeypatch.setattr(presence, "DEAD_S", 0.2)
    with Workspace.open(ws.uri) as later:
        run = later.get_run(run_id)
        assert run.get_status() == "Failed"
        assert "on north" in str(run.get_details()["error"])
        assert "north" not in heard_of(later)


@pytest.mark.parametrize("off_s", [0, DAY_S, -DAY_S])
def test_a_process_that_counted_as_dead_is_believed_when_it_comes_back(
    off_s: int, ws: Workspace, hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if its machine's clock is a day off."""
    clock = f"own = time.time_ns\ntime.time_ns = lambda: own() + {off_s} * 10**9\n"
    with hosts[0].start(f"{clock}{START}sys.stdin.readline()\nrun.log('a', 1)\n") as one:
        run_id = line(one)
        wait_until(lambda: "north" in heard_of(ws), "the first sign of life")
        with monkeypatch.context() as changed:
            changed.setattr(presence, "ALIVE_S", -2.0)
            changed.setattr(presence, "DEAD_S", -1.0)
            with Workspace.open(ws.uri) as hasty:
                assert hasty.get_run(run_id).get_status() == "Failed"
        go_on(one)
        assert one.wait(LIMIT_S) == 0

    assert ws.get_run(run_id).get_status() == "Completed"
    assert ws.get_run(run_id).get_metrics() == {"a": 1.0}


def test_a_submitted_run_of_another_machine_is_not_lost(
    ws: Workspace,
    hosts: tuple[Host, Host],
    tmp_path: Path,
    server: Server,
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(
        "import pathlib, time\n"
        "from runlore import Run\n"
        "Run.get_context().log('a', 1)\n"
        f"while not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.05)\n"
    )
    submitting = f"""
from runlore import Experiment, ScriptRunConfig, Workspace
ws = Workspace.open(os.environ["RUNLORE_WORKSPACE_URI"])
config = ScriptRunConfig(source_directory={str(source)!r}, script="train.py")
print(Experiment(ws, "e").submit(config).id)
"""
    run_id = hosts[0].run(submitting).strip()
    with Workspace.open(ws.uri) as here:
        run = here.get_run(run_id)
        wait_until(lambda: run.get_status() == "Running", "the script to run")
        # The server has forgotten all in a crash, and this machine's clock is a day ahead.
        server.execute(f"DELETE FROM {schema}.presence")
        with monkeypatch.context() as changed:
            own = time.time_ns
            changed.setattr(time, "time_ns", lambda: own() + DAY_S * 10**9)
            with Workspace.open(ws.uri) as anew:
                assert anew.get_run(run_id).get_status() == "Running"
        (tmp_path / "go").touch()
        wait_until(lambda: run.get_status() == "Completed", "the script to end")
        assert run.get_metrics() == {"a": 1.0}


def test_two_machines_write_to_one_workspace_at_once(
    ws: Workspace, hosts: tuple[Host, Host]
) -> None:
    writing = f"{START}for i in range(500): run.log('a', i)\n"
    with hosts[0].start(writing) as one, hosts[1].start(writing) as other:
        ids = [line(one), line(other)]
        assert (one.wait(LIMIT_S), other.wait(LIMIT_S)) == (0, 0)

    for run_id in ids:
        run = ws.get_run(run_id)
        assert run.get_status() == "Completed"
        assert run.get_metrics()["a"] == list(range(500))
    assert {found.id for found in Experiment(ws, "e").get_runs()} == set(ids)

"""What a workspace says of itself: where it is, what it holds, what waits, and who writes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.testing.waiting import wait_until
from tests.workspaces import in_memory, start

WRITES = """
import os, signal, sys
from runlore import Experiment, Workspace
ws = Workspace.open(sys.argv[1])
run = Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None)
run.log("loss", 0.5)
run.log_metrics({"a": 1, "b": 2})
print(run.id, flush=True)
os.kill(os.getpid(), signal.SIGSTOP)  # What waits keeps waiting.
"""


def test_runs_are_counted_by_status_with_children_and_archived_ones(folder_ws: Workspace) -> None:
    parent = start(Experiment(folder_ws, "one"))
    parent.create_children(2)
    ended = start(Experiment(folder_ws, "two"))
    ended.complete()
    ended.archive()

    found = folder_ws.overview()

    assert found["folder"] == str(folder_ws.path) and found["uri"] == folder_ws.uri
    assert (found["experiments"], found["runs"]) == (2, 4)
    assert found["runs_by_status"] == {"Running": 3, "Completed": 1}
    assert found["events"] == folder_ws.position
    [(last,)] = folder_ws.sql("SELECT max(recorded_at) FROM events").fetchall()
    assert found["last_event"] == last.isoformat()
    assert folder_ws.path is not None
    assert found["log_nbytes"] >= (folder_ws.path / "log.sqlite").stat().st_size


def test_an_empty_workspace_and_one_in_memory_say_so(folder_ws: Workspace) -> None:
    assert (folder_ws.overview()["runs"], folder_ws.overview()["runs_by_status"]) == (0, {})
    with in_memory("lab") as ws:
        assert ws.overview()["folder"] is None and "writers" not in ws.overview()


@pytest.mark.processes
def test_processes_that_write_are_named_with_what_waits(tmp_path: Path) -> None:
    Workspace.create("lab", path=tmp_path / "ws").close()
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(tmp_path / "ws")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    )
    with process, Workspace.open(tmp_path / "ws") as ws:
        assert process.stdout is not None and process.stdout.readline()
        stopped = Path(f"/proc/{process.pid}/stat")
        wait_until(lambda: stopped.read_text().split()[2] == "T", "it has stopped")
        found = ws.overview()
        [(logged,)] = ws.sql("SELECT count(*) FROM metric_points").fetchall()
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)

        [writer] = found["writers"]
        assert (writer["pid"], writer["uid"]) == (process.pid, os.getuid())
        assert found["waiting_values"] == writer["waiting_values"] == 3 - logged
        then = ws.overview()
        assert process.pid not in {each["pid"] for each in then["writers"]}
        assert then["waiting_values"] == 0


def test_the_past_has_no_size_and_no_writers(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "one"))
    then = folder_ws.position
    run.complete()

    found = folder_ws.as_of(then).overview()

    assert found["runs_by_status"] == {"Running": 1} and found["events"] == then
    assert not {"log_nbytes", "waiting_values", "writers"} & found.keys()

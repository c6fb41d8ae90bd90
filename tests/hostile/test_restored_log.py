"""A log that is restored from a backup, while all that was made from it is newer.

Tables and generations in the user's cache, the spool of a killed process, and the lock of its
writer know of events that the restored log does not have.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.processes import start_python

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.on_disk, pytest.mark.slow]

PROGRAM = """
import json, os, signal, sys
from runlore import Experiment, Workspace
from runlore.workspace import session_of

ws = Workspace.create("lab", path=sys.argv[1], exist_ok=True)
exp = Experiment(ws, "e")

def show():
    ask = lambda query: sorted(map(list, ws.sql(query).fetchall()))
    print(json.dumps({
        "tags": ask("SELECT key, value FROM tags"),
        "values": ask("SELECT run_id, value FROM metric_points"),
        "runs": ask("SELECT run_id FROM runs"),
        "read": {run.id: run.get_metrics()["v"] for run in exp.get_runs()},
        "holds": ws.audit.verify().holds and ws.audit.replay().holds,
    }))

def publish():
    ws.sql("SELECT count(*) FROM runs").fetchall()
    session_of(ws).reader().projection.publish()
"""

FIRST = """
run = exp.start_logging(outputs=False, snapshot_directory=None, run_id="a")
run.log_list("v", [0.0, 1.0])
run.tag("k", "old")
run.flush()
publish()
"""

MORE = """
run = next(iter(exp.get_runs()))
run.tag("k", "new")
run.tag("k2")
run.log_list("v", [2.0, 3.0])
other = exp.start_logging(outputs=False, snapshot_directory=None, run_id="b")
other.log("v", 9.0)
run.flush()
publish()
run.log("v", 4.0)
os.kill(os.getpid(), signal.SIGKILL)
"""

AFTER = """
show()
run = next(iter(exp.get_runs()))
run.log("v", 5.0)
run.tag("k3")
run.flush()
show()
"""


def run_program(code: str, lab: Path) -> list[dict[str, object]]:
    with start_python(PROGRAM + code, lab) as process:
        said, _ = process.communicate()
    return [json.loads(line) for line in said.splitlines()]


@pytest.mark.parametrize("how", ["into the file", "as another file", "with the folder"])
def test_what_is_newer_than_a_restored_log_changes_no_answer(tmp_path: Path, how: str) -> None:
    lab, backup = tmp_path / "lab", tmp_path / "backup"
    run_program(FIRST, lab)
    shutil.copytree(lab, backup)
    run_program(MORE, lab)
    if how == "with the folder":
        shutil.rmtree(lab)
        shutil.copytree(backup, lab)
    else:
        for suffix in ("-wal", "-shm"):
            (lab / f"log.sqlite{suffix}").unlink()
        if how == "into the file":
            (lab / "log.sqlite").write_bytes((backup / "log.sqlite").read_bytes())
        else:
            (backup / "log.sqlite").rename(lab / "log.sqlite")

    restored, later = run_program(AFTER, lab)

    # What is still in the killed process's spool comes back, and nothing twice.
    values = [0.0, 1.0] if how == "with the folder" else [0.0, 1.0, 2.0, 3.0, 4.0]
    assert restored == {
        "tags": [["k", "old"]],
        "values": [["a", value] for value in values],
        "runs": [["a"]],
        "read": {"a": values},
        "holds": True,
    }
    assert later == {
        "tags": [["k", "old"], ["k3", None]],
        "values": [["a", value] for value in [*values, 5.0]],
        "runs": [["a"]],
        "read": {"a": [*values, 5.0]},
        "holds": True,
    }

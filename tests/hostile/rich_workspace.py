"""A workspace with everything in its folder that a workspace can hold, and copies of it.

A copy of a folder is known to be one: its lock files and spools say which files they are. `copied`
therefore makes a copy that looks like the original, in which dead processes are dead.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from runlore import ComputeTarget, Experiment, Run, Workspace
from runlore.storage.file_identity import identity_of
from runlore.storage.spool_format import SEGMENT_NBYTES, pack_header
from runlore.storage.spool_layout import read_header
from runlore.testing.children import Child
from runlore.testing.submitted import STAYS, Project, supervisors_of, wait_until_ready

_WRITES: Final = """
import os
os.makedirs("outputs", exist_ok=True)
open("outputs/model.bin", "w").write("m")
"""
_KEPT_NBYTES: Final = 64 << 10  # Of a spool of 4 MiB, so that copies are cheap.


def make(top: Path) -> Path:
    """Make the workspace, below a folder of its own; returns its folder."""
    project = Project(top)
    folder = top / "lab"
    ComputeTarget.attach(project.ws, "pool", slots=1)
    ended = _logged(project.ws, "ended")
    (top / "weights.bin").write_bytes(b"weights" * 1000)
    ended.upload_file("outputs/weights.bin", str(top / "weights.bin"))
    ended.complete()
    project.ws.audit.new_key(top / "lab.key")
    project.ws.audit.checkpoint(key=top / "lab.key")
    submitted = project.submit(_WRITES + STAYS)
    wait_until_ready(submitted)
    project.ws.close()
    # Whoever reads the workspace from here on takes up what the dead left.
    _die_while_logging(folder)
    _kill(submitted.id)
    _leave_in_pool(folder, ended.id)
    for spool in (folder / "spools").iterdir():
        os.truncate(spool, _KEPT_NBYTES)
    assert os.listdir(folder / "spools") and os.listdir(folder / "writers" / "runs" / "shared")
    assert list(folder.glob("runs/*/source/outputs/model.bin"))
    return folder


def copied(workspace: Path, to: Path) -> Path:
    """A copy of the workspace that looks like the original; returns its folder."""
    shutil.copytree(workspace, to, symlinks=True)
    for lock in (to / "writers").glob("*.lock"):
        with lock.open("r+b") as file:
            content = json.loads(file.readline()) | identity_of(file.fileno())._asdict()
            file.seek(0)
            file.truncate()
            file.write(json.dumps(content).encode() + b"\n")
    for spool in (to / "spools").iterdir():
        with spool.open("r+b") as file:
            header = read_header(file.read(1024))
            if header is not None and header.owner is not None:
                owner = header.owner._replace(file=identity_of(file.fileno()))
                file.seek(0)
                file.write(pack_header(header.lap, owner))
    return to


def _logged(ws: Workspace, run_id: str) -> Run:
    experiment = Experiment(ws, "e")
    run = experiment.start_logging(run_id=run_id, outputs=False, snapshot_directory=None)
    run.tag("quality", "good")
    for value in range(10):
        run.log("loss", float(value))
    run.flush()
    return run


def _kill(run_id: str) -> None:
    """Kill all processes of a submitted run; its folder stays."""
    for process in supervisors_of(run_id):
        with suppress(psutil.NoSuchProcess):  # It ended with the one before it.
            for each in (*process.children(recursive=True), process):
                each.kill()


def _die_while_logging(folder: Path) -> None:
    """Two processes take part in a run; both are killed with values in their spools."""

    def first() -> None:
        _logged(Workspace.open(folder), "shared").log("loss", 10.0)
        os.kill(os.getpid(), signal.SIGKILL)

    def second() -> None:
        run = Workspace.open(folder).get_run("shared")
        run.log("other", 1.0)
        run.flush()
        run.log("other", 2.0)
        os.kill(os.getpid(), signal.SIGKILL)

    for function in (first, second):
        child = Child(function)
        os.waitpid(child.pid, 0)
        child.let_go()


def _leave_in_pool(folder: Path, run_id: str) -> None:
    """What a killed supervisor leaves in its pool, and a hint at a run that is not queued."""
    pool = folder / "pools" / "pool"
    (pool / "queue").mkdir(parents=True)
    (pool / "slot-0").write_text(run_id)
    (pool / "queue" / f"{1:020d}-{run_id}").touch()


assert _KEPT_NBYTES < SEGMENT_NBYTES

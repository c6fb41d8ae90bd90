"""Make the workspaces that stand beside this file, by the code of commit 96927dc.

They were made once, with that commit unpacked in a folder OLD and its environment in /opt/venv, in
a namespace whose host name says nothing about anybody's machine, two years back in time:

    export PYTHONPATH=OLD/src:tests/old/clock
    unshare --uts sh -c 'hostname node1; /opt/venv/bin/python -m tests.old.make'

Each archive `<name>.tar.gz` holds a workspace in `lab/`, and beside it `answers.json`: all that the
old code says of it. They are never made again, because a newer runlore has to read what an older
one wrote. Everything is done by the public package or the command line.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from runlore import Experiment, Run, ScriptRunConfig, Workspace
from runlore.compute import ComputeTarget
from runlore.exceptions import UserErrorException
from tests.old.answers import answers, values_of_run

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
KILLED: Final = "killed"

_TRAIN: Final = """
import runlore
run = runlore.Run.get_context()
for step in range(3):
    run.log("loss", 1 / (step + 1))
run.tag("from", "the script")
print("trained")
"""


def main() -> None:
    """Makes all of them, in a temporary folder."""
    os.environ["RUNLORE_ACTOR"] = "ann"
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        os.chdir(folder)
        for name, make in {
            "spool": make_spool,
            "erasable": make_erasable,
            "audited": make_audited,
            "generations": make_generations,
        }.items():
            place = Path(folder, name)
            place.mkdir()
            expected = make(place)
            (place / "answers.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1))
            archive = HERE / f"{name}.tar.gz"
            pack(place, archive)
            print(archive.name, archive.stat().st_size)


def make_spool(place: Path) -> dict[str, Any]:
    """One whose writer was killed with values in its spool that are not in the log."""
    with Workspace.create("lab", path=place / "lab", tags={"team": "vision"}) as ws:
        record_everything(ws)
    subprocess.run(
        [sys.executable, "-m", __spec__.name, KILLED, place / "lab"], check=False, cwd=ROOT
    )
    expected = _answers_of_a_copy(place / "lab")
    shutil.copytree(place / "lab", "copy")
    with Workspace.open("copy") as ws:  # Which writes into the log what the spool held.
        expected["killed"] = values_of_run(ws, KILLED)
    shutil.rmtree("copy")
    assert len(expected["killed"]) > len(expected["moments"][-1]["runs"][KILLED]["metrics"])
    return expected


def log_and_die(folder: str) -> None:
    """Logs values of every form, and ends by SIGKILL before they are in the log."""
    ws = Workspace.open(folder)
    run = _started(Experiment(ws, "explore-runs"), KILLED)
    run.tag("quality", "great")
    run.log("loss", 1.0)
    run.flush()
    for step in range(1, 20):
        run.log("loss", 1 / (step + 1))
    log_values(run)
    os.kill(os.getpid(), signal.SIGKILL)


def make_erasable(place: Path) -> dict[str, Any]:
    """One whose runs are sealed, two of them erased."""
    with Workspace.create("lab", path=place / "lab", erasable=True) as ws:
        record_everything(ws)
        exp = Experiment(ws, "trials")
        with _started(exp, "forgotten") as run:
            run.tag("participant", "Bob")
            run.log("age", 42)
            run.upload_file("letter.txt", _written("letter.txt", "Dear Bob"))
            with run.child_run(run_id="forgotten-child") as child:
                child.log("age", 43)
        ws.erase_run("forgotten", reason="consent was withdrawn", recursive=True)
        run = _started(exp, "kept")
        run.tag("participant", "Cleo")
        run.complete()
    return _answers_of_a_copy(place / "lab")


def make_audited(place: Path) -> dict[str, Any]:
    """One with a key, two checkpoints, a bundle of a run, and proofs of an event and of growth."""
    with Workspace.create("lab", path=place / "lab") as ws:
        record_everything(ws)
        _audit(place, "key", "new", "lab.key", "--query", "verifier_key", "-o", "tsv", to="lab.pub")
        _audit(place, "checkpoint", "create", "--key", "lab.key", "--export", "elsewhere")
        earlier = ws.position
        with _started(Experiment(ws, "explore-runs"), "later") as run:
            run.tag("quality", "great")
            run.log("loss", 0.5)
        later = ws.position
        _audit(place, "checkpoint", "create", "--key", "lab.key", "--export", "elsewhere")
        _audit(place, "prove", "run/search@1", "-o", "json", to="proof.json")
        _audit(place, "consistency", str(earlier), str(later), "-o", "json", to="growth.json")
        _audit(place, "export", "-r", "search", "-o", "search.bundle")
    return {**_answers_of_a_copy(place / "lab"), "checkpoints": [earlier, later]}


def make_generations(place: Path) -> dict[str, Any]:
    """One with a published generation and a reader's slot, which hold sealed segments."""
    own_projection: Any = import_module("runlore.projections.own_projection")
    own_projection.PUBLISH_AFTER_S = -1.0  # Small ones are not worth a generation.
    with Workspace.create("lab", path=place / "lab") as ws:
        record_everything(ws)
        ws.sql("SELECT count(*) FROM runs").fetchall()
    assert list((place / "lab").glob("projections/*/generations/*/leaf"))
    return _answers_of_a_copy(place / "lab")


def record_everything(ws: Workspace) -> None:
    """What a laboratory may have done by then: every kind of event."""
    exp = Experiment(ws, "explore-runs")
    exp.set_tags({"stage": "first", "key only": None})
    exp.remove_tags(["key only"])
    source = Path("source")
    source.mkdir(exist_ok=True)
    _written("source/train.py", _TRAIN)
    search = exp.start_logging(
        name="old name",
        run_id="search",
        outputs="results",
        snapshot_directory=source,
        display_name="ruhige Sonne ☀",
        tags={"quality": "poor", "key only": None},
    )
    search.description = "line 1\nline 2"
    search.add_properties({"author": "me", "seed": "7"})
    with suppress(UserErrorException):
        search.add_properties({"author": "somebody else"})
    search.correct_property("author", "me and Ann", reason="Ann wrote the loader")
    search.tag("quality", "great", reason="looked at the curve")
    search.remove_tags(["key only"])
    log_values(search)
    _written("results/model.txt", "a model")
    search.upload_file("notes/first.txt", _written("first.txt", "a note"))
    log_documents(search)
    for number, child in enumerate(
        search.create_children(tag_key="alpha", tag_values=["0.1", "1", "10"])
    ):
        child.log("r2", 0.5 + number / 10)
        child.complete()
    with search.child_run("fold", run_id="child", outputs=False) as child:
        child.log("score", 0.8)
        child.child_run(run_id="grandchild", outputs=False).fail("out of memory", "UserError")
    search.child_run(run_id="stopped", outputs=False).cancel(reason="took too long")
    search.complete()
    search.log("late", 1.0)
    search.flush()

    ComputeTarget.attach(ws, "gpu-cluster", slots=2)
    submitted = exp.submit(
        ScriptRunConfig(str(source), "train.py"), tags={"quality": "great"}, run_id="submitted"
    )
    submitted.wait_for_completion()
    ComputeTarget(ws, "gpu-cluster").delete()

    old = Experiment(ws, "retired")
    _started(old, "old").complete()
    old.archive()
    Experiment(ws, "retired").archive()
    old.reactivate()
    _started(exp, "running").flush()


def _started(experiment: Experiment, run_id: str) -> Run:
    return experiment.start_logging(run_id=run_id, outputs=False, snapshot_directory=None)


def log_values(run: Run) -> None:
    """Values of every type, one by one and many at once."""
    for value in (0.5, float("inf"), float("-inf"), float("nan"), -0.0):
        run.log("float", value)
    for number in (1, -(2**63), 2**63 - 1):
        run.log("int", number)
    for other in (2**80, True, "text", None):
        run.log("other", other)
    run.log("stepped", 0.25, step=70)
    run.log("stepped", 0.5, step=-3)
    for step in range(5):
        run.log_metrics({"a": step / 2, "b": step / 4}, step=step)
    run.log_metrics({"c": 1, "d": "text"})
    run.log_batch("batch", np.linspace(0, 1, 9))
    run.log_batch("whole", np.arange(7), steps=np.arange(7) * 10)
    run.log_batch("batch at", np.array([1.0, float("nan")]), steps=[5, 4])
    run.log_batch("whole at", np.arange(3))
    run.log_list("list", [1, 2.5, "three"])
    run.log_row("roc", fpr=0.1, tpr=0.7)
    run.log_row("roc", fpr=0.2, tpr=0.8)
    run.log_row("mixed", label="a", n=1)
    run.log_table("table", {"x": [1, 2, 3], "y": [0.1, 0.2, 0.3]})


def log_documents(run: Run) -> None:
    """The metrics that are kept as files."""
    run.log_image("curve", path=_written("curve.png", "not a real image"))
    for kind in ("confusion_matrix", "accuracy_table", "residuals", "predictions"):
        document = {"schema_type": kind, "schema_version": "1.0.0", "data": {"class_labels": ["a"]}}
        getattr(run, f"log_{kind}")(kind, document)


def pack(place: Path, archive: Path) -> None:
    """The folder as an archive: the same files give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(place.rglob("*")):
            info = tar.gettarinfo(path, str(path.relative_to(place)))
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = 1_700_000_000
            if info.isreg():
                with path.open("rb") as file:
                    tar.addfile(info, file)
            elif info.isdir():
                tar.addfile(info)
    archive.write_bytes(gzip.compress(buffer.getvalue(), 9, mtime=0))


def _answers_of_a_copy(folder: Path) -> dict[str, Any]:
    """What the workspace says of some moments, up to its end; asking leaves no trace in it."""
    shutil.copytree(folder, "copy")
    try:
        end = _end_of(Path("copy"))  # Before the copy is opened, which may record more.
        with Workspace.open("copy", actor="reader") as ws:
            times = [
                [event.time.isoformat(), ws.as_of(event.time).position]
                for event in ws.events()
                if event.position in (end // 2, end)
            ]
            moments = [answers(ws.as_of(at)) for at in (2, end // 3, end // 2, end)]
    finally:
        shutil.rmtree("copy")
    return {"times": times, "moments": moments}


def _end_of(folder: Path) -> int:
    """The last position of a log that nobody has open."""
    with closing(sqlite3.connect(folder / "log.sqlite")) as file:
        (position,) = file.execute("SELECT position FROM log_head").fetchone()
    return int(position)


def _audit(place: Path, *command: str, to: str | None = None) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "runlore.cli", "audit", *command],
        env={**os.environ, "RUNLORE_WORKSPACE_URI": f"sqlite://{place}/lab"},
        cwd=place,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    if to is not None:
        (place / to).write_text(ran.stdout)


def _written(path: str, text: str) -> str:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)
    return path


if __name__ == "__main__":
    if KILLED in sys.argv:
        log_and_die(sys.argv[-1])
    else:
        main()

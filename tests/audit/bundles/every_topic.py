"""A workspace to which everything happens that a run or an experiment can live through."""

from __future__ import annotations

import io
from functools import partial

from runlore import Experiment, Workspace
from runlore.domain import run_commands as commands
from runlore.domain import view as views
from runlore.domain.ids import view_stream
from runlore.domain.run_state import Artifact
from runlore.domain.status import Status
from runlore.engine.experiments import rename_experiment
from runlore.engine.runs.files import keep_files
from runlore.engine.streams import stream_of_experiment
from runlore.run.run import handle_of
from runlore.storage.journal import StreamState
from runlore.workspace import session_of

COMMANDS: tuple[tuple[commands.Command, str | None], ...] = (
    (commands.AddConfig({"lr": 0.1, "net": {"act.fn": "relu", "layers": [64, 64]}}), None),
    (commands.CorrectConfig("lr", 0.01, "a typo"), "a typo"),
    (commands.RecordEnvironment({"script": "train.py", "git": {"commit": "c0ffee"}}), None),
    (commands.Alert("loss is NaN", "at step 3", "error"), None),
    (commands.AddArtifacts({"model": Artifact("ab" * 32, 7, "s3://models/m1")}), None),
    (
        commands.AddArtifacts({"model": Artifact(None, None, "s3://models/m2")}, replace=True),
        None,
    ),
    (commands.PruneArtifacts(["outputs/model.bin"], "space"), "space"),
    (commands.RewindRun(1), None),
    (commands.LoseRun("its process died", {"pid": 7, "lock": "free"}), None),
    (commands.FindRun(), None),
    (commands.ChangeStatus(Status.COMPLETED), None),
    (commands.ResumeRun("more epochs"), "more epochs"),
    (commands.ChangeStatus(Status.FAILED, {"code": "UserError"}), None),
    (commands.ArchiveRun(), None),
    (commands.ReactivateRun(), None),
)


def live_through(ws: Workspace, name: str = "cv/fold 1") -> None:
    """Run `r` of an experiment that was renamed from `name`, and saved views."""
    session = session_of(ws).writable()
    experiment = Experiment(ws, name)
    run = experiment.start_logging(run_id="r", outputs=False, snapshot_directory=None)
    handle = handle_of(run)
    file = io.BytesIO(b"the weights")
    keep_files(handle, {"outputs/model.bin": file})
    for step in range(3):
        run.log("loss", 1 / (step + 1))
    for command, reason in COMMANDS:
        handle.change(command, flush_values=True, reason=reason)
    rename_experiment(session, stream_of_experiment(name), experiment.id, "renamed")
    run.child_run(run_id="c").complete()
    saved: StreamState[views.ViewState | None] = StreamState(view_stream("a/b"), views.fold, None)
    for change in (views.SaveView("a/b", {"where": "config.lr < 1"}), views.DeleteView("a/b")):
        session.change(saved, partial(views.decide, command=change))

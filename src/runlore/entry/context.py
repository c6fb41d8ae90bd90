"""The run that a script executes, given by environment variables, or else a run in memory.

    RUNLORE_WORKSPACE_URI    the workspace's folder or URI
    RUNLORE_RUN_ID           the run's id

The launcher that sets them owns the run's status: in the script, `complete()` and `fail()` write
buffered values and keep the outputs, but leave the status alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from uuid import uuid4

from runlore.engine.exits.at_exit import at_end
from runlore.exceptions import RunEnvironmentException

if TYPE_CHECKING:
    from runlore.run import Run

_runs: dict[tuple[str | None, str | None], Run] = {}
"""The runs of this process by their variables, so that each call gives the same object.

They last until the process exits: an offline run's log and files exist nowhere else. A forked
child inherits them. A run whose workspace was closed is replaced by a new object.
"""


def get_context(allow_offline: bool = True) -> Run:
    """The process's run, the same object at each call.

    Without the variables it is an ordinary run on a log in memory, which ends with the process:
    so a script runs unchanged with and without a workspace. Raises RunEnvironmentException if
    only one of the variables is set, or if neither is and `allow_offline` is False.
    """
    uri = os.environ.get("RUNLORE_WORKSPACE_URI") or None
    run_id = os.environ.get("RUNLORE_RUN_ID") or None
    if bool(uri) != bool(run_id) or not (uri or allow_offline):
        raise RunEnvironmentException(
            "Could not load a submitted run (RUNLORE_WORKSPACE_URI and RUNLORE_RUN_ID are "
            "not both set), if outside of an execution context, use experiment.start_logging "
            "to initialize an interactive run, or unset both and allow_offline"
        )
    from runlore.run.run import handle_of

    run = _runs.get((uri, run_id))
    if run is not None and not handle_of(run).is_closed:
        return run
    made = _attached(uri, run_id) if uri and run_id else _offline()
    if run is None:
        return _runs.setdefault((uri, run_id), made)  # Another thread may have been faster.
    _runs[uri, run_id] = made
    return made


def _attached(uri: str, run_id: str) -> Run:
    from runlore.engine.runs.creation import watched_folders
    from runlore.run.run import Run, handle_of
    from runlore.workspace import Workspace

    run = Run.get(Workspace.open(uri), run_id)
    handle = handle_of(run)
    handle.owns_status = False
    handle.join()
    if not handle.state.submitted:  # The supervisor keeps the folders of a submitted run.
        handle.watched = watched_folders(handle.state.outputs)
    return run


def _offline() -> Run:
    from runlore.entry.wiring import memory_session
    from runlore.experiment import Experiment
    from runlore.run.run import handle_of, offline_run_of
    from runlore.workspace import workspace_of

    workspace = workspace_of(memory_session("offline"))
    experiment = Experiment(workspace, "offline")
    run = experiment.start_logging(
        run_id=f"OfflineRun_{uuid4()}", outputs=False, snapshot_directory=None
    )
    return offline_run_of(experiment, handle_of(run))


def forget(ending: object = None) -> None:
    """Drop the runs of this process, at exit while their temporary folders can still be removed."""
    _runs.clear()


at_end(forget)

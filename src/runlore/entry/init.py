"""`runlore.init()`: a run in one line, without Azure's workspace and experiment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runlore.azure.arguments import as_pairs
from runlore.domain.errors import WorkspaceNotFound
from runlore.entry.default_names import experiment_of_script, workspace_of_folder
from runlore.experiment import Experiment
from runlore.run.run import Run, run_of
from runlore.storage.log_opener import LogLocation
from runlore.storage.open_log import locate
from runlore.workspace import Workspace, session_of


def init(
    experiment: str | None = None,
    *,
    workspace: str | os.PathLike[str] = ".runlore",
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    display_name: str | None = None,
    snapshot_directory: str | os.PathLike[str] | None = None,
) -> Run:
    """Start a run in a workspace, which is created if it does not exist.

    `workspace` is a folder or a URI. The experiment is named after the script if no name is
    given. `config` becomes the run's properties; values become text. Use the run in a `with`
    block, or call `run.complete()` at the end.

    >>> lab = getfixture("tmp_path") / "lab"
    >>> with init("first-steps", workspace=lab, config={"lr": 0.1}) as run:
    ...     run.log("loss", 0.5)
    >>> run.get_status(), run.get_properties()
    ('Completed', {'lr': '0.1'})
    """
    from runlore.engine.runs.creation import start_run

    if experiment is None:
        experiment = experiment_of_script(sys.argv)
    opened = _opened(workspace)
    parent = Experiment(opened, experiment)
    handle = start_run(
        session_of(opened),
        parent.id,
        parent.name,
        outputs=False,
        snapshot_directory=snapshot_directory,
        display_name=display_name,
        tags=as_pairs(tags, "tag"),
        properties={key: _as_text(value) for key, value in (config or {}).items()},
    )
    return run_of(parent, handle)


def _opened(address: str | os.PathLike[str]) -> Workspace:
    try:
        return Workspace.open(address)
    except WorkspaceNotFound:
        # Another process may be creating it as well: with the same name, and with exist_ok.
        return Workspace.create(_name(locate(address)), path=address, exist_ok=True)


def _name(place: LogLocation) -> str:
    folder = place.folder or Path()
    return workspace_of_folder(folder.parent.name if folder.name == ".runlore" else folder.name)


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)

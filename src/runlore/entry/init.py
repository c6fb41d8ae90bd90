"""`runlore.init()`: a run in one line, for people who know no Azure."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runlore.experiment import Experiment
from runlore.run import Run
from runlore.workspace import Workspace


def init(
    experiment: str | None = None,
    *,
    path: str | os.PathLike[str] = ".runlore",
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    display_name: str | None = None,
    snapshot_directory: str | os.PathLike[str] | None = None,
) -> Run:
    """Starts a run in the workspace at `path`, which is made if it is not there.

    The experiment is named after the script if no name is given. `config` is kept as
    properties, with numbers and the like as their text. Use it with `with`, or call
    `run.complete()` at the end.

    >>> with init("first-steps", path=getfixture("tmp_path") / "lab", config={"lr": 0.1}) as run:
    ...     run.log("loss", 0.5)
    >>> run.get_status(), run.get_properties()
    ('Completed', {'lr': '0.1'})
    """
    from runlore.engine.run_creation import start_run

    folder = Path(path)
    name = folder.absolute().parent.name if folder.name == ".runlore" else folder.name
    workspace = Workspace.create(_workspace_name(name), path=folder, exist_ok=True)
    return start_run(
        Experiment(workspace, _script_name() if experiment is None else experiment),
        outputs=False,
        snapshot_directory=snapshot_directory,
        display_name=display_name,
        tags=tags,
        properties={key: _as_text(value) for key, value in (config or {}).items()},
    )


def _as_text(value: object) -> str | None:
    return None if value is None else str(value)


def _script_name() -> str:
    stem = Path(sys.argv[0]).stem if sys.argv and sys.argv[0] not in ("", "-c", "-m") else ""
    return as_name(stem, "interactive")[:255]


def _workspace_name(folder: str) -> str:
    return as_name(folder, "workspace")[:33].ljust(3, "-")


def as_name(text: str, otherwise: str) -> str:
    """The text with what names cannot hold replaced."""
    # Names begin with a letter or digit of ASCII.
    return re.sub(r"^[^a-zA-Z0-9]+", "", re.sub(r"[^\w-]", "-", text)) or otherwise

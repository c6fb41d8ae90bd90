"""Default names of experiments and workspaces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_EXPERIMENT_MAX: Final = 255
_WORKSPACE_MIN: Final = 3
_WORKSPACE_MAX: Final = 33


def experiment_of_script(argv: Sequence[str]) -> str:
    """An experiment's name made from the script's file name.

    >>> experiment_of_script(["/home/ann/train model.py", "--lr", "0.1"])
    'train-model'
    """
    is_script = bool(argv) and argv[0] not in ("", "-c", "-m")
    return _name(Path(argv[0]).stem if is_script else "", "interactive")[:_EXPERIMENT_MAX]


def experiment_of_folder(name: str) -> str:
    """An experiment's name made from a folder's."""
    return _name(name, "experiment")[:_EXPERIMENT_MAX]


def workspace_of_folder(name: str) -> str:
    """A workspace's name made from a folder's.

    >>> workspace_of_folder("my lab")
    'my-lab'
    """
    return _name(name, "workspace")[:_WORKSPACE_MAX].ljust(_WORKSPACE_MIN, "-")


def _name(text: str, otherwise: str) -> str:
    """The text with `-` for each character that names cannot contain."""
    allowed = re.sub(r"[^\w-]", "-", text)
    return re.sub(r"^[^a-zA-Z0-9]+", "", allowed) or otherwise  # Names begin with ASCII.

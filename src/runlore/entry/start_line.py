"""The line on stderr by which people learn of a run that `init` has started."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from runlore.domain.visible_text import visible

if TYPE_CHECKING:
    from runlore.run import Run

_RANKS: Final = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")
"""The variables by which torchrun, Slurm and MPI number the processes of a training."""


def say_started(run: Run, *, quiet: bool, again: bool = False) -> None:
    """Say the run's name, its id, and how to look at it, on stderr and in one line.

    Says nothing if it is to be quiet, by the argument or by RUNLORE_QUIET, or in ranks after the
    first. A stream that cannot be written does not end a training.
    """
    if quiet or os.environ.get("RUNLORE_QUIET") or _is_later_rank(os.environ):
        return
    name = run.display_name
    named = f"{run.id}" if name == run.id else f"{name!r} ({run.id})"
    did = "goes on" if again else "started"
    line = f"runlore: run {named} {did}; look at it: {run.get_portal_url()}"
    with suppress(OSError, ValueError, AttributeError):  # Closed, or none at all.
        sys.stderr.write(f"{visible(line)}\n")


def _is_later_rank(variables: Mapping[str, str]) -> bool:
    return any(variables.get(rank, "0").strip() not in ("", "0") for rank in _RANKS)

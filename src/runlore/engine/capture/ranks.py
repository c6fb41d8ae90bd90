"""Which of the processes of a distributed job this is, as its launcher says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LOCAL_RANKS: Final = (
    "LOCAL_RANK",  # torchrun, and Azure ML's PyTorch jobs
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",  # Intel MPI, MPICH
    "PALS_LOCAL_RANKID",
    "SLURM_LOCALID",
)


def is_first_on_host(environ: Mapping[str, str]) -> bool:
    """Whether no other process of the job on this host has a lower rank.

    >>> is_first_on_host({}), is_first_on_host({"LOCAL_RANK": "1", "SLURM_LOCALID": "0"})
    (True, False)
    """
    told = (environ.get(name, "").strip() for name in _LOCAL_RANKS)
    return next((rank for rank in told if rank), "0") == "0"

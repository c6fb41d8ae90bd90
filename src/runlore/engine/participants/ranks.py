"""The ranks of a distributed training: which process of which job this is.

Launchers tell it by variables: torchrun, Open MPI, MPICH and Intel MPI, and Slurm's `srun`. All
ranks of a job find the same id for its run, without waiting for each other, and also when the job
is restarted. Where a launcher gives the job no name of its own, the process that started the ranks
of this host stands for it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Final, NamedTuple

from runlore.storage.this_process import boot_id, kernel_state

OFF: Final = "RUNLORE_RANKS"
"""The variable that makes each rank's run one of its own, if it is `off`."""


class Rank(NamedTuple):
    """This process among those of its job. `local` is its number on its host; None if unknown.

    `job` is the same text for all ranks, and for no other job. `restarts` counts how often the
    launcher has started the job again.
    """

    rank: int
    size: int
    local: int | None
    job: str
    restarts: int = 0

    def run_id(self, number: int) -> str:
        """The id of the run that is this job's first (`number` 0), second, and so on."""
        digest = hashlib.sha256(f"{self.job}\n{number}".encode()).hexdigest()
        return f"job-{digest[:32]}"


def rank_of(environ: Mapping[str, str]) -> Rank | None:
    """This process's rank, by the variables of its launcher; None if it is alone."""
    if environ.get(OFF, "").lower() == "off":
        return None
    # MPI before Slurm, which may have started the processes that then start the ranks.
    for found in (_of_torchrun(environ), _of_mpi(environ), _of_slurm(environ)):
        if found is not None:
            return found if found.size > 1 else None
    return None


def _of_torchrun(environ: Mapping[str, str]) -> Rank | None:
    rank, size, local = _numbers(environ, "RANK", "WORLD_SIZE", "LOCAL_RANK")
    if rank is None or size is None or local is None:
        return None
    given = environ.get("TORCHELASTIC_RUN_ID", "none")
    is_on_one_host = environ.get("LOCAL_WORLD_SIZE") == environ["WORLD_SIZE"]
    if is_on_one_host or given == "none":  # Its default; and ids of tutorials are used twice.
        job = _starter()
    else:
        job = f"{given} {environ.get('SLURM_JOB_ID', '')}"
    (restarts,) = _numbers(environ, "TORCHELASTIC_RESTART_COUNT")
    return Rank(rank, size, local, f"torchrun {job}", restarts or 0)


def _of_mpi(environ: Mapping[str, str]) -> Rank | None:
    for name_of_rank, name_of_size, name_of_local in _MPI:
        rank, size, local = _numbers(environ, name_of_rank, name_of_size, name_of_local)
        if rank is not None and size is not None:
            names = (environ.get(name) for name in _NAMES_OF_MPI_JOBS)
            job = next(filter(None, names), None) or _step_of_slurm(environ) or _starter()
            return Rank(rank, size, local, f"mpi {job}")
    return None


def _of_slurm(environ: Mapping[str, str]) -> Rank | None:
    rank, local, restarts = _numbers(
        environ, "SLURM_PROCID", "SLURM_LOCALID", "SLURM_RESTART_COUNT"
    )
    sizes = _numbers(environ, "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")
    size = next((one for one in sizes if one is not None), None)
    job = _step_of_slurm(environ)
    if rank is None or size is None or job is None:
        return None  # In a batch script itself there is no step: its programs follow each other.
    return Rank(rank, size, local, f"slurm {job}", restarts or 0)


_MPI: Final = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
)
_NAMES_OF_MPI_JOBS: Final = ("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "PMI_JOBID")


def _step_of_slurm(environ: Mapping[str, str]) -> str | None:
    job, step = environ.get("SLURM_JOB_ID"), environ.get("SLURM_STEP_ID")
    if not job or not step:
        return None
    return f"{environ.get('SLURM_CLUSTER_NAME', '')} {job}.{step}"


def _starter() -> str:
    """The process that started this one, unlike all others of all machines and times."""
    return f"{boot_id()} {os.getppid()} {kernel_state(os.getppid()).start}"


def _numbers(environ: Mapping[str, str], *names: str) -> list[int | None]:
    texts = [environ.get(name, "") for name in names]
    return [int(text) if text.isascii() and text.isdigit() else None for text in texts]

"""Which rank of which job a process is, by the variables of its launcher."""

from __future__ import annotations

import pytest

from runlore.engine.participants.ranks import rank_of
from runlore.storage.this_process import boot_id

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
SLURM = {
    "SLURM_PROCID": "3",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_ID": "77",
    "SLURM_STEP_ID": "0",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "PMIX_NAMESPACE": "prterun-a-4711@1",
}
HYDRA = {"PMI_RANK": "3", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1", "PMI_JOBID": "4711"}
LAUNCHERS = {
    "torchrun": {**TORCHRUN, "TORCHELASTIC_RUN_ID": "9b1c"},
    "slurm": SLURM,
    "open mpi": OPEN_MPI,
    "hydra": HYDRA,
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_says_which_rank_this_is(launcher: str) -> None:
    found = rank_of(LAUNCHERS[launcher])
    assert found is not None
    assert (found.rank, found.size, found.local) == (3, 8, 1)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_all_ranks_find_the_same_job_also_after_a_restart(launcher: str) -> None:
    told = LAUNCHERS[launcher]
    other = {name: "0" if value == "3" else value for name, value in told.items()}
    again = {**other, "TORCHELASTIC_RESTART_COUNT": "2", "SLURM_RESTART_COUNT": "2"}
    ranks = [rank_of(one) for one in (told, other, again)]
    assert len({rank.run_id(0) for rank in ranks if rank is not None}) == 1
    assert all(rank is not None for rank in ranks)


@pytest.mark.parametrize(
    ("launcher", "changed"),
    [
        ("torchrun", "TORCHELASTIC_RUN_ID"),
        ("slurm", "SLURM_JOB_ID"),
        ("slurm", "SLURM_STEP_ID"),
        ("open mpi", "PMIX_NAMESPACE"),
        ("hydra", "PMI_JOBID"),
    ],
)
def test_another_job_has_another_run(launcher: str, changed: str) -> None:
    told = LAUNCHERS[launcher]
    one, other = rank_of(told), rank_of({**told, changed: "another"})
    assert one is not None and other is not None
    assert one.run_id(0) != other.run_id(0)
    assert one.run_id(0) != one.run_id(1)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"RANK": "3", "WORLD_SIZE": "8"},
        {**TORCHRUN, "WORLD_SIZE": "1"},
        {**TORCHRUN, "RANK": "first"},
        {**SLURM, "SLURM_STEP_NUM_TASKS": "1"},
        {name: value for name, value in SLURM.items() if name != "SLURM_STEP_ID"},
        {**OPEN_MPI, "RUNLORE_RANKS": "off"},
    ],
    ids=["nothing", "no local rank", "one", "no number", "one task", "a batch script", "off"],
)
def test_a_process_that_is_alone_has_no_rank(told: dict[str, str]) -> None:
    assert rank_of(told) is None


def test_the_id_of_a_job_on_one_host_is_not_the_one_that_people_give_twice() -> None:
    """Tutorials of torchrun say `--rdzv-id=100`: it is the launcher's process that counts."""
    told = {**TORCHRUN, "LOCAL_WORLD_SIZE": "8", "TORCHELASTIC_RUN_ID": "100"}
    found = rank_of(told)
    assert found is not None
    assert "100" not in found.job.split() and boot_id() in found.job


def test_mpi_counts_more_than_the_slurm_that_started_its_daemons() -> None:
    found = rank_of({**SLURM, **OPEN_MPI, "OMPI_COMM_WORLD_RANK": "5"})
    assert found is not None and found.rank == 5

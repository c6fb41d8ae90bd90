"""System metrics: what is sampled, into which runs, and where it is shown."""

import gc
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from runlore import Experiment, Run, Workspace
from runlore.engine.capture.gpus import Gpus, find_gpus
from runlore.engine.capture.sampler import Sampler
from runlore.engine.capture.samples import RUNS_MAX, Samples, is_first_on_host
from runlore.run.metric_rows import last_values, summary_rows
from runlore.testing.children import in_child
from runlore.testing.waiting import wait_until
from runlore.workspace import session_of

SHORT_S = 0.01


class Counting:
    """A source that counts its samples."""

    def __init__(self) -> None:
        self.count = 0

    def sample(self) -> dict[str, float]:
        self.count += 1
        return {"cpu_percent": float(self.count), "memory_percent": 50.0}


@pytest.fixture
def samples() -> Iterator[Samples]:
    samples = Samples(interval_s=SHORT_S)
    yield samples
    samples.close()


def start(ws: Workspace, capture: str = "none") -> Run:
    exp = Experiment(ws, "explore-runs")
    return exp.start_logging(outputs=False, snapshot_directory=None, capture=capture)


def wait_for_samples(source: Counting, count: int) -> None:
    wait_until(lambda: source.count >= count, f"{count} samples")


def wait_for_the_threads_end() -> None:
    def has_ended() -> bool:
        return "runlore-system" not in [thread.name for thread in threading.enumerate()]

    wait_until(has_ended, "the thread ends")


def test_samples_are_logged_until_the_run_ends(folder_ws: Workspace, samples: Samples) -> None:
    run, source = start(folder_ws), Counting()
    samples.follow(session_of(folder_ws).writable(), run.id, source=source)
    wait_for_samples(source, 4)  # The last one may come too late to be logged.
    run.complete()
    wait_for_the_threads_end()

    found = run.get_system_metrics()
    assert found["cpu_percent"][:3] == [1.0, 2.0, 3.0]
    assert set(found["memory_percent"]) == {50.0}


def test_they_are_kept_apart(folder_ws: Workspace, samples: Samples) -> None:
    run, source = start(folder_ws), Counting()
    run.log("loss", 0.5)
    samples.follow(session_of(folder_ws).writable(), run.id, source=source)
    wait_for_samples(source, 2)
    samples.close()
    run.complete()

    assert run.get_metrics() == {"loss": 0.5}
    assert list(last_values(run)) == ["loss"]
    assert [row["metric"] for row in summary_rows(run)] == ["loss"]
    assert {row["metric"] for row in summary_rows(run, sampled=True)} == {
        "system/cpu_percent",
        "system/memory_percent",
    }
    columns = folder_ws.runs_table().columns
    assert [name for name in columns if name.startswith("metrics.")] == ["metrics.loss"]
    asked = folder_ws.runs_table(columns=["id", "metrics.system/cpu_percent.min"])
    assert asked.fetchall() == [(run.id, 1.0)]
    assert run.get_metrics("system/memory_percent") != {}
    query = "SELECT count(*) FROM metrics WHERE metric LIKE 'system/%'"
    assert folder_ws.sql(query).fetchall() == [(2,)]


@pytest.mark.long
@pytest.mark.processes
def test_a_workspace_that_nobody_holds_is_not_kept_open(
    folder_ws: Workspace, samples: Samples
) -> None:
    other = Workspace.open(folder_ws.uri)
    exp = Experiment(other, "explore-runs")
    run = exp.start_logging(outputs=False, snapshot_directory=None, end_at_exit=False)
    source = Counting()
    samples.follow(session_of(other).writable(), run.id, source=source)
    wait_for_samples(source, 1)
    session = weakref.ref(session_of(other))
    del other, run, exp
    wait_until(lambda: gc.collect() >= 0 and session() is None, "the session is gone")
    wait_for_the_threads_end()


def test_a_source_that_fails_ends_nothing(folder_ws: Workspace, samples: Samples) -> None:
    class Failing:
        def sample(self) -> dict[str, float]:
            raise ZeroDivisionError

    run = start(folder_ws)
    samples.follow(session_of(folder_ws).writable(), run.id, source=Failing())
    wait_for_the_threads_end()
    run.log("loss", 1)
    run.complete()
    assert run.get_status() == "Completed"


@pytest.mark.processes
def test_no_thread_samples_across_a_fork_and_the_parents_goes_on(
    folder_ws: Workspace, samples: Samples
) -> None:
    run, source = start(folder_ws), Counting()
    samples.follow(session_of(folder_ws).writable(), run.id, source=source)
    wait_for_samples(source, 1)
    assert in_child(lambda: os.listdir("/proc/self/task").__len__()) == 1
    wait_for_samples(source, source.count + 1)
    run.complete()


def test_a_run_that_starts_is_sampled_unless_it_is_part_of_another(folder_ws: Workspace) -> None:
    runs = session_of(folder_ws).writable().samples
    parent = start(folder_ws, "system")
    child = parent.child_run()
    assert runs.followed == [parent.id]
    child.complete()
    parent.complete()
    assert runs.followed == []


def test_not_all_of_very_many_runs_are_sampled(folder_ws: Workspace, samples: Samples) -> None:
    source = Counting()
    for number in range(RUNS_MAX + 5):
        samples.follow(session_of(folder_ws).writable(), f"run-{number}", source=source)
    assert len(samples.followed) <= RUNS_MAX


def test_runs_of_one_process_share_the_samples(folder_ws: Workspace) -> None:
    samples, source = Samples(interval_s=3_600), Counting()
    runs = [start(folder_ws) for _ in range(3)]
    for run in runs:
        samples.follow(session_of(folder_ws).writable(), run.id, source=source)
    for _ in range(3):
        samples.sample_all()
    samples.close()

    assert source.count == 2
    assert [run.get_system_metrics()["cpu_percent"] for run in runs] == [[1.0, 2.0]] * 3


def test_it_can_be_switched_off(folder_ws: Workspace) -> None:
    exp = Experiment(folder_ws, "explore-runs")
    exp.start_logging(outputs=False, snapshot_directory=None, capture={"system": False})
    assert session_of(folder_ws).writable().samples.followed == []


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0", "RANK": "8"}, True),
        ({"LOCAL_RANK": "3"}, False),
        ({"SLURM_LOCALID": "1"}, False),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "0"}, True),
        ({"LOCAL_RANK": "", "SLURM_LOCALID": "2"}, False),
    ],
)
def test_one_rank_of_a_host_samples_it(variables: dict[str, str], first: bool) -> None:
    assert is_first_on_host(variables) is first


# --- what is sampled --------------------------------------------------------------------------


def test_this_machine_is_sampled(tmp_path: Path) -> None:
    found = Sampler(os.getpid(), str(tmp_path)).sample()
    assert found["process_memory_mib"] > 5
    assert 0 < found["memory_percent"] <= 100
    assert 0 <= found["disk_percent"] <= 100
    assert found["cpu_percent"] >= 0


def test_a_process_that_ended_leaves_the_machine(tmp_path: Path) -> None:
    sampler = Sampler(os.getpid(), str(tmp_path / "gone"))
    sampler.process = SimpleNamespace(cpu_percent=_gone, memory_info=_gone)
    found = sampler.sample()
    assert "process_memory_mib" not in found and "disk_percent" not in found
    assert "memory_percent" in found


def _gone() -> float:
    raise psutil.NoSuchProcess(1)


class FakeNvml:
    """Two GPUs as `pynvml` shows them; the second one does not tell its power."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        """What NVML raises."""

    def nvmlInit(self) -> None:
        self.is_initialized = True

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetUtilizationRates(self, device: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=90 + device, memory=1)

    def nvmlDeviceGetMemoryInfo(self, device: int) -> SimpleNamespace:
        return SimpleNamespace(used=2**31, total=2**33)

    def nvmlDeviceGetPowerUsage(self, device: int) -> int:
        if device:
            raise self.NVMLError
        return 250_500

    def nvmlDeviceGetTemperature(self, device: int, sensor: int) -> int:
        return 60


def test_gpus_tell_what_they_can() -> None:
    assert Gpus(FakeNvml()).sample() == {
        "gpu0_percent": 90.0,
        "gpu0_memory_mib": 2048.0,
        "gpu0_power_w": 250.5,
        "gpu0_temperature_c": 60.0,
        "gpu1_percent": 91.0,
        "gpu1_memory_mib": 2048.0,
        "gpu1_temperature_c": 60.0,
    }


def test_a_machine_without_gpus_has_no_samples_of_them(tmp_path: Path) -> None:
    assert find_gpus() is None or Path("/proc/driver/nvidia").exists()


def test_the_samples_of_gpus_are_among_those_of_the_machine(tmp_path: Path) -> None:
    found = Sampler(os.getpid(), None, Gpus(FakeNvml())).sample()
    assert found["gpu0_power_w"] == 250.5

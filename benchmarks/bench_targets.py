"""Compute targets: how long a run waits for its supervisor, and for its end when it is canceled.

All kinds take turns in one run, in one workspace in a folder. Slurm is a cluster on this machine
(Debian's packages, started here, as root); Ray is a head on loopback, if RUNLORE_RAY names its
program (`.ray-venv/bin/ray` after `make test-ray`).
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from benchmarks.harness import Result, at_most, not_run, scratch, sized
from runlore import ComputeTarget, Experiment, ScriptRunConfig, Workspace
from runlore.domain.ids import run_stream
from runlore.script_run import ScriptRun
from runlore.testing.submitted import STAYS, supervisors_of
from runlore.testing.waiting import wait_until
from runlore.workspace import session_of
from tests.ray.head import VARIABLE, running_head
from tests.slurm.cluster import cluster

ROUNDS: Final = 9
STARTS_S: Final = 1.0


class Times(NamedTuple):
    """Of one run, in seconds. The engine's part is what is between `started` and `submitted`."""

    submitted: float
    started: float
    canceled: float


def run() -> Iterator[Result]:
    """Each kind's times; of kinds that cannot be started here, why not."""
    with scratch() as folder, ExitStack() as engines:
        why_not = _why_no_slurm()
        if why_not is None:
            os.environ["SLURM_CONF"] = str(engines.enter_context(cluster()).conf)
        has_ray = VARIABLE in os.environ
        address = engines.enter_context(running_head()).address if has_ray else None
        with Workspace.create("bench", path=folder / "ws") as ws:
            kinds = _attached(ws, address, with_slurm=why_not is None)
            source = folder / "source"
            source.mkdir()
            (source / "stays.py").write_text(STAYS)
            found: dict[str, list[Times]] = {kind: [] for kind in kinds}
            for _ in range(sized(ROUNDS, 1)):
                for kind in kinds:
                    found[kind].append(_times(ws, source, kind))
        for kind, times in found.items():
            yield from _results(kind, times)
        if why_not is not None:
            yield not_run("slurm: submit to the supervisor's first event", why_not, unit="s")
        if not has_ray:
            why = f"{VARIABLE} does not name a `ray`; `make test-ray` makes .ray-venv/bin/ray"
            yield not_run("ray: submit to the supervisor's first event", why, unit="s")


def _why_no_slurm() -> str | None:
    if os.geteuid() != 0:
        return "a cluster is started by root"
    return None if shutil.which("sbatch") else "`make test-slurm` installs Slurm"


def _attached(ws: Workspace, ray: str | None, *, with_slurm: bool) -> list[str]:
    """The names of the targets, which are those of their kinds."""
    ComputeTarget.attach(ws, "pool", slots=2)
    if with_slurm:
        ComputeTarget.attach(ws, "slurm", type="slurm", this_machine=True)
    if ray is not None:
        ComputeTarget.attach(ws, "ray", type="ray", address=ray, this_machine=True)
    return ["local", "pool", *(["slurm"] if with_slurm else []), *(["ray"] if ray else [])]


def _times(ws: Workspace, source: Path, target: str) -> Times:
    config = ScriptRunConfig(str(source), "stays.py", compute_target=target)
    submitted_at = time.time()
    run = Experiment(ws, "targets").submit(config)
    wait_until(lambda: run.get_status() == "Running", "the script to start")
    started_at = min(map(_started_at, supervisors_of(run.id)))
    first_s = _first_event_at(ws, run)
    canceled_at = time.perf_counter()
    run.cancel()
    wait_until(lambda: run.get_status() == "Canceled", "the script to end")
    return Times(first_s - submitted_at, first_s - started_at, time.perf_counter() - canceled_at)


def _started_at(process: psutil.Process) -> float:
    """When a process was started; psutil rounds the time of the system's start to seconds."""
    stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii", errors="replace")
    fields = stat.rpartition(")")[2].split()
    since_boot_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot_s)


def _first_event_at(ws: Workspace, run: ScriptRun) -> float:
    """When the supervisor recorded its first event; seconds since 1970."""
    facts = session_of(ws).journal.facts(run_stream(run.id))
    own = facts[0].writer_id
    return next(fact.recorded_at for fact in facts if fact.writer_id != own) / 1e6


def _results(kind: str, times: list[Times]) -> Iterator[Result]:
    names = ("submit", "start of the supervisor's process")
    for number, name in enumerate(names):
        figure = statistics.median(one[number] for one in times)
        goals = (at_most(STARTS_S),) if number else ()
        what = f"{kind}: {name} to its first event" if number else f"{kind}: {name} to first event"
        yield Result(what, figure, None, "", "s", len(times), goals)
    figure = statistics.median(one.canceled for one in times)
    yield Result(f"{kind}: cancel to end", figure, None, "", "s", len(times))

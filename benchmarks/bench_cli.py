"""The command line on 10,000 runs of one experiment: whole processes, warm projection.

Figures are processor time, and ratios the medians of those of each turn.

The modules must be compiled, as they are after an installation: unset PYTHONDONTWRITEBYTECODE.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Goal, Result, at_most_times, python, scratch, sized
from runlore import Workspace
from runlore.domain.events import ExperimentCreated, RunCompleted, RunCreated
from runlore.domain.ids import experiment_stream, run_stream
from runlore.domain.status import Status
from runlore.storage.journal import Pending
from runlore.workspace import session_of

RUNS = 10_000
TURNS = 9
EXPERIMENT = "explore-runs"
FILTER = "[?properties.author=='azureml-user' && tags.quality=='fantastic run']"
COMMANDS = {
    "run list": ["run", "list"],
    "run list, the article's filter over all runs": ["run", "list", FILTER],
    "run list, the same by --tag and --property": [
        *("run", "list", "--tag", "quality=fantastic run"),
        *("--property", "author=azureml-user"),
    ],
    "run show": ["run", "show", "-r", f"run-{RUNS // 2}"],
    "run history": ["run", "history", "-r", f"run-{RUNS // 2}"],
    "--version": ["--version"],
}
GOALS = {"run list": 6, "run show": 4, "run history": 4, "--version": 2}
MAIN = "import sys; from runlore.cli import main; sys.exit(main())"
"""What the script `runlore` does."""


def run() -> Iterator[Result]:
    """Each command beside the start of an interpreter that imports click alone, taking turns."""
    with scratch() as folder:
        fill(folder)
        commands = {what: command_of(arguments, folder) for what, arguments in COMMANDS.items()}
        click = python("import click")
        for command in commands.values():
            processor_s(command)  # The projection is made by the first.
        turns = [
            (processor_s(click), {what: processor_s(of) for what, of in commands.items()})
            for _ in range(sized(TURNS, 3))
        ]
        baseline = statistics.median(least for least, _ in turns) * 1e3
        for what in commands:
            ours = statistics.median(took[what] / least for least, took in turns) * baseline
            yield Result(
                f"runlore {what}, {RUNS:,} runs",
                *(ours, baseline, "python -c 'import click'", "ms", len(turns)),
                goals_of(what),
            )


def command_of(arguments: list[str], folder: Path) -> list[str]:
    command = [sys.executable, "-c", MAIN, *arguments]
    if arguments[0] == "run":
        command += ["--path", str(folder)]
    if arguments[1:2] == ["list"]:
        command += ["-e", EXPERIMENT]
    return command


def goals_of(what: str) -> tuple[Goal, ...]:
    return (at_most_times(GOALS[what]),) if what in GOALS else ()


def processor_s(command: list[str]) -> float:
    """The processor time of a process, its own and the system's."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime


def fill(folder: Path) -> None:
    """Runs with two tags and two properties each; every hundredth fits the filter."""
    with Workspace.create("bench", path=folder / "bench") as ws:
        ws.write_config(folder)
        created = ExperimentCreated(experiment_id=EXPERIMENT, name=EXPERIMENT)
        pending = [Pending(experiment_stream(EXPERIMENT), 1, created)]
        for number in range(RUNS):
            run_id = f"run-{number}"
            made = RunCreated(
                run_id=run_id,
                experiment_id=EXPERIMENT,
                experiment_name=EXPERIMENT,
                status=Status.RUNNING,
                root_id=run_id,
                tags={"quality": "fantastic run" if number % 100 == 0 else "poor", "seen": None},
                properties={"author": "azureml-user", "seed": str(number)},
            )
            pending.append(Pending(run_stream(run_id), 1, made))
            pending.append(Pending(run_stream(run_id), 2, RunCompleted()))
        session_of(ws).journal.append(pending)

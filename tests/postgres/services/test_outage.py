"""The server restarts, crashes and is away for half a minute, in the middle of everything."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from runlore import Experiment, ScriptRunConfig, Workspace
from runlore.audit.verify import verify_folder
from runlore.domain.events import TagSet
from runlore.domain.ids import run_stream
from runlore.storage.codec import fact_of
from runlore.testing.logs import all_rows
from runlore.testing.waiting import LIMIT_S, wait_until
from runlore.workspace import session_of
from tests.postgres.server import Server, running_server

pytestmark = [pytest.mark.processes, pytest.mark.slow]

AWAY_S: Final = 30.0

_SAYS: Final = """
import runlore, sys, threading, time
is_over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), is_over.set()), daemon=True).start()
worst = 0.0

def timed(call, *args, **named):
    global worst
    began = time.monotonic()
    call(*args, **named)
    worst = max(worst, time.monotonic() - began)
"""
_TAGS: Final = (
    _SAYS
    + """
run = runlore.init(experiment="e", workspace=sys.argv[1], quiet=True)
print(run.id, flush=True)
number = 0
while not is_over.is_set():
    timed(run.tag, "number", str(number))  # A tag that waits until the server is back.
    number += 1
    print(number, flush=True)
    time.sleep(0.02)
print(worst, flush=True)
"""
)
_LOGS: Final = (
    _SAYS
    + """
run = runlore.init(experiment="e", workspace=sys.argv[1], quiet=True)
print(run.id, flush=True)
number = 0
while not is_over.is_set():
    timed(run.log, "loss", number)
    number += 1
    time.sleep(0.005)
print(number, flush=True)
print(worst, flush=True)
"""
)
_FOLLOWS: Final = (
    _SAYS
    + """
with runlore.Workspace.open(sys.argv[1]) as ws:
    print(ws.position, flush=True)
    with ws.subscribe(timeout_s=120) as feed:
        for event in feed:
            print(event.position, flush=True)
            if event.topic == "experiment.tag_set":
                break
"""
)
_SCRIPT: Final = """
import time
from runlore import Run
run = Run.get_context()
began, steps = time.monotonic(), 0
while steps < 40 or time.monotonic() < began + 20:  # And as long as a tag waits.
    run.log("loss", steps)
    if steps % 20 == 0:
        run.tag("step", str(steps))
    steps += 1
    time.sleep(0.1)
run.add_properties({"steps": str(steps)})
"""


class Process:
    """A process that prints lines until it is told to end."""

    def __init__(self, code: str, uri: str, folder: Path) -> None:
        self._output = (folder / f"{id(self)}.out").open("w+")
        self._errors = (folder / f"{id(self)}.err").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, uri],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._errors,
            text=True,
        )
        wait_until(lambda: self.lines() != [], "the process to begin")

    def lines(self) -> list[str]:
        """What it has printed."""
        return Path(self._output.name).read_text().splitlines()

    def end(self) -> list[str]:
        """What it has printed when it has ended without an error."""
        self._process.communicate("\n", timeout=2 * LIMIT_S)
        assert self._process.returncode == 0, Path(self._errors.name).read_text()
        return self.lines()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._output.close()
        self._errors.close()


@pytest.fixture
def own() -> Iterator[Server]:
    with running_server() as server:
        yield server


def test_nothing_is_lost_or_repeated_while_the_server_is_away(
    own: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNLORE_POSTGRES_WAIT", "120")
    uri, project = own.uri("team"), tmp_path / "script"
    project.mkdir()
    (project / "train.py").write_text(_SCRIPT)
    with Workspace.create("team", path=uri) as ws, ExitStack() as stack:

        def process(code: str) -> Process:
            one = Process(code, uri, tmp_path)
            stack.callback(one.close)
            return one

        follower = process(_FOLLOWS)
        tagging, logging = [process(_TAGS) for _ in range(3)], process(_LOGS)
        submitted = Experiment(ws, "e").submit(ScriptRunConfig(str(project), "train.py"))
        wait_until(lambda: submitted.get_status() == "Running", "the script to run")

        for how, away_s in (
            (signal.SIGINT, 1.0),
            (signal.SIGQUIT, 1.0),
            (signal.SIGQUIT, AWAY_S),
        ):
            before = [len(one.lines()) for one in tagging]
            wait_until(
                lambda: all(
                    len(one.lines()) > count + 5
                    for one, count in zip(tagging, before, strict=True)  # noqa: B023
                ),
                "the writers to go on",
            )
            own.stop(how)
            time.sleep(away_s)
            own.start()
        ends = [one.end() for one in tagging]
        logged = logging.end()
        submitted.wait_for_completion(raise_on_error=False)
        Experiment(ws, "e").tag("over", "yes")
        followed = [int(line) for line in follower.end()]

        for run_id, *acknowledged, _ in ends:
            assert ws.get_run(run_id).get_status() == "Completed"
            # As many as were acknowledged, each once and in order.
            assert tags_of(ws, run_id) == [str(n) for n in range(len(acknowledged))]
        run_id, count, _ = logged
        assert ws.get_run(run_id).get_metrics()["loss"] == list(range(int(count)))
        assert submitted.get_status() == "Completed"
        steps = int(submitted.get_properties()["steps"] or 0)
        assert submitted.get_metrics()["loss"] == list(range(steps))
        assert tags_of(ws, submitted.id, "step") == [str(n) for n in range(0, steps, 20)]
        assert followed == list(range(followed[0], ws.position + 1))
        assert verify_folder(uri).holds
        stalls = [float(lines[-1]) for lines in ends]
        print(f"tags {len(followed):,} events, longest stall {max(stalls):.1f} s")
        print(f"values {count}, longest stall {1000 * float(logged[-1]):.1f} ms")


def tags_of(ws: Workspace, run_id: str, name: str = "number") -> list[str]:
    """All values of a tag, in the order in which they were set."""
    rows = all_rows(session_of(ws).log)
    facts = [fact_of(row) for row in rows if row.stream == run_stream(run_id)]
    return [
        fact.data["value"]
        for fact in facts
        if fact.topic == TagSet.topic and fact.data is not None and fact.data["key"] == name
    ]

"""Calls of signal handlers, finalizers and exit handlers that interrupt calls of their thread."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Run, Workspace
from runlore.storage.interruptions import Interrupting
from runlore.storage.sqlite_log import SqliteLog
from tests.engine.interrupted import CALLS, HANDLERS
from tests.fresh_python import run_python
from tests.workspaces import seen_again, start

pytestmark = pytest.mark.long

EVERY_LINE = "RUNLORE_TEST_EVERY_LINE"


@pytest.mark.processes
@pytest.mark.slow
def test_a_call_can_be_interrupted_at_any_line(tmp_path: Path) -> None:
    """At some lines by each handler; at every one if RUNLORE_TEST_EVERY_LINE is set."""
    every = "1" if EVERY_LINE in os.environ else "400"
    ran = subprocess.run(
        [sys.executable, "-m", "tests.engine.interrupted", tmp_path / "lab", every, *CALLS],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,  # A call that hangs ends the process.
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert int(ran.stdout.split()[0]) >= len(HANDLERS) * len(CALLS) / 2


# --- within a transaction ------------------------------------------------------------------------


@contextmanager
def within_a_transaction(hook: Callable[[], object]) -> Iterator[None]:
    """Call the hook once, between the rows of the next append and its commit."""
    store = SqliteLog._store
    called: list[object] = []

    def store_and_call(self: SqliteLog, *args: Any) -> Any:
        rows = store(self, *args)
        if not called:
            called.append(hook)
            hook()
        return rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteLog, "_store", store_and_call)
        yield
    assert called


@pytest.fixture
def run(folder_ws: Workspace) -> Run:
    return start(Experiment(folder_ws, "e"))


class Owner:
    """An object whose death changes a run."""

    def __init__(self, run: Run, *, has_finalizer: bool) -> None:
        self.run = run
        self.itself: Owner | None = None
        self.has_finalizer = has_finalizer

    def __del__(self) -> None:
        if self.has_finalizer:
            end(self.run)


def end(run: Run) -> None:
    run.log("last", 1.0)
    run.tag("ended by", "finalizer")
    run.upload_file("notes.txt", __file__)
    run.flush()
    run.fail("it was dropped")


def check_ended(run: Run) -> None:
    run = seen_again(run)
    assert run.get_status() == "Failed"
    assert run.get_details()["error"]["error"]["message"] == "it was dropped"
    assert run.get_metrics() == {"last": 1.0}
    assert run.get_tags() == {"ended by": "finalizer"}
    assert run.get_file_names() == ["notes.txt"]
    changes = [change.what for change in run.history()]
    assert changes.count("tag_set") == changes.count("failed") == 1
    assert run.experiment.workspace.audit.verify().holds


@pytest.mark.parametrize("kind", ["finalizer", "cycle", "weak reference", "weakref.finalize"])
@pytest.mark.parametrize("fresh", [True, False], ids=["own run", "attached run"])
def test_an_object_that_dies_within_a_change_may_end_a_run(
    run: Run, kind: str, fresh: bool
) -> None:
    ended = start(run.experiment)
    if not fresh:
        ended = seen_again(ended)
    owners = [Owner(ended, has_finalizer=kind in ("finalizer", "cycle"))]
    if kind == "cycle":
        owners[0].itself = owners[0]
    elif kind == "weak reference":
        kept = weakref.ref(owners[0], lambda _: end(ended))
        assert kept() is owners[0]
    elif kind == "weakref.finalize":
        weakref.finalize(owners[0], end, ended)

    def drop() -> None:
        owners.clear()
        gc.collect()

    with within_a_transaction(drop):
        run.tag("interrupted", "1")

    assert run.get_tags() == {"interrupted": "1"}
    check_ended(ended)


def test_what_cannot_wait_says_at_once_that_it_interrupts(run: Run) -> None:
    ws = run.experiment.workspace
    seen: list[str] = []

    def ask() -> None:
        calls: dict[str, Callable[[], object]] = {
            "get_metrics": run.get_metrics,
            "get_status": run.get_status,
            "get_tags": run.get_tags,
            "values": lambda: run.values("loss"),
            "sql": lambda: ws.sql("SELECT 1"),
            "isolated sql": lambda: ws.sql("SELECT 1", isolated=True),
            "get_runs": lambda: list(run.experiment.get_runs()),
            "child_run": run.child_run,
            "start_logging": lambda: start(run.experiment),
            "open": lambda: Workspace.open(ws.uri),
            "verify": lambda: ws.audit.verify(),
            "as_of": lambda: ws.as_of(1),
        }
        for name, call in calls.items():
            with pytest.raises(Interrupting, match="has returned: read then"):
                call()
            seen.append(name)
        assert not run.should_stop

    with within_a_transaction(ask):
        run.tag("interrupted", "1")
    assert len(seen) == 12
    assert run.get_tags() == {"interrupted": "1"}
    assert not run.get_metrics()


def test_changes_that_are_put_off_are_made_in_their_order(run: Run) -> None:
    def change() -> None:
        run.tag("t", "1")
        run.remove_tags(["t"])
        run.tag("t", "2")
        run.add_properties({"p": "1"})
        run.display_name = "new name"
        run.experiment.tag("of the experiment", "1")
        run.complete()

    with within_a_transaction(change):
        run.tag("interrupted", "1")
    changes = [change.what for change in run.history()]
    assert changes == ["created", "tag_set", "tag_set", "tag_removed", "tag_set", *changes[5:]]
    assert changes[-1] == "completed"
    assert seen_again(run).get_tags() == {"interrupted": "1", "t": "2"}
    assert seen_again(run).display_name == "new name"
    assert seen_again(run).experiment.tags == {"of the experiment": "1"}


def test_a_change_that_is_put_off_and_refused_says_so(run: Run) -> None:
    run.add_properties({"lr": "0.1"})
    with (
        pytest.warns(RuntimeWarning, match="put off, and has failed now: property 'lr'"),
        within_a_transaction(lambda: run.add_properties({"lr": "0.2"})),
    ):
        run.tag("interrupted", "1")
    assert run.get_properties() == {"lr": "0.1"}
    with pytest.raises(TypeError, match="tag"), within_a_transaction(lambda: run.set_tags(1)):  # type: ignore[arg-type]
        run.tag("invalid arguments", "are refused at once")


def test_a_handler_may_close_the_workspace(run: Run, folder_ws: Workspace) -> None:
    def close() -> None:
        run.log("last", 1.0)
        folder_ws.close()

    with within_a_transaction(close):
        run.tag("interrupted", "1")
    with Workspace.open(folder_ws.uri) as again:
        assert again.get_run(run.id).get_metrics() == {"last": 1.0}


@pytest.mark.processes
def test_a_handler_may_fork(run: Run) -> None:
    """The child has none of the locks, and its parent goes on."""
    left: list[int] = []

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            run.log("of the child", 1.0)
            os._exit(0)
        left.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    with within_a_transaction(fork):
        run.tag("interrupted", "1")
    assert left == [0]
    run.log("of the parent", 1.0)
    run.complete()
    assert seen_again(run).get_metrics() == {"of the child": 1.0, "of the parent": 1.0}


LOADING = """
import signal, sys
from runlore import Experiment, Workspace
run = Experiment(Workspace.create("lab"), "e").start_logging(outputs=False, snapshot_directory=None)
run.log("loss", 0.5)
said = []

def handler(*_):
    run.tag("stopped", "yes")
    try:
        said.append(run.get_metrics())
    except Exception as error:
        said.append(type(error).__name__)

class Terminated:
    def find_spec(self, name, *_):
        if name == "numpy" and not said:
            signal.raise_signal(signal.SIGTERM)

signal.signal(signal.SIGTERM, handler)
sys.meta_path.insert(0, Terminated())
print(run.get_metrics(), run.get_tags(), *said)
"""


@pytest.mark.processes
def test_a_read_that_interrupts_the_loading_of_its_modules_says_so(tmp_path: Path) -> None:
    printed = run_python(LOADING, cwd=tmp_path)
    assert printed == "{'loss': 0.5} {'stopped': 'yes'} Interrupting\n"


@pytest.mark.processes
def test_an_end_is_recorded_if_its_process_is_gone_before_the_change_returns(run: Run) -> None:
    """A handler may end the process at once, by os._exit."""
    pid = os.fork()
    if pid == 0:
        own = start(run.experiment, run_id="of-the-child")
        own.log("loss", 0.5)

        def fail_and_exit() -> None:
            own.fail("preempted")
            os._exit(143)

        with within_a_transaction(fail_and_exit):
            own.tag("interrupted", "1")
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 143
    with Workspace.open(run.experiment.workspace.uri) as ws:
        found = ws.get_run("of-the-child")
        assert (found.get_status(), found.get_metrics(), found.get_tags()) == (
            "Failed",
            {"loss": 0.5},
            {},
        )


# --- real signals --------------------------------------------------------------------------------


@pytest.mark.processes
def test_25_trainings_end_as_the_handlers_of_their_signals_say(folder_ws: Workspace) -> None:
    """Each is terminated in the middle of changes and of values; none hangs."""
    printed = run_python(TRAININGS, cwd=Path.cwd(), URI=folder_ws.uri)
    assert printed.split() == ["143"] * 25
    statuses = folder_ws.sql(
        "SELECT run_id, status FROM runs WHERE run_id LIKE 'r__' ORDER BY 1"
    ).fetchall()
    assert statuses == [(f"r{n:02}", ("Failed", "Completed")[n % 2]) for n in range(25)]
    assert folder_ws.audit.verify().holds
    for number in range(25):
        run = folder_ws.get_run(f"r{number:02}")
        _, _, loss = run.values("loss")
        assert loss.tolist() == [float(step) for step in range(len(loss))]
        assert run.get_metrics()["last"] == 1.0


TRAININGS = """
import itertools, os, random, signal, sys, time
from runlore import Experiment, Workspace
from runlore.storage.interruptions import Interrupting

def train(number):
    run = Experiment(Workspace.open(os.environ["URI"]), "e").start_logging(
        run_id=f"r{number:02}", outputs=False, snapshot_directory=None)
    def stop(*_):
        run.log("last", 1.0)
        try:
            run.get_metrics()
        except Interrupting:
            pass
        run.flush()
        (run.complete if number % 2 else run.fail)()
        sys.exit(143)
    signal.signal(signal.SIGTERM, stop)
    run.log("loss", 0.0)
    os.write(ready, b".")
    for step in itertools.count(1):
        run.log("loss", float(step))
        if step % 200 == 1:
            run.tag("step", str(step))

with Workspace.open(os.environ["URI"]) as ws:  # The processes need not import all of it again.
    warm = Experiment(ws, "warm").start_logging(outputs=False, snapshot_directory=None)
    warm.log("loss", 0.5)
    warm.get_metrics()
    warm.complete()
pids = []
for number in range(25):
    come, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        train(number)
    pids.append(pid)
    os.read(come, 1)
    time.sleep(random.uniform(0.005, 0.05))
    os.kill(pid, signal.SIGTERM)
deadline = time.monotonic() + 50
for pid in pids:
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


# --- the end of a process ------------------------------------------------------------------------


@pytest.mark.processes
def test_exit_handlers_may_use_a_workspace_whenever_they_were_registered(project: Path) -> None:
    run_python(EXITING, cwd=project)
    with Workspace.open("lab") as ws:
        for name in ("first", "imported", "opened"):
            run = ws.get_run(name)
            assert (run.get_status(), run.get_tags()) == ("Completed", {"t": name}), name
            assert run.get_metrics() == {"loss": [0.5, 1.0, 2.0], "text": name}
        logged = ws.get_run("logged")  # The process ends it.
        assert logged.get_status() == "Completed"
        assert logged.get_metrics() == {"loss": [0.5, 1.0, 2.0]}
        assert ws.audit.verify().holds
    assert not list((project / "lab" / "spools").iterdir())


EXITING = """
import atexit

def end(name):
    run = runs[name]
    run.log("loss", 1.0)
    run.log("loss", 2.0)
    if name != "logged":
        run.log("text", name)
        run.tag("t", name)
        run.complete()

atexit.register(end, "first")
atexit.register(end, "logged")
from runlore import Experiment, Workspace
atexit.register(end, "imported")
exp = Experiment(Workspace.create("lab"), "e")
runs = {name: exp.start_logging(outputs=False, snapshot_directory=None, run_id=name)
        for name in ("first", "imported", "opened", "logged")}
for run in runs.values():
    run.log("loss", 0.5)
atexit.register(end, "opened")
"""


@pytest.mark.processes
def test_a_thread_that_logs_while_its_process_ends_prints_nothing(project: Path) -> None:
    run_python(GOING_ON, cwd=project)  # Checks that stderr is empty.
    with Workspace.open("lab") as ws:
        loss = ws.get_run("r").get_metrics()["loss"]
    assert loss == [float(number) for number in range(len(loss))]


GOING_ON = """
import itertools, threading, time
from runlore import Experiment, Workspace
run = Experiment(Workspace.create("lab"), "e").start_logging(
    outputs=False, snapshot_directory=None, run_id="r")
begun = threading.Event()
def go_on():
    for number in itertools.count():
        run.log("loss", float(number))
        if number == 1_000:
            begun.set()
threading.Thread(target=go_on, daemon=True).start()
begun.wait()
"""


@pytest.mark.processes
def test_a_finalizer_at_the_end_of_a_process_may_log(project: Path) -> None:
    """After the exit handlers, while the modules are taken down."""
    run_python(TAKEN_DOWN, cwd=project)
    with Workspace.open("lab") as ws:
        assert ws.get_run("r").get_metrics() == {"loss": [0.5, 1.0]}


TAKEN_DOWN = """
from runlore import Experiment, Workspace
run = Experiment(Workspace.create("lab"), "e").start_logging(
    outputs=False, snapshot_directory=None, run_id="r")
run.log("loss", 0.5)
class Model:
    def __del__(self, run=run):
        run.log("loss", 1.0)
model = Model()
"""

"""A run ends when its process ends, whichever way that ends: with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runlore import Workspace
from tests.engine.exits.programs import run_program, seen
from tests.fresh_python import without_settings

pytestmark = pytest.mark.processes

WAYS = {
    "its last line": ("", 0, "Completed", None),
    "an exception": ("raise ValueError('bad')", 1, "Failed", "with ValueError: bad"),
    "an exception after main": (
        "def main():\n    return 1 / 0\nmain()",
        1,
        "Failed",
        "ZeroDivisionError: division by zero",
    ),
    "sys.exit()": ("sys.exit()", 0, "Completed", None),
    "sys.exit(0)": ("sys.exit(0)", 0, "Completed", None),
    "sys.exit(3)": ("sys.exit(3)", 3, "Failed", "with SystemExit: 3"),
    "sys.exit of a text": ("sys.exit('no data')", 1, "Failed", "with SystemExit: no data"),
    "exit(2)": ("exit(2)", 2, "Failed", "with SystemExit: 2"),
    "quit(2)": ("quit(2)", 2, "Failed", "with SystemExit: 2"),
    "raise SystemExit(3)": ("if run:\n    raise SystemExit(3)", 3, "Failed", "with SystemExit: 3"),
    "raise SystemExit(main())": ("raise SystemExit(len([]))", 0, "Completed", None),
    "raise SystemExit in a function": (
        "def load():\n    raise SystemExit('no data')\nload()",
        1,
        "Failed",
        "its code is not known",
    ),
    "an exit that is caught": (
        "try:\n    sys.exit(3)\nexcept SystemExit:\n    pass",
        0,
        "Completed",
        None,
    ),
    "an exception in a thread": (
        "t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
        0,
        "Completed",
        None,
    ),
    "sys.exit in a thread": (
        "t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join()",
        0,
        "Completed",
        None,
    ),
    "a hook that prints nothing": (
        "sys.excepthook = lambda *error: None\nraise ValueError('bad')",
        1,
        "Failed",
        "with ValueError: bad",
    ),
    "argparse": ("import argparse\nargparse.ArgumentParser().parse_args(['-x'])", 2, "Failed", "2"),
    "os._exit": ("os._exit(0)", 0, "Failed", "has ended without closing the workspace"),
    "kill -9": ("os.kill(os.getpid(), 9)", -9, "Failed", "has ended without closing the workspace"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_ends_as_its_program_does(project: Path, way: str) -> None:
    code, exit_code, status, message = WAYS[way]
    ended = run_program(project, code)
    assert ended.returncode == exit_code, ended.stderr
    found = seen(project)
    assert (found.status, found.metrics) == (status, {"loss": 0.5})
    assert message is None or message in (found.message or "")


def test_a_failure_has_the_traceback_of_the_exception(project: Path) -> None:
    run_program(project, "def main():\n    return 1 / 0\nmain()")
    trace = seen(project).trace
    assert trace.startswith("Traceback (most recent call last):")
    assert "in main" in trace and trace.endswith("ZeroDivisionError: division by zero\n")


def test_a_program_on_the_command_line_fails_with_its_code(project: Path) -> None:
    start = "import runlore; run = runlore.init('e', workspace='lab', run_id='r')"

    ran = subprocess.run(
        [sys.executable, "-c", f"{start}; raise SystemExit('no data')"],
        cwd=project,
        env={**without_settings(os.environ), "RUNLORE_QUIET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (1, "no data\n")
    found = seen(project)
    assert (found.status, found.message) == (
        "Failed",
        "User program failed with SystemExit: no data",
    )


def test_an_exit_code_has_the_place_where_it_was_given(project: Path) -> None:
    run_program(project, "def main():\n    sys.exit(3)\nmain()")
    trace = seen(project).trace
    assert "in main" in trace and trace.endswith("SystemExit: 3\n")
    assert "endings.py" not in trace


# --- signals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("within", ["", "with run:\n    "], ids=["at the top", "in a with block"])
def test_ctrl_c_cancels_the_run(project: Path, within: str) -> None:
    ended = run_program(project, f"{within}ready()", send=signal.SIGINT)
    assert ended.returncode == -signal.SIGINT
    found = seen(project)
    assert (found.status, found.message, found.reasons) == ("Canceled", None, ["interrupted"])


@pytest.mark.parametrize("within", ["", "with run:\n    "], ids=["at the top", "in a with block"])
def test_sigterm_cancels_the_run_and_kills_the_program(project: Path, within: str) -> None:
    ended = run_program(project, f"{within}ready()", send=signal.SIGTERM)
    assert (ended.returncode, ended.stderr) == (-signal.SIGTERM, "")
    found = seen(project)
    assert (found.status, found.reasons) == ("Canceled", ["SIGTERM"])
    assert found.metrics == {"loss": 0.5}
    assert not list((project / "lab" / "spools").iterdir())


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_handler_of_the_programs_own_handles_sigterm(project: Path, place: str) -> None:
    handler = """
import signal
def stop(number, frame):
    run.log("loss", 1.5)
    raise SystemExit(143)
signal.signal(signal.SIGTERM, stop)
"""
    from tests.engine.exits.programs import START

    start = handler + START if place == "before" else START + handler
    ended = run_program(project, "ready()", start=start, send=signal.SIGTERM)
    assert ended.returncode == 143
    assert seen(project).metrics == {"loss": [0.5, 1.5]}


def test_sigterm_in_the_midst_of_a_call_is_kept(project: Path) -> None:
    code = """
import runlore.storage.value_buffer as buffers
flush = buffers.ValueBuffer.flush
class Tagged(dict):
    pass
print("ready", flush=True)
while True:
    run.log("loss", 0.5)
    run.tag("t", "v")
"""
    ended = run_program(project, code, send=signal.SIGTERM)
    assert ended.returncode == -signal.SIGTERM
    assert seen(project).status == "Canceled"


def test_a_forked_child_dies_of_sigterm_alone(project: Path) -> None:
    code = """
import signal
ended = set()
for _ in range(50):  # Some are hit before they have left the fork.
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
    os.kill(pid, signal.SIGTERM)
    ended.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(ended, run.get_status())
"""
    assert run_program(project, code).stdout == "{-15} Running\n"
    assert seen(project).status == "Completed"


def test_a_child_that_is_forked_within_a_question_has_the_default_action(project: Path) -> None:
    code = """
import signal
from runlore.workspace import session_of
def fork(tables):
    pid = os.fork()
    if pid == 0:
        os._exit(7 if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(session_of(run.experiment.workspace).reader().projection.ask(fork), run.get_status())
"""
    assert run_program(project, code).stdout == "7 Running\n"
    assert seen(project).status == "Completed"


# --- exit handlers, threads, children ------------------------------------------------------------


def test_exit_handlers_that_come_after_the_import_are_before_the_end(project: Path) -> None:
    start = """
import atexit, runlore
atexit.register(lambda: (run.log("loss", 1.5), print(run.get_status())))
run = runlore.init("e", workspace="lab", run_id="r")
run.log("loss", 0.5)
atexit.register(lambda: run.fail("the last check"))
atexit.register(lambda: print(run.get_status()))
"""
    assert run_program(project, "", start=start).stdout == "Running\nFailed\n"
    found = seen(project)
    assert (found.status, found.message) == ("Failed", "the last check")
    assert found.metrics == {"loss": [0.5, 1.5]}


def test_exit_handlers_that_come_before_the_import_are_after_the_end(project: Path) -> None:
    start = """
import atexit
atexit.register(lambda: (run.log("loss", 1.5), print(run.get_status())))
import runlore
run = runlore.init("e", workspace="lab", run_id="r")
run.log("loss", 0.5)
"""
    assert run_program(project, "", start=start).stdout == "Completed\n"
    assert seen(project).metrics == {"loss": [0.5, 1.5]}


def test_threads_that_the_interpreter_waits_for_log_before_the_end(project: Path) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
ThreadPoolExecutor(1).submit(lambda: (time.sleep(0.3), run.log("loss", 1.5)))
threading.Thread(target=lambda: (time.sleep(0.3), run.log("loss", 2.5))).start()
"""
    run_program(project, code)
    found = seen(project)
    assert found.status == "Completed"
    assert sorted(found.metrics["loss"]) == [0.5, 1.5, 2.5]


def test_a_run_whose_object_is_gone_ends_with_the_process(project: Path) -> None:
    code = """
del run
import gc; gc.collect()
other = runlore.Workspace.open("lab").get_run("r")
print(other.get_status())
"""
    assert run_program(project, code).stdout == "Running\n"
    assert seen(project).status == "Completed"


def test_children_that_are_left_open_end_as_their_parent_does(project: Path) -> None:
    code = """
run.child_run(run_id="started").log("x", 1)
batch = run.create_children(count=2)
batch[0].log("x", 1)
print(batch[0].id, batch[1].id)
raise ValueError("bad")
"""
    used, unused = run_program(project, code).stdout.split()
    for run_id in ("r", "started", used):
        assert seen(project, run_id).status == "Failed", run_id
    assert seen(project, unused).status == "Running"  # Others were to execute it.


def test_a_forked_child_ends_its_own_runs_and_no_others(project: Path) -> None:
    code = """
pid = os.fork()
if pid == 0:
    own = runlore.init("e", workspace="lab", run_id="child")
    own.log("x", 1)
    run.log("loss", 1.5)
    sys.exit(3)
os.waitpid(pid, 0)
print(run.get_status())
"""
    assert run_program(project, code).stdout == "Running\n"
    assert seen(project).status == "Completed"
    assert seen(project, "child").message == "User program failed with SystemExit: 3"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_end_their_own_runs(project: Path, method: str) -> None:
    start = """
import multiprocessing, os, sys
import runlore
def work(way):
    own = runlore.init("e", workspace="lab", run_id=way)
    own.log("x", 1)
    if way == "raises":
        raise ValueError("bad")
    if way == "exits":
        sys.exit(7)
"""
    code = f"""
if __name__ == "__main__":
    from concurrent.futures import ProcessPoolExecutor
    run = runlore.init("e", workspace="lab", run_id="r")
    ways = multiprocessing.get_context("{method}")
    for way in ("returns", "raises", "exits"):
        child = ways.Process(target=work, args=(way,))
        child.start()
        child.join()
    with ProcessPoolExecutor(1, mp_context=ways) as pool:
        list(pool.map(work, ["pooled"]))
    print(run.get_status())
"""
    assert run_program(project, code, start=start).stdout == "Running\n"
    ends = {name: seen(project, name) for name in ("r", "returns", "raises", "exits", "pooled")}
    assert {name: end.status for name, end in ends.items()} == {
        "r": "Completed",
        "returns": "Completed",
        "raises": "Failed",
        "exits": "Failed",
        "pooled": "Completed",
    }
    assert ends["raises"].message == "User program failed with ValueError: bad"
    assert ends["exits"].message == "User program failed with SystemExit: 7"


# --- what does not end with the process ----------------------------------------------------------


def test_a_run_can_be_left_open(project: Path) -> None:
    start = """
import runlore
run = runlore.init("e", workspace="lab", run_id="r", end_at_exit=False)
run.log("loss", 0.5)
run.child_run(run_id="child")
exp = run.experiment
exp.start_logging(run_id="s", outputs=False, snapshot_directory=None, end_at_exit=False)
"""
    run_program(project, "", start=start)
    assert [seen(project, name).status for name in ("r", "child", "s")] == ["Running"] * 3


def test_a_process_that_only_logs_into_a_run_that_was_left_open_ends_nothing(
    project: Path,
) -> None:
    start = (
        'import runlore\nrun = runlore.init("e", workspace="lab", run_id="r", end_at_exit=False)'
    )
    run_program(project, "", start=start)
    attach = 'import runlore\nrunlore.Workspace.open("lab").get_run("r").log("loss", 1.5)'
    run_program(project, "raise ValueError('bad')", start=attach + "\n")
    found = seen(project)
    assert (found.status, found.metrics) == ("Running", {"loss": 1.5})


def test_the_script_of_a_launcher_ends_only_its_part(project: Path) -> None:
    """It runs `get_context()` of a run that its parent started, and fails: so does the run."""
    code = """
import subprocess
env = {**os.environ, "RUNLORE_WORKSPACE_URI": run.experiment.workspace.uri, "RUNLORE_RUN_ID": "r"}
script = "import runlore; run = runlore.init(); run.log('x', 1); raise ValueError('rank 1')"
subprocess.run([sys.executable, "-c", script], env=env, stderr=subprocess.DEVNULL)
print(run.get_status())
"""
    assert run_program(project, code).stdout == "Running\n"
    found = seen(project)
    assert (found.status, found.message) == (
        "Failed",
        "User program failed with ValueError: rank 1",
    )


def test_an_offline_run_ends_silently(project: Path) -> None:
    start = "import runlore\nrun = runlore.Run.get_context()\nrun.log('x', 1)\n"
    ended = run_program(project, "", start=start)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_many_open_runs_end(project: Path) -> None:
    code = """
exp = run.experiment
more = [exp.start_logging(outputs=False, snapshot_directory=None, run_id=f"r{n}")
        for n in range(50)]
raise ValueError("bad")
"""
    run_program(project, code)
    with Workspace.open(project / "lab") as ws:
        statuses = {run.get_status() for run in ws.experiments["e"].get_runs()}
    assert statuses == {"Failed"}

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fresh_python import run_python

pytestmark = pytest.mark.processes

HEAVY = (
    "arro3",
    "duckdb",
    "matplotlib",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "scipy",
    "sklearn",
)

SHOW = f"""
import sys
print(sorted(set(sys.modules) & set({HEAVY!r})))
"""


def test_importing_runlore_loads_nothing_heavy(project: Path) -> None:
    assert run_python("import runlore\n" + SHOW, cwd=project) == "[]\n"


def test_importing_runlore_waits_with_what_opening_a_workspace_needs(project: Path) -> None:
    later = {"eventsourcing", "msgpack", "pydantic", "sqlite3", "yaml"}
    shown = f"print(sorted(set(sys.modules) & {later!r}))"

    assert run_python(f"import runlore, sys\n{shown}", cwd=project) == "[]\n"


@pytest.mark.parametrize("entry", ["supervisor", "job"])
def test_a_supervisor_loads_nothing_that_users_of_runs_need(entry: str, project: Path) -> None:
    users = {"runlore.run.run", "runlore.workspace", "runlore.engine.capture.surroundings"}
    shown = f"print(sorted(set(sys.modules) & {(users | set(HEAVY))!r}))"

    assert run_python(f"import runlore.entry.{entry}, sys\n{shown}", cwd=project) == "[]\n"


def test_a_run_that_only_writes_loads_nothing_heavy(project: Path) -> None:
    printed = run_python(
        """
import runlore
ws = runlore.Workspace.create("lab")
run = runlore.Experiment(ws, "e").start_logging()
run.log("loss", 0.5)
run.log_list("list", [1, 2.5])
run.log_row("row", x=1)
run.log_metrics({"acc": 0.5})
run.tag("a", "b")
run.add_properties({"p": "q"})
with run.child_run() as child:
    child.log("loss", 0.5)
run.create_children(count=2)
run.complete()
assert run.get_status() == "Completed"
assert run.get_tags() == {"a": "b"}
assert run.get_details()["status"] == "Completed"
ws.close()
"""
        + SHOW,
        cwd=project,
    )

    assert printed == "[]\n"


def test_a_run_without_a_snapshot_does_not_load_subprocess(project: Path) -> None:
    printed = run_python(
        """
import runlore, sys
ws = runlore.Workspace.create("lab")
run = runlore.Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None)
run.log("loss", 0.5)
print("subprocess" in sys.modules)
run.complete()
""",
        cwd=project,
    )

    assert printed == "False\n"


def test_an_offline_run_that_only_writes_loads_nothing_heavy(project: Path) -> None:
    printed = run_python(
        "import runlore\nrunlore.Run.get_context().log('loss', 0.5)\n" + SHOW, cwd=project
    )

    assert printed == "[]\n"


def test_reading_the_values_of_one_run_does_not_load_duckdb(project: Path) -> None:
    printed = run_python(
        """
import runlore
with runlore.init("e") as run:
    run.log("loss", 0.5)
assert run.get_metrics() == {"loss": 0.5}
assert len(run.history()) == 3
"""
        + SHOW,
        cwd=project,
    )

    assert printed == "['numpy']\n"


def test_importing_runlore_touches_no_file_and_starts_no_thread(project: Path) -> None:
    printed = run_python(
        "import os, threading, runlore\n"
        "print(os.listdir(), threading.active_count(), len(os.listdir('/proc/self/fd')) < 8)",
        cwd=project,
    )

    assert printed == "[] 1 True\n"


def test_importing_runlore_loads_no_other_module_until_a_name_is_used(project: Path) -> None:
    printed = run_python(
        "import runlore, sys\n"
        "print(sorted(name for name in sys.modules if name.startswith('runlore')))\n"
        "print('runlore.workspace' in sys.modules, runlore.Workspace.__name__)\n"
        "print(runlore.run.Run is runlore.Run, 'runlore.init' in sys.modules)",
        cwd=project,
    )

    assert printed == "['runlore', 'runlore.version']\nFalse Workspace\nTrue False\n"

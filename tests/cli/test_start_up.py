"""A command loads what it needs: modules are counted, as times differ from machine to machine."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.entry.attached_folder import attach
from tests.counted import COUNTING
from tests.fresh_python import run_python

pytestmark = pytest.mark.processes

RUN_MAIN = """
import json, os, sys
before = set(sys.modules)
from runlore.cli import main
printed, sys.stdout = sys.stdout, open(os.devnull, "w", encoding="utf-8")
code = main({arguments!r})
print(json.dumps([code, sorted(set(sys.modules) - before)]), file=printed)
sys.stdout.close()
"""
LIBRARIES = {
    "arro3",
    "cryptography",
    "duckdb",
    "eventsourcing",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "rich",
    "yaml",
}
OF_OTHER_COMMANDS = {
    "html",
    "importlib.resources",
    "runlore.domain.filtering.fields",
    "runlore.domain.filtering.parser",
    "tempfile",
    "zipfile",
}
ONE_RUN = {
    "show": ["run", "show", "-r", "fantastic"],
    "history": ["run", "history", "-r", "fantastic"],
    "show-tsv": ["run", "show", "-r", "fantastic", "-o", "tsv"],
}


RUN_COUNTED = (
    COUNTING
    + """
from runlore.cli import main
printed, sys.stdout = sys.stdout, open(os.devnull, "w", encoding="utf-8")
before = descriptors()
code = main({arguments!r})
counts["descriptors"] = descriptors() - before
print(json.dumps([code, counts]), file=printed)
sys.stdout.close()
"""
)
READS_NOTHING_ELSE = {"syncs": 0, "commits": 0, "connections": 1, "descriptors": 0}


def modules_of(arguments: list[str], folder: Path) -> set[str]:
    code, loaded = json.loads(run_python(RUN_MAIN.format(arguments=arguments), cwd=folder))
    assert code == 0
    return set(loaded)


def test_the_version_needs_click_and_little_else(project: Path) -> None:
    loaded = modules_of(["--version"], project)

    ours = {name for name in loaded if name.startswith("runlore")}
    assert len(ours) <= 16, sorted(ours)
    assert not loaded & {*LIBRARIES, "msgpack", "sqlite3", "importlib.metadata"}


@pytest.mark.parametrize("arguments", ONE_RUN.values(), ids=ONE_RUN)
def test_what_reads_one_run_loads_no_library_of_many(arguments: list[str], project: Path) -> None:
    loaded = modules_of(arguments, project)

    assert not loaded & {*LIBRARIES, *OF_OTHER_COMMANDS}
    assert len(loaded) <= 318, len(loaded)


def test_a_list_loads_the_extension_of_duckdb_without_its_package(tmp_path: Path) -> None:
    attach(tmp_path, "lab", experiment_name="experiment")
    with Workspace.open(tmp_path / "lab") as ws:
        Experiment(ws, "experiment").start_logging(snapshot_directory=None).complete()

    loaded = modules_of(["run", "list", "-e", "experiment"], tmp_path)

    assert "_duckdb" in loaded
    assert not loaded & {*LIBRARIES, *OF_OTHER_COMMANDS, "importlib.metadata"}
    assert len(loaded) <= 365, len(loaded)


def test_the_package_is_the_command_line(project: Path) -> None:
    command = [sys.executable, "-m", "runlore", "run", "show", "-r", "fantastic"]

    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)

    assert json.loads(ran.stdout)["run_id"].startswith("fantastic")


def test_the_end_of_a_command_looks_for_no_garbage(project: Path) -> None:
    code = "import gc, sys; from runlore.cli import main; main(); print(gc.get_freeze_count() > 0)"

    printed = run_python(f"import sys; sys.argv = ['runlore', '--version']; {code}", cwd=project)

    assert printed.splitlines()[-1] == "True"


@pytest.mark.parametrize("command", ["run list -e experiment", "sql 'SELECT count(*) FROM runs'"])
def test_a_command_that_makes_or_reads_tables_says_nothing_at_its_end(
    command: str, tmp_path: Path
) -> None:
    attach(tmp_path, "lab", experiment_name="experiment")
    with Workspace.open(tmp_path / "lab") as ws:
        for _ in range(40):  # More rows than are written without the package of DuckDB.
            Experiment(ws, "experiment").start_logging(snapshot_directory=None).complete()

    code = f"import sys; sys.argv = ['runlore', *{shlex.split(command)!r}]\n"
    code += "from runlore.cli import main; sys.exit(main())"
    for _ in range(2):
        assert run_python(code, cwd=tmp_path)  # Nothing on stderr.


@pytest.mark.parametrize(
    ("arguments", "statements", "threads"),
    [
        (["run", "show", "-r", "fantastic"], 30, 0),
        (["run", "history", "-r", "fantastic"], 26, 0),
        (["run", "list", "-e", "experiment"], 30, 2),  # It publishes, and finds that too early.
    ],
    ids=["show", "history", "list"],
)
def test_a_command_asks_little_of_the_machine(
    arguments: list[str], statements: int, threads: int, project: Path
) -> None:
    code, counts = json.loads(
        run_python(RUN_COUNTED.replace("{arguments!r}", repr(arguments)), cwd=project)
    )

    assert code == 0
    assert {name: counts[name] for name in READS_NOTHING_ELSE} == READS_NOTHING_ELSE
    assert 0 < counts["statements"] <= statements, counts
    assert counts["threads"] <= threads, counts

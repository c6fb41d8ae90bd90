"""docs/format.md says what is stored: a reader that was written from it reads all of it."""

from __future__ import annotations

import ast
import importlib.util
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runlore import Experiment, Workspace
from tests.docs import topics_table
from tests.old.answers import plain, values_of_run
from tests.old.test_old_workspaces import expected_of
from tests.workspaces import start

ROOT = Path(__file__).parents[2]
READER = ROOT / "examples" / "read_log.py"


@pytest.fixture(scope="module")
def reader() -> ModuleType:
    spec = importlib.util.spec_from_file_location("read_log", READER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_topics_is_that_of_the_code() -> None:
    assert topics_table.in_document() == topics_table.table()


def test_the_reader_is_short_and_needs_no_runlore() -> None:
    imports = [
        node
        for node in ast.parse(READER.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in imports
        for alias in node.names
    }
    code = READER.read_text().splitlines()[imports[-1].lineno :]

    outside = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert outside == {"msgpack", "zstandard"}
    assert sum(bool(line) for line in code) <= 100


@pytest.mark.parametrize("name", ["spool", "audited", "generations"])
def test_it_reads_an_old_workspace_and_a_dead_spool_of_format_1(
    reader: ModuleType, tmp_path: Path, name: str
) -> None:
    with tarfile.open(ROOT / "tests" / "old" / f"{name}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    expected = expected_of(tmp_path)

    runs = reader.read(tmp_path / "lab")

    end = expected["moments"][-1]
    assert runs.keys() == end["runs"].keys()
    for run_id, said in end["runs"].items():
        values = expected["killed"] if run_id == "killed" else said["values"]
        assert_same(runs[run_id], said, values)


@pytest.mark.processes
def test_it_reads_a_new_workspace_and_a_dead_spool_of_format_2(
    reader: ModuleType, tmp_path: Path
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", LOG_AND_DIE, tmp_path / "lab"], cwd=ROOT, check=False
    )
    assert killed.returncode == -9
    assert list(tmp_path.glob("lab/spools/*.spool2"))

    runs = reader.read(tmp_path / "lab")

    assert runs["killed"]["values"]["loss"][-1][0] == 19
    with Workspace.open(tmp_path / "lab") as ws:
        assert len(runs) == 4
        for run_id, run in runs.items():
            status = "Running" if run_id == "killed" else ws.get_run(run_id).get_status()
            said = {
                "status": status,
                "tags": ws.get_run(run_id).get_tags(),
                "properties": ws.get_run(run_id).get_properties(),
            }
            assert_same(run, said, values_of_run(ws, run_id))


LOG_AND_DIE = """
import os, signal, sys
from runlore import Experiment, Workspace
from tests.old.make import log_values
quiet = {"outputs": False, "snapshot_directory": None}
exp = Experiment(Workspace.create("lab", path=sys.argv[1]), "a/b")
run = exp.start_logging(run_id="ended", **quiet)
log_values(run)
run.tag("quality", "poor")
run.tag("quality", "great")
run.add_properties({"author": "me"})
run.correct_property("author", "Ann", reason="she was it")
run.complete()
run.tag("key only")
run.remove_tags(["quality"])
exp.start_logging(run_id="failed", **quiet).fail("boom")
exp.start_logging(run_id="canceled", **quiet).cancel()
run = exp.start_logging(run_id="killed", tags={"a": "b"}, **quiet)
run.log("loss", 1.0)
run.flush()
for step in range(1, 20):
    run.log("loss", 1 / (step + 1))
log_values(run)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_verifies_the_log(reader: ModuleType, tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        start(Experiment(ws, "explore-runs"), run_id="first").tag("quality", "poor")
    assert reader.read(tmp_path / "lab")["first"]["tags"] == {"quality": "poor"}

    with closing(sqlite3.connect(tmp_path / "lab" / "log.sqlite", isolation_level=None)) as vandal:
        vandal.execute(
            "UPDATE stored_events SET recorded_at = recorded_at + 1 WHERE topic = 'run.tag_set'"
        )

    with pytest.raises(AssertionError):
        reader.read(tmp_path / "lab")


def assert_same(read: dict[str, Any], said: dict[str, Any], values: dict[str, Any]) -> None:
    """Fails unless the reader says of a run what runlore says."""
    assert [read[key] for key in ("status", "tags", "properties")] == [
        said[key] for key in ("status", "tags", "properties")
    ]
    assert read["values"].keys() == values.keys()
    for name, found in values.items():
        columns = found["steps"], found["times"], *found["columns"].values()
        assert plain(read["values"][name]) == [list(row) for row in zip(*columns, strict=True)]

"""A command loads what it needs: modules are counted, as times differ from machine to machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "rich",
    "yaml",
}
ONE_RUN = {
    "show": ["run", "show", "-r", "fantastic"],
    "history": ["run", "history", "-r", "fantastic"],
    "show-tsv": ["run", "show", "-r", "fantastic", "-o", "tsv"],
}


def modules_of(arguments: list[str], folder: Path) -> set[str]:
    code, loaded = json.loads(run_python(RUN_MAIN.format(arguments=arguments), cwd=folder))
    assert code == 0
    return set(loaded)


def test_the_version_needs_click_and_little_else(project: Path) -> None:
    loaded = modules_of(["--version"], project)

    ours = {name for name in loaded if name.startswith("runlore")}
    assert len(ours) <= 16, sorted(ours)
    assert not loaded & {*LIBRARIES, "eventsourcing", "msgpack", "sqlite3", "importlib.metadata"}


@pytest.mark.parametrize("arguments", ONE_RUN.values(), ids=ONE_RUN)
def test_what_reads_one_run_loads_no_library_of_many(arguments: list[str], project: Path) -> None:
    loaded = modules_of(arguments, project)

    assert not loaded & LIBRARIES
    assert len(loaded) <= 310, len(loaded)

"""Queries that take all time or all memory: what limits hold for them, and what works afterwards.

Peaks are those that the kernel keeps for ended processes, so nothing is missed between two looks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from runlore import Workspace
from tests.cli.shell import COMMAND
from tests.fresh_python import without_settings
from tests.processes import LIMIT_S

pytestmark = [pytest.mark.long, pytest.mark.processes]

LIMIT_NBYTES = 300_000_000
MOST_NBYTES = 1.5 * LIMIT_NBYTES
TIMEOUT_S = 1.0

TOO_LARGE = {
    "one list": "SELECT len(range(300000000))",
    "one text": "SELECT length(repeat(chr(120), 2000000000))",
    "one text of rows": "SELECT length(string_agg(repeat('x', 1000), '')) FROM range(10000000)",
    "many rows": "FROM range(1000000000)",
    "wide rows": "SELECT repeat('x', 1000) FROM range(10000000)",
}
ENDLESS = {
    "a cross join": "SELECT count(*) FROM range(1000000) a, range(1000000) b "
    "WHERE a.range + b.range < 0",
    "a recursion": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) "
    "SELECT count(*) FROM t",
    "one comparison": "SELECT levenshtein(repeat('a', 3000000), repeat('b', 3000000))",
}
BOTH = {  # Whichever limit is reached first.
    "large texts": "SELECT sum(length(repeat(chr(97), 1000000 + range::INT))) FROM range(100000)",
    "a list of lists": "SELECT sum(len(list_transform(range(1000000), lambda x: x + range))) "
    "FROM range(1000000)",
    "a sort": "SELECT hash(range) AS h FROM range(10000000000) ORDER BY h OFFSET 1000000000",
}
QUERIES = {**TOO_LARGE, **ENDLESS, **BOTH}


def timeout_of(name: str) -> float | None:
    """None for a query that must reach the other limit, however slow the machine is."""
    return None if name in TOO_LARGE else TIMEOUT_S


ASK_ALL = """
import json, resource, sys
from runlore import Workspace
from runlore.domain.errors import RunloreError

queries = json.loads(sys.stdin.read())
ended = {}
with Workspace.open("lab") as lab:
    ws = lab.as_of(lab.position) if PAST else lab
    for name, (query, timeout_s) in queries.items():
        try:
            ws.sql(query, isolated=True, timeout_s=timeout_s, memory_limit=LIMIT_NBYTES)
        except RunloreError as error:
            ended[name] = type(error).__name__, str(error)
        assert ws.sql("SELECT 42", isolated=True).fetchall() == [(42,)], name
print(json.dumps([ended, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]))
"""

RUN = """
import json, resource, subprocess, sys
ran = subprocess.run(json.loads(sys.stdin.read()), capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps([ran.returncode, ran.stdout, ran.stderr, peak]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a workspace."""
    Workspace.create("lab", path=tmp_path / "lab").close()
    return tmp_path


@pytest.mark.parametrize("past", [False, True], ids=["now", "as of a position"])
def test_no_isolated_query_passes_its_limits(past: bool, folder: Path) -> None:
    code = f"PAST = {past}\nLIMIT_NBYTES = {LIMIT_NBYTES}\n{ASK_ALL}"
    given = {name: (query, timeout_of(name)) for name, query in QUERIES.items()}

    ended, peak = small_python(code, given, folder)

    kinds = {name: kind for name, (kind, _) in ended.items()}
    assert kinds == {**kinds, **dict.fromkeys(TOO_LARGE, "QueryTooLarge")}
    assert kinds == {**kinds, **dict.fromkeys(ENDLESS, "QueryTimedOut")}
    assert kinds.keys() == QUERIES.keys()
    assert set(kinds.values()) == {"QueryTooLarge", "QueryTimedOut"}
    assert peak <= MOST_NBYTES
    for kind, message in ended.values():
        assert {"QueryTooLarge": "limit of 300 MB", "QueryTimedOut": "after 1 s"}[kind] in message
        assert {"QueryTooLarge": "memory_limit='600MB'", "QueryTimedOut": "timeout_s=2"}[
            kind
        ] in message


@pytest.mark.parametrize("name", ["one list", "many rows", "a recursion", "one comparison", *BOTH])
def test_no_query_of_the_command_line_passes_its_limits(name: str, folder: Path) -> None:
    options = ["--memory-limit", "300MB", "-w", "./lab"]
    if timeout_of(name) is not None:
        options += ["--timeout", str(TIMEOUT_S)]

    code, out, err, peak = small_python(RUN, [*COMMAND, "sql", QUERIES[name], *options], folder)

    assert (code, out) == (1, "")
    assert "limit of 300 MB" in err or "after 1 s, its time limit" in err
    assert "Traceback" not in err
    assert peak <= MOST_NBYTES


def test_a_large_output_counts_as_well(folder: Path) -> None:
    """The rows are small in DuckDB and large as the objects that are printed."""
    command = [*COMMAND, "sql", "FROM range(5000000)", "--memory-limit", "300MB", "-w", "./lab"]

    code, out, err, peak = small_python(RUN, command, folder)

    assert (code, out) == (1, "")
    assert "limit of 300 MB" in err
    assert peak <= MOST_NBYTES


INTERRUPT = """
import os, signal, sys, threading
from runlore import Workspace

signal.signal(signal.SIGINT, signal.default_int_handler)
with Workspace.open("lab") as ws:
    for query in sys.stdin.read().splitlines():
        ws.sql("SELECT 1", isolated=True)
        timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
        timer.start()
        try:
            ws.sql(query, isolated=True)
        except KeyboardInterrupt:
            print("interrupted")
        timer.join()
        assert ws.sql("SELECT 42", isolated=True).fetchall() == [(42,)]
"""


def test_ctrl_c_ends_any_isolated_query(folder: Path) -> None:
    queries = [*ENDLESS.values(), BOTH["large texts"]]

    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPT],
        cwd=folder,
        env=without_settings(os.environ),
        input="\n".join(queries),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert ran.stdout.split() == ["interrupted"] * len(queries), ran.stderr


@pytest.mark.parametrize("whom", ["the process", "its group, as a terminal does"])
@pytest.mark.parametrize("name", ["a cross join", "one comparison"])
def test_ctrl_c_ends_the_command_line(name: str, whom: str, folder: Path) -> None:
    command = [*COMMAND, "sql", QUERIES[name], "-w", "./lab"]
    with subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)  # Into the query.
        send = os.kill if whom == "the process" else os.killpg
        send(process.pid, signal.SIGINT)

        assert process.wait(LIMIT_S) == 130
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def small_python(code: str, given: Mapping[str, object] | Sequence[str], folder: Path) -> Any:
    """What the code prints as JSON in a small process: one's size counts for those it starts."""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=without_settings(os.environ),
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=2 * LIMIT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)

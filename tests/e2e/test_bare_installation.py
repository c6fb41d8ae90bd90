"""An installation without extras: nothing but what pyproject.toml requires can be imported."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

pytestmark = pytest.mark.processes

USE = """
import importlib.util
from runlore import Experiment, Workspace
from runlore.workspace import session_of

assert importlib.util.find_spec("pyarrow") is None, "there is no pyarrow here"
with Workspace.create("lab", path="lab") as ws:
    experiment = Experiment(ws, "e")
    for number in range(40):
        run = experiment.start_logging(outputs=False, snapshot_directory=None)
        run.tag("number", str(number))
        run.add_properties({"author": "me"})
        run.log("loss", 0.5)
        run.log_row("table", x=1, y="text")
        run.complete()
    run = experiment.start_logging(outputs=False, snapshot_directory=None)
    run.log_batch("long", range(1_000_001))  # More than the tail holds: a segment is sealed.
    run.flush()
    position = ws.log.head().position
    run.log("loss", 0.25)
    run.complete()

    print(len(list(experiment.get_runs(tags={"number": "7"}))), end=" ")
    print(len(list(experiment.get_runs(properties={"author": "me"}))), end=" ")
    print(len(run.values("long", max_points=100).values), end=" ")
    reader = session_of(ws).reader()
    print(len(reader.curves([run.id], "long", max_points=50)[0].values))
    for asked in (ws, ws.as_of(position)):
        print(asked.sql("SELECT metric, sum(n)::INT, max(max) FROM metrics "
                        "WHERE metric <> 'table' GROUP BY ALL ORDER BY ALL").fetchall())
        print(asked.sql("SELECT count(*) - count(data) FROM events").fetchall())
    # In a console, as this one is, DuckDB would draw bars to stdout.
    bar = "SELECT current_setting('enable_progress_bar')"
    shown = reader.projection.ask(lambda tables: tables.connection.execute(bar).fetchall())
    print(ws.sql("SELECT INTERVAL 3 DAY").fetchall() + shown)
    said = ws.audit.export_parquet("views")
    print(said["rows"]["runs"], said["rows"]["metric_points"])
    print(ws.audit.replay().holds)
    try:
        ws.sql("SELECT 1").arrow()
    except ImportError as error:
        print(error)
"""

FRAMES = """
import importlib.util
from runlore import Workspace

assert importlib.util.find_spec("pyarrow") is None, "there is no pyarrow here"
with Workspace.create("lab", path="lab") as ws:
    result = ws.sql("SELECT unnest([1, 2, NULL]) AS whole, 'text' AS text, INTERVAL 1 HOUR AS span")
    print(result.pandas().dtypes.astype(str).to_dict())
    print(result.polars().rows())
"""


def with_what_they_need(names: Iterable[str]) -> set[str]:
    """The names of the distributions and of all that they require, without extras."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += [
            requirement.name
            for requirement in map(Requirement, distribution(name).requires or ())
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ]
    return found


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder to import from, which holds runlore and what it requires."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "runlore").symlink_to(ROOT / "src" / "runlore")
    required = map(Requirement, PYPROJECT["project"]["dependencies"])
    install(site, [requirement.name for requirement in required])
    return site


def install(site: Path, names: Iterable[str]) -> None:
    """Links the distributions and what they need into the folder."""
    for name in with_what_they_need(names):
        installed = distribution(name)
        tops = {file.parts[0] for file in installed.files or () if file.parts[0] != ".."}
        for top in tops - {"__pycache__", "bin"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(installed.locate_file(top))))


def printed_in(site: Path, folder: Path, code: str) -> list[str]:
    """The lines that an interpreter prints which finds the site and the standard library only."""
    ran = subprocess.run(
        [sys.executable, "-S", "-W", "error", "-c", code],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(site),
            "RUNLORE_CAPTURE": "none",  # How many samples there are is a matter of time.
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_runs_lists_sql_curves_and_exports_need_only_what_is_required(
    bare: Path, tmp_path: Path
) -> None:
    metrics = "[('long', 1000001, 1000000.0), ('loss', {}, 0.5)]"

    assert printed_in(bare, tmp_path, USE) == [
        "1 40 100 50",
        metrics.format(41),
        "[(0,)]",
        metrics.format(40),
        "[(0,)]",
        "[(datetime.timedelta(days=3),), (False,)]",
        "41 1000122",
        "True",
        "arrow() returns a table of pyarrow, which is not installed; install it with "
        "pip install 'runlore[arrow]', or take fetchall(), pandas() or polars()",
    ]


def test_pandas_and_polars_get_their_frames_without_pyarrow(bare: Path, tmp_path: Path) -> None:
    install(bare, ["pandas", "polars"])

    assert printed_in(bare, tmp_path, FRAMES) == [
        "{'whole': 'Int32', 'text': 'str', 'span': 'timedelta64[us]'}",
        "[(1, 'text', datetime.timedelta(seconds=3600)), "
        "(2, 'text', datetime.timedelta(seconds=3600)), "
        "(None, 'text', datetime.timedelta(seconds=3600))]",
    ]

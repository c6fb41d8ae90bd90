"""What reading processes pay: catch-up, the first answer of a fresh process, filters, trees.

`python -m benchmarks.bench_projections 10000 1000000` runs it at sizes of your own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import duckdb
import pyarrow as pa

from benchmarks.bench_queries import fill
from benchmarks.harness import (
    Goal,
    Result,
    at_most,
    cached,
    python,
    scratch,
    seconds,
    shown_as_it_runs,
    side_by_side,
)
from runlore import Experiment, Workspace
from runlore.domain.fact import Fact
from runlore.projections.filters import RunFilter
from runlore.storage.codec import facts_of
from runlore.storage.collector import collector_paused
from runlore.storage.journal import Pending
from runlore.storage.log_query import LogQuery
from runlore.workspace import session_of

SIZES = (10_000, 100_000)
LARGE_TREE = 10_000
DEPTH = 1_000

FIRST_ANSWER = """
import sys
from runlore import Experiment, Workspace
with Workspace.open(sys.argv[1]) as ws:
    experiment = Experiment(ws, "exp-3")
    filters = {"tags": {"group": "7"}, "properties": {"author": "user-3"}}
    list(experiment.get_runs(include_children=True, **filters))
"""


def run(sizes: Sequence[int] = SIZES) -> Iterator[Result]:
    """For each number of runs (three events each): all of the above, warm unless it says so."""
    for size in sizes:
        with scratch() as folder, Workspace.create("bench", path=folder / "ws") as ws:
            fill(ws, size)
            add_tree(ws, LARGE_TREE)
            add_tree(ws, DEPTH, name="chain", children=1)
            yield catch_up(ws, size)
            yield tail(ws, size)
            yield from first_answers(ws, size)
            yield from queries(ws, size)


def add_tree(ws: Workspace, size: int, *, name: str = "tree", children: int = 10) -> None:
    """One tree whose root has so many descendants, ten children to each or as many as said."""
    from runlore.domain.events import RunCreated
    from runlore.domain.ids import run_stream
    from runlore.domain.status import Status

    pending = []
    for number in range(size + 1):
        created = RunCreated(
            run_id=f"{name}-{number}",
            experiment_id="exp-3",
            experiment_name="exp-3",
            status=Status.RUNNING,
            parent_id=None if number == 0 else f"{name}-{(number - 1) // children}",
            root_id=f"{name}-0",
        )
        pending.append(Pending(run_stream(created.run_id), 1, created))
    session_of(ws).journal.append(pending)


def catch_up(ws: Workspace, size: int) -> Result:
    """From nothing, per event; beside the least that a projection in Python has to do."""
    head = session_of(ws).log.head().size
    ours = seconds(session_of(ws).reader().projection.refresh)
    baseline = seconds(lambda: least_projection(ws))
    what = f"catch-up from zero, {size:,} runs ({head:,} events), per event"
    ours_us, baseline_us = ours / head * 1e6, baseline / head * 1e6
    goals = (at_most(5),)  # 200,000 events a second.
    least = "read, decoded, one row of seven columns in DuckDB"
    return Result(what, ours_us, baseline_us, least, "µs", 1, goals)


def least_projection(ws: Workspace) -> None:
    """Reads and decodes the log and puts a row of each event into a table in memory, no more."""
    columns = ("position", "stream", "version", "topic", "recorded_at", "writer_id", "reason")
    position = 0
    with collector_paused(), duckdb.connect(config={"threads": 2}) as connection:
        while read := session_of(ws).log.read_plain(
            LogQuery(after_position=position, limit=30_000)
        ):
            rows = dict(zip(Fact._fields, zip(*facts_of(read), strict=True), strict=True))
            connection.register("rows", pa.table({name: rows[name] for name in columns}))
            if position == 0:
                connection.execute("CREATE TABLE events AS FROM rows LIMIT 0")
            connection.execute("INSERT INTO events FROM rows")
            position = read[-1][0]


def tail(ws: Workspace, size: int) -> Result:
    """The catch-up by one tag, which comes before an answer; beside the answer without one."""
    reader = session_of(ws).reader()
    run = ws.get_run("run-0")
    turn = iter(range(1_000))

    def after_a_tag() -> float:
        run.tag("turn", str(next(turn)))
        return seconds(reader.projection.refresh)

    ours = sorted(after_a_tag() for _ in range(15))[7] * 1e3
    baseline = sorted(seconds(reader.projection.refresh) for _ in range(15))[7] * 1e3
    return Result(f"catch-up by one tag, {size:,} runs", ours, baseline, "by nothing", "ms", 15)


def first_answers(ws: Workspace, size: int) -> Iterator[Result]:
    """A whole process that asks one filter: in a slot of its own, and in one that was used."""
    assert ws.path is not None
    command = [*python(FIRST_ANSWER), str(ws.path)]
    session_of(ws).reader().projection.finish_publishing()

    def ask() -> None:
        subprocess.run(command, check=True)

    def in_a_new_slot() -> None:
        for slot in cached(ws.path).glob("*/reader-1"):
            shutil.rmtree(slot)
        ask()

    for what, action in (("a new slot", in_a_new_slot), ("a used slot", ask)):
        yield side_by_side(
            f"first answer of a process, {what}, {size:,} runs",
            action,
            "python -c 'import duckdb'",
            lambda: subprocess.run(python("import duckdb"), check=True),
            repeat=5,
            goals=(at_most(700),),
        )


def queries(ws: Workspace, size: int) -> Iterator[Result]:
    """Through the SDK to Run objects; beside the same as of the log's head."""
    reader = session_of(ws).reader()
    head = reader.projection.refresh()
    experiment, root = Experiment(ws, "exp-3"), ws.get_run("tree-0")
    small, chain = ws.get_run("run-0"), ws.get_run("chain-0")
    held = ({"group": "7"}, {"author": "user-3"})

    def filtered_as_of() -> object:
        tags, properties = held
        found = reader.at(head).runs(
            RunFilter(
                experiment_id=experiment.id, tags=tags, properties=properties, include_children=True
            )
        )
        return list(found)

    def below_as_of(run_id: str) -> Callable[[], object]:
        return lambda: list(
            reader.at(head).runs(RunFilter(below_run=run_id, include_children=True))
        )

    asked: list[tuple[str, Callable[[], object], Callable[[], object], Sequence[Goal]]] = [
        (
            "get_runs(tag, property) of one experiment",
            lambda: list(experiment.get_runs(None, *held, include_children=True)),
            filtered_as_of,
            _GOALS_OF_FILTERS.get(size, ()),
        ),
        (
            "get_children(recursive), 100 descendants",
            lambda: list(small.get_children(recursive=True)),
            below_as_of("run-0"),
            (at_most(15),),
        ),
        (
            f"get_children(recursive), {DEPTH:,} descendants below each other",
            lambda: list(chain.get_children(recursive=True)),
            below_as_of("chain-0"),
            (at_most(15),),
        ),
        (
            f"get_children(recursive), {LARGE_TREE:,} descendants",
            lambda: list(root.get_children(recursive=True)),
            below_as_of("tree-0"),
            (at_most(40),),
        ),
    ]
    for what, ours, as_of, goals in asked:
        yield side_by_side(
            f"{what}, {size:,} runs",
            ours,
            "rows of the reader, as of the head",
            as_of,
            repeat=15,
            goals=tuple(goals),
            warm=True,
        )


_GOALS_OF_FILTERS = {10_000: (at_most(3),), 1_000_000: (at_most(12),)}


if __name__ == "__main__":
    sizes = [int(argument) for argument in sys.argv[1:]]
    shown_as_it_runs(run(sizes or SIZES))

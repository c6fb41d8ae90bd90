"""What was, beside what is: the same questions of `ws.as_of(then)` and of the workspace itself.

`python -m benchmarks.bench_time_travel 10000 1000000` runs it at sizes of your own, and with
`went_on=10` before them a tenth of the runs goes on after the moment.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

from benchmarks.bench_points import add, batch
from benchmarks.bench_projections import LARGE_TREE, add_tree
from benchmarks.bench_queries import fill
from benchmarks.harness import (
    Result,
    at_most_times,
    scratch,
    shown_as_it_runs,
    side_by_side,
    sized,
)
from runlore import Experiment, Workspace
from runlore.domain.events import TagSet
from runlore.domain.ids import run_stream
from runlore.projections.filters import RunFilter
from runlore.projections.metric_columns import MetricColumn
from runlore.storage.journal import Pending
from runlore.workspace import session_of

SIZES = (10_000, 100_000)
STEPS = 10
WENT_ON = 100
"""One run in so many, the newest ones, logs on after the moment and gets another tag."""

OF_RUNS = "SELECT status, count(*), max(duration_s) FROM runs GROUP BY status ORDER BY status"
OF_TAGS = (
    "SELECT r.run_id FROM runs r JOIN tags t ON t.run_id = r.run_id "
    "WHERE r.experiment = 'exp-3' AND t.key = 'group' AND t.value = '7' ORDER BY r.number"
)
OF_METRICS = (
    "SELECT metric, count(*), min(last), sum(n) FROM metrics GROUP BY metric ORDER BY metric"
)


def run(sizes: Sequence[int] = (), went_on: int = WENT_ON) -> Iterator[Result]:
    """For each number of runs (a tag, a property, two metrics of ten values, an end): all of it."""
    for size in sizes or [sized(size) for size in SIZES]:
        with scratch() as folder, Workspace.create("bench", path=folder / "ws") as ws:
            fill(ws, size)
            add_tree(ws, LARGE_TREE)
            ids = [f"run-{number}" for number in range(size)]
            made = [batch(["loss", "acc"], STEPS, seed=seed) for seed in range(16)]
            add(ws, [(run_id, made[n % len(made)]) for n, run_id in enumerate(ids)])
            then = ws.position
            newest = ids[-size // went_on :]
            add(ws, [(run_id, made[n % len(made)]) for n, run_id in enumerate(newest)])
            tagged = TagSet(key="group", value="7")
            session_of(ws).journal.append([Pending(run_stream(one), 4, tagged) for one in newest])
            yield from questions(ws, then, size)
            yield from differences(ws, then, size)


def questions(ws: Workspace, then: int, size: int) -> Iterator[Result]:
    """Entities within twice the time of now, metrics within ten times."""
    past = ws.as_of(then)
    for goal, asked in ((2, entities), (10, metrics)):
        for (what, ask), (_, ask_past) in zip(asked(ws), asked(past), strict=True):
            ask()
            yield side_by_side(
                f"{what} as of earlier, {size:,} runs",
                ask_past,
                "now",
                ask,
                repeat=9,
                goals=(at_most_times(goal),),
            )


def differences(ws: Workspace, then: int, size: int) -> Iterator[Result]:
    """What changed since, beside reading the same events from the log."""
    since = ws.position - then
    assert len(ws.diff(then)) > since
    yield side_by_side(
        f"diff over {since:,} events, {size:,} runs",
        lambda: ws.diff(then),
        "ws.events of the same",
        lambda: list(ws.events(then)),
        repeat=3,
    )
    run = ws.get_run(f"run-{size - 1}")
    yield side_by_side(
        f"diff of one run over {since:,} events, {size:,} runs",
        lambda: run.diff(then),
        "its history",
        run.history,
        repeat=3,
    )


def entities(ws: Workspace) -> list[tuple[str, Callable[[], object]]]:
    """Lists, trees and SQL of runs."""
    experiment = Experiment(ws, "exp-3")
    root = ws.get_run("tree-0")
    held = ({"group": "7"}, {"author": "user-3"})
    return [
        (
            "get_runs(tag, property) of one experiment",
            lambda: list(experiment.get_runs(None, *held, include_children=True)),
        ),
        (
            f"get_children(recursive), {LARGE_TREE:,} descendants",
            lambda: list(root.get_children(recursive=True)),
        ),
        (
            "get_run_records, the newest 100",
            lambda: ws.get_run_records(include_children=True, last=100),
        ),
        ("SQL over runs", lambda: ws.sql(OF_RUNS).fetchall()),
        ("SQL over runs and tags", lambda: ws.sql(OF_TAGS).fetchall()),
        ("one run: status, tags, metrics", lambda: one_run(ws)),
    ]


def one_run(ws: Workspace) -> object:
    run = ws.get_run("run-10")
    return run.get_status(), run.get_tags(), run.get_metrics()


def metrics(ws: Workspace) -> list[tuple[str, Callable[[], object]]]:
    """What the metrics of all runs come to."""
    columns = [MetricColumn("loss"), MetricColumn("acc", what="min")]
    reader = session_of(ws).reader()
    return [
        ("SQL over metrics", lambda: ws.sql(OF_METRICS).fetchall()),
        (
            "table of one experiment's runs, 2 metric columns",
            lambda: reader.run_table(
                columns, RunFilter(experiment_id="exp-3", include_children=True)
            ),
        ),
    ]


if __name__ == "__main__":
    sizes, went_on = sys.argv[1:], WENT_ON
    if sizes and sizes[0].startswith("went_on="):
        went_on = int(sizes.pop(0).removeprefix("went_on="))
    shown_as_it_runs(run([int(size) for size in sizes], went_on))

"""Trees of runs summed up: `run_rollup`, `metric_rollup` and `RunsReader.rollup` agree with a plain
fold over the views `runs` and `metrics`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.domain.status import WORST_FIRST, Status
from runlore.projections.reader import RunsReader
from runlore.projections.segment_files import Bounds
from runlore.storage.value_codec import Series
from tests.examples import few
from tests.logged_values import Record
from tests.projections.histories import (
    Happening,
    History,
    births,
    histories,
    reader_of,
)

Row = dict[str, Any]
SMALL = Bounds(seal_rows=3, fan=2, merged_max_rows=20)


def asked(reader: RunsReader, query: str) -> list[Row]:
    result = reader.sql(query).arrow()
    return list(result.to_pylist())


# --- a plain fold --------------------------------------------------------------------------------


def subtrees(runs: Sequence[Row]) -> dict[str, list[Row]]:
    """By id of a run, its own row and those of all runs below it."""
    parents = {run["run_id"]: run["parent_id"] for run in runs}
    below: dict[str, list[Row]] = {run_id: [] for run_id in parents}

    def line(run_id: str | None) -> Iterator[str]:
        while run_id is not None:
            yield run_id
            run_id = parents[run_id]

    for run in runs:
        for top in line(run["run_id"]):
            below[top].append(run)
    return below


def summed_up(run_id: str, runs: Sequence[Row]) -> Row:
    statuses = Counter(run["status"] for run in runs)
    ended = sum(statuses[status] for status in ("Completed", "Failed", "Canceled"))
    starts = [run["started"] for run in runs if run["started"] is not None]
    ends = [run["last_ended"] for run in runs if run["last_ended"] is not None]
    return {
        "run_id": run_id,
        "runs": len(runs),
        "children": sum(run["parent_id"] == run_id for run in runs),
        "active": len(runs) - ended,
        "completed": statuses["Completed"],
        "failed": statuses["Failed"],
        "canceled": statuses["Canceled"],
        "lost": sum(run["lost"] for run in runs),
        "statuses": dict(statuses),
        "worst_status": min(statuses, key=lambda status: WORST_FIRST.index(Status(status))),
        "first_started": min(starts, default=None),
        "last_ended": max(ends, default=None),
    }


def best_of(runs: Sequence[Row], metrics: Sequence[Row]) -> dict[Any, Row]:
    """By metric, the extremes and the runs that could be said to have them."""
    ids = {run["run_id"] for run in runs}
    found: dict[Any, list[Row]] = {}
    for metric in metrics:
        if metric["run_id"] in ids and metric["min"] is not None:
            name = (metric["metric"], metric["column_name"], metric["kind"])
            found.setdefault(name, []).append(metric)
    best = {}
    for name, held in found.items():
        least, greatest = min(one["min"] for one in held), max(one["max"] for one in held)
        best[name] = {
            "runs": len(held),
            "min": (least, {(m["run_id"], m["min_step"]) for m in held if m["min"] == least}),
            "max": (greatest, {(m["run_id"], m["max_step"]) for m in held if m["max"] == greatest}),
        }
    return best


# As numbers: a clock may have been beyond the year 9999, where Python's datetime ends. Distinct, as
# in drawn histories a writer may open twice.
RUNS = """
SELECT DISTINCT run_id, parent_id, status, lost, epoch_us(started_at) AS started,
       epoch_us(last_ended_at) AS last_ended FROM runs
"""
ROLLUPS = """
SELECT * EXCLUDE (first_started_at, last_ended_at), epoch_us(first_started_at) AS first_started,
       epoch_us(last_ended_at) AS last_ended FROM run_rollup ORDER BY run_id
"""


def check(reader: RunsReader) -> None:
    runs = asked(reader, RUNS)
    metrics = asked(reader, "SELECT * EXCLUDE (last_time, latest_time) FROM metrics")
    below = subtrees(runs)

    rows = asked(reader, ROLLUPS)
    for row in rows:
        row["statuses"] = json.loads(row["statuses"])
    assert rows == [summed_up(run_id, below[run_id]) for run_id in sorted(below)]

    told: dict[str, dict[Any, Row]] = {run_id: {} for run_id in below}
    for row in asked(reader, "FROM metric_rollup"):
        told[row["run_id"]][row["metric"], row["column_name"], row["kind"]] = row
    for run_id, by_name in told.items():
        expected = best_of(below[run_id], metrics)
        assert by_name.keys() == expected.keys()
        for name, row in by_name.items():
            assert row["runs"] == expected[name]["runs"]
            for which in ("min", "max"):
                value, holders = expected[name][which]
                assert row[which] == value
                assert (row[f"{which}_run_id"], row[f"{which}_step"]) in holders

    for row in rows:
        for which in ("min", "max"):
            found = reader.rollup(row["run_id"], "loss", which)
            assert (found.runs, found.children, found.lost, found.statuses, found.worst_status) == (
                *(row["runs"], row["children"], row["lost"], row["statuses"], row["worst_status"]),
            )
            best = told[row["run_id"]].get(("loss", "", "scalar"))
            assert found.best == (
                best and (best[f"{which}_run_id"], best[which], best[f"{which}_step"])
            )


# --- histories -----------------------------------------------------------------------------------

_forests = st.lists(births().map(lambda birth: [birth]), max_size=8)


@pytest.mark.slow
@settings(deadline=None, max_examples=few(4))
@given(_forests, histories)
def test_now_and_as_of_earlier_the_rollups_are_those_of_a_plain_fold(
    forest: Sequence[Sequence[Happening]], appends: Sequence[Sequence[Happening]]
) -> None:
    history = History()
    history.experiment()
    with reader_of(history.log) as reader:
        for append in [*forest, *appends]:
            history.add(*append)
        check(reader)
        check(reader.at(history.log.head().position // 2))


def logged(history: History, run_id: str, *values: float, metric: str = "loss") -> int:
    records = [Record(Series(metric), step, step, value) for step, value in enumerate(values)]
    return history.values(run_id, records)


def test_a_tree_with_ends_of_all_kinds_now_and_as_of_earlier(tmp_path: Path) -> None:
    history = History()
    history.experiment()
    for run_id in ("top", "good", "bad", "off", "gone", "on"):
        parent = {"top": None, "on": "gone"}.get(run_id, "top")
        history.run(run_id, parent_id=parent)
    logged(history, "good", 0.5, 0.25, math.nan)
    logged(history, "bad", math.nan, -math.inf)
    before = history.log.head().position
    history.say("run/good", ev.RunCompleted())
    logged(history, "on", 7.0, 0.25)
    history.say("run/off", ev.RunCanceled())
    canceled = history.log.head().position
    history.say("run/bad", ev.RunFailed(error={"code": "E", "message": "m"}))
    history.say("run/gone", ev.RunLost(error={"code": "Lost"}, evidence={}))
    logged(history, "good", 9.0)

    with reader_of(history.log, tmp_path, SMALL) as reader:
        then, later, now = (
            one.rollup("top", "loss")
            for one in (
                reader.at(before),
                reader.at(canceled),
                reader,
            )
        )
        least = reader.rollup("top", "loss", "min")
        for one in (reader.at(before), reader.at(canceled), reader):
            check(one)

    assert (then.runs, then.children, then.lost) == (6, 4, 0)
    assert (then.statuses, then.worst_status) == ({"Running": 6}, "Running")
    assert (then.best, then.last_ended_at) == (("good", 0.5, 0), None)
    assert later.worst_status == "Canceled"
    assert later.statuses == {"Canceled": 1, "Completed": 1, "Running": 4}
    assert later.best == ("on", 7.0, 0)
    assert now.statuses == {"Canceled": 1, "Completed": 1, "Failed": 2, "Running": 2}
    assert (now.worst_status, now.lost, now.best) == ("Failed", 1, ("good", 9.0, 0))
    assert now.first_started_at == then.first_started_at
    assert now.last_ended_at is not None
    assert least.best == ("on", 0.25, 1)  # The newer of two.


def test_runs_count_for_a_parent_from_when_it_arrives() -> None:
    history = History()
    history.experiment()
    history.run("leaf", parent_id="middle", status=Status.QUEUED)
    logged(history, "leaf", 3.0)
    alone = history.log.head().position
    history.run("top")
    history.run("middle", parent_id="top")

    with reader_of(history.log) as reader:
        assert reader.rollup("top", "loss").statuses == {"Queued": 1, "Running": 2}
        assert reader.rollup("middle", "loss").best == ("leaf", 3.0, 0)
        assert reader.at(alone).rollup("leaf").runs == 1
        assert reader.at(alone + 1).rollup("top", "loss") == reader.at(alone + 1).rollup("top")
        for position in range(alone, history.log.head().position + 1):
            check(reader.at(position))


# --- other views ---------------------------------------------------------------------------------


def test_refused_changes_say_what_stood_what_was_asked_for_and_by_whom() -> None:
    history = History()
    history.experiment()
    history.run("r0", properties={"lr": "0.1"})
    before = history.log.head().position
    refused = ev.ChangeRefused(
        change="run.property_added", key="lr", held="0.1", refused="0.2", reason="has a value"
    )
    history.add(Happening("run/r0", refused, actor="ana"))
    query = "SELECT * EXCLUDE (position), refused_at IS NOT NULL FROM refused_changes"

    with reader_of(history.log) as reader:
        [(*told, refused_at, asked_by, timed)] = reader.sql(query).fetchall()
        assert told == ["r0", "run.property_added", "lr", "0.1", "0.2", "has a value"]
        assert (refused_at is not None, asked_by, timed) == (True, "ana", True)
        assert reader.at(before).sql(query).fetchall() == []


def test_tags_of_experiments_have_the_name_and_value_of_then() -> None:
    history = History()
    history.experiment("e1", "old")
    stream = "experiment/old"
    history.say(stream, ev.ExperimentTagSet(experiment_id="e1", key="team", value="a"))
    first = history.say(stream, ev.ExperimentTagSet(experiment_id="e1", key="key only", value=None))
    history.say(stream, ev.ExperimentTagSet(experiment_id="e1", key="team", value="b"))
    history.say(stream, ev.ExperimentTagRemoved(experiment_id="e1", key="key only"))
    history.say(
        "experiment/new",
        ev.ExperimentRenamed(
            experiment_id="e1", name="new", previous="old", created_at=0, tags={"team": "b"}
        ),
    )
    query = "SELECT experiment_id, experiment, key, value FROM experiment_tags ORDER BY key"

    with reader_of(history.log) as reader:
        assert reader.sql(query).fetchall() == [("e1", "new", "team", "b")]
        assert reader.at(first).sql(query).fetchall() == [
            ("e1", "old", "key only", None),
            ("e1", "old", "team", "a"),
        ]


def test_runs_have_the_code_and_message_of_their_error_from_the_failure_on() -> None:
    history = History()
    history.experiment()
    history.run("r0")
    history.run("r1")
    before = history.log.head().position
    history.say("run/r0", ev.RunFailed(error={"code": "UserError", "message": 'out of "memory"'}))
    history.say("run/r1", ev.RunFailed(error={"code": "Other"}))
    query = "SELECT run_id, error_code, error_message FROM runs ORDER BY run_id"

    with reader_of(history.log) as reader:
        assert reader.sql(query).fetchall() == [
            ("r0", "UserError", 'out of "memory"'),
            ("r1", "Other", None),
        ]
        assert reader.at(before).sql(query).fetchall() == [("r0", None, None), ("r1", None, None)]


def test_the_column_of_a_metric_has_a_name_without_quotes() -> None:
    history = History()
    history.experiment()
    history.run("r0")
    roc = Series("roc", ("fpr", "tpr"), "row")
    history.values("r0", [Record(Series("loss"), 0, 0, 1.0), Record(roc, 0, 0, (0.1, 0.9))])

    with reader_of(history.log) as reader:
        for view in ("metrics", "metric_points"):
            query = f'SELECT metric, column_name, "column" FROM {view} ORDER BY ALL'
            assert reader.sql(query).fetchall() == [
                ("loss", "", ""),
                ("roc", "fpr", "fpr"),
                ("roc", "tpr", "tpr"),
            ]

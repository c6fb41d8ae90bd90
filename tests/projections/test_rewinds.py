"""Values that a run logged before it went back to an earlier step, and their summaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.engine.runs.metric_blocks import read_metrics
from runlore.projections.reader import RunsReader
from runlore.projections.segment_files import Bounds
from runlore.storage.value_codec import Series
from tests.examples import few
from tests.logged_values import Record
from tests.projections.histories import History, reader_of, rebuilt, tables_of

SMALL = Bounds(seal_rows=5, fan=2, merged_max_rows=20)
LOSS = Series("loss")


class Point(NamedTuple):
    position: int
    place: int
    step: int
    time: int
    value: float


Batch = list[tuple[int, int, float]]
"""Steps, times and values."""

numbers = st.sampled_from([0.0, -0.0, 0.1, 0.2, 1e17, -3.0, math.nan, math.inf, -math.inf])
batches = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), numbers), min_size=1, max_size=5)
changes: st.SearchStrategy[list[Batch | int]] = st.lists(
    batches | st.integers(-1, 4), min_size=1, max_size=8
)
"""Batches of one run, and the steps to which it goes back."""


def happen(history: History, change: Batch | int) -> int:
    """Logs a batch, or goes back; returns the log's head."""
    if isinstance(change, int):
        return history.say("run/r0", ev.RunRewound(step=change))
    return history.values("r0", [Record(LOSS, *point) for point in change])


def begun() -> History:
    history = History()
    history.experiment()
    history.run("r0")
    return history


def valid_after(points: Sequence[Point], change: Batch | int, position: int) -> list[Point]:
    """The points of a plain model after a change."""
    if isinstance(change, int):
        return [point for point in points if point.step <= change]
    return [*points, *(Point(position, index, *one) for index, one in enumerate(change))]


def summary(points: Sequence[Point]) -> dict[str, Any]:
    """What `metrics` says of these points."""
    finite = [point for point in points if math.isfinite(point.value)]
    lowest = min(finite, key=lambda point: point.value, default=None)
    highest = max(finite, key=lambda point: point.value, default=None)
    latest = max(points, key=lambda point: (point.step, point.time, _nan_last(point.value)))
    return {
        "n": len(points),
        "n_nonfinite": len(points) - len(finite),
        "first": points[0].value,
        "last": points[-1].value,
        "latest": latest.value,
        "latest_step": latest.step,
        "min": lowest and lowest.value,
        "max": highest and highest.value,
        "min_step": lowest and lowest.step,
        "max_step": highest and highest.step,
        "mean": sum(point.value for point in finite) / len(finite) if finite else None,
        "first_step": points[0].step,
        "last_step": points[-1].step,
    }


def _nan_last(value: float) -> tuple[bool, float]:
    return math.isnan(value), 0.0 if math.isnan(value) else value


def shown(reader: RunsReader) -> tuple[list[Point], list[dict[str, Any]]]:
    """The points and summaries that SQL shows."""
    points = reader.sql(
        'SELECT position, "index", step, epoch_us(time), value FROM metric_points '
        'ORDER BY position, "index"'
    )
    metrics = reader.sql("FROM metrics")
    rows = [dict(zip(metrics.columns, row, strict=True)) for row in metrics.fetchall()]
    return [Point(*row) for row in points.fetchall()], rows


def same(a: object, b: object) -> bool:
    """Whether they are equal, NaN to itself; sums may differ in the order of addition."""
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return a == b


def check(reader: RunsReader, expected: Sequence[Point]) -> None:
    """That all reads of the projection show these points."""
    points, metrics = shown(reader)
    assert repr(points) == repr(list(expected))
    series = reader.series("r0", "loss")
    curves = reader.curves(["r0"], "loss")
    if not expected:
        assert (metrics, series, curves) == ([], None, [])
        return
    [row] = metrics
    assert series is not None
    wanted = summary(expected)
    assert {key: row[key] for key in wanted if not same(row[key], wanted[key])} == {}
    values = [point.value for point in expected]
    assert repr(series.columns["loss"].tolist()) == repr(values)
    assert repr(curves[0].values.tolist()) == repr(values)
    assert curves[0].total == len(expected)


@settings(deadline=None, max_examples=few(7))
@given(changes, st.data())
def test_after_a_rewind_no_read_shows_later_steps_and_as_of_before_it_all_do(
    happened: list[Batch | int], data: st.DataObject
) -> None:
    history = begun()
    expected: list[Point] = []
    then: list[tuple[int, list[Point]]] = []
    with TemporaryDirectory() as folder, reader_of(history.log, Path(folder), SMALL) as reader:
        for change in happened:
            position = happen(history, change)
            expected = valid_after(expected, change, position)
            then.append((position, expected))
            if data.draw(st.booleans()):
                check(reader, expected)
        for position, points in then:
            check(reader.at(position), points)
            found = read_metrics(history.log, "r0", upto_position=position).get("loss")
            values = [] if found is None else found.values.tolist()
            assert repr(values) == repr([point.value for point in points])
        assert tables_of(reader) == rebuilt(history.log)


def test_a_rewind_makes_no_points_of_other_runs_void() -> None:
    history = begun()
    history.run("r1")
    for run_id in ("r0", "r1"):
        history.values(run_id, [Record(LOSS, step, step, float(step)) for step in range(3)])
    before = history.log.head().position
    after = happen(history, 0)

    with reader_of(history.log) as reader:
        query = "SELECT run_id, n, last FROM metrics ORDER BY run_id"
        assert reader.sql(query).fetchall() == [("r0", 1, 0.0), ("r1", 3, 2.0)]
        assert reader.at(before).sql(query).fetchall() == [("r0", 3, 2.0), ("r1", 3, 2.0)]
        [change] = reader.net_changes(before, after)
        assert (change.what, change.run_id, change.position) == ("metric", "r0", after)
        assert (change.old, change.new) == ((3, 2.0), (1, 0.0))


def test_a_metric_without_valid_points_is_gone_and_that_is_a_net_change() -> None:
    history = begun()
    before = history.values("r0", [Record(LOSS, 5, 5, 1.0)])
    after = happen(history, 4)

    with reader_of(history.log) as reader:
        [change] = reader.net_changes(before, after)
        assert (change.had, change.has, change.old, change.new) == (True, False, (1, 1.0), None)
        assert reader.net_changes(0, after)[-1].what == "status"


@pytest.mark.parametrize("batch", ["one batch", "many"])
def test_rows_whose_columns_end_at_different_steps_keep_their_order(batch: str) -> None:
    history = begun()
    table = Series("roc", ("fpr", "tpr"), "row")
    records = [Record(table, step, step, (step / 10, step / 5)) for step in range(4)]
    for part in [records] if batch == "one batch" else [[one] for one in records]:
        history.values("r0", part)
    happen(history, 1)

    with reader_of(history.log) as reader:
        series = reader.series("r0", "roc")
        assert series is not None
        columns = {name: values.tolist() for name, values in series.columns.items()}
    assert columns == {"fpr": [0.0, 0.1], "tpr": [0.0, 0.2]}
    found = read_metrics(history.log, "r0")["roc"]
    assert {name: values.tolist() for name, values in found.columns.items()} == columns

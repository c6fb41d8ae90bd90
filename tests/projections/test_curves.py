"""Series from the projection: whole as the log has them, thinned out as a chart needs them."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runlore.domain.errors import InvalidInput, RunNotFound
from runlore.engine.runs.metric_blocks import read_metrics
from runlore.projections.filters import RunFilter
from runlore.projections.metric_columns import MetricColumn, MetricFilter
from runlore.projections.segment_files import BOUNDS, Bounds
from runlore.shown.reduction import thinned_rows
from runlore.storage.value_codec import Series
from tests.examples import few
from tests.logged_values import Record
from tests.projections.histories import WRITERS, History, reader_of
from tests.projections.test_points import exact
from tests.strategies import scalars

LOSS = Series("loss")
NAN = math.nan
SMALL = Bounds(seal_rows=4, fan=2, merged_max_rows=30)

series = st.sampled_from(
    [
        LOSS,
        Series("loss", description="of the validation"),
        Series("loss", ("loss", "acc"), "row"),
        Series("loss", ("acc", "loss"), "row"),
        Series("loss", ("x", "acc"), "row"),
        Series("loss", kind="image"),
        Series("other"),
    ]
)


@st.composite
def batches(draw: st.DrawFn) -> list[Record]:
    kinds = draw(st.sampled_from([scalars, st.floats(), st.integers(-5, 5), st.booleans()]))
    values: st.SearchStrategy[Any] = kinds
    records = []
    for one in draw(st.lists(series, min_size=1, max_size=6)):
        value = draw(st.tuples(*[values] * len(one.columns)) if one.columns else values)
        records.append(Record(one, draw(st.integers(-3, 3)), draw(st.integers(0, 99)), value))
    return records


def begun(runs: int = 1) -> History:
    history = History()
    history.experiment()
    for number in range(runs):
        history.run(f"r{number}")
    return history


# --- whole series -----------------------------------------------------------------------------


@pytest.mark.long
@settings(deadline=None, max_examples=few(30))
@given(st.lists(batches(), min_size=1, max_size=6), st.sampled_from([BOUNDS, SMALL]))
@example(
    [
        [Record(Series("loss", ("a", "b"), "row"), 0, 0, (1, 2.5))],
        [Record(Series("loss", ("b", "a", "c"), "row"), 0, 0, (2**70, None, "x"))],
    ],
    BOUNDS,
)
def test_a_series_is_what_the_log_has(logged: list[list[Record]], bounds: Bounds) -> None:
    history = begun(2)
    with (
        tempfile.TemporaryDirectory() as name,
        reader_of(history.log, Path(name), bounds) as reader,
    ):
        positions = []
        for number, records in enumerate(logged):
            history.values("r1", list(reversed(records)))
            positions.append(history.values("r0", records, writer=WRITERS[number % 2]))
            if number % 2:
                reader.projection.refresh()

        for as_of in (None, positions[0], positions[len(positions) // 2]):
            expected = read_metrics(history.log, "r0", upto_position=as_of)
            then = reader if as_of is None else reader.at(as_of)
            for metric in ("loss", "other"):
                found = then.series("r0", metric)
                if metric not in expected:
                    assert found is None
                    continue
                wanted = expected[metric]
                assert found is not None
                assert found.kind == wanted.kind
                assert found.steps.tolist() == wanted.steps.tolist()
                assert found.times.tolist() == wanted.times.astype(np.int64).tolist()
                assert list(found.columns) == list(wanted.columns)
                for column, values in wanted.columns.items():
                    assert found.columns[column].dtype == values.dtype
                    assert list(map(exact, found.columns[column].tolist())) == list(
                        map(exact, values.tolist())
                    )


def test_a_series_that_is_not_there_is_none_and_a_run_that_is_not_there_an_error() -> None:
    history = begun(2)
    before = history.log.head().position
    history.values("r0", [Record(LOSS, 0, 0, 1.0)])

    with reader_of(history.log) as reader:
        assert reader.series("r1", "loss") is None
        assert reader.series("r0", "acc") is None
        assert reader.at(before).series("r0", "loss") is None
        with pytest.raises(RunNotFound):
            reader.series("nobody", "loss")
        with pytest.raises(InvalidInput):
            reader.at(-1)


# --- charts -----------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.floats(), min_size=1, max_size=80), st.integers(2, 30))
@example([NAN] * 50, 9)
@example([math.inf, NAN, NAN, -math.inf] * 9, 7)
def test_a_thinned_series_keeps_its_ends_and_its_peaks(values: list[float], most: int) -> None:
    array = np.array(values)

    rows = thinned_rows(array, most).tolist()

    assert rows == sorted(set(rows))
    assert {0, len(values) - 1} <= set(rows)
    assert len(rows) <= max(most, 2)
    if len(values) <= most:
        assert rows == list(range(len(values)))
    numbers = array[~np.isnan(array)]
    if len(numbers) and most >= 4:
        kept = array[rows]
        kept = kept[~np.isnan(kept)]
        assert kept.min() == numbers.min()
        assert kept.max() == numbers.max()


def test_each_stretch_shows_its_least_and_its_greatest_value_and_a_gap_stays_one() -> None:
    values = np.array([5.0, 1, 9, 2, 3, NAN, NAN, NAN, NAN, 4, NAN, 6, 7, 8])

    rows = thinned_rows(values, 8)

    assert rows.tolist() == [0, 1, 2, 5, 7, 9, 12, 13]


def test_a_single_nan_of_a_long_series_is_shown() -> None:
    values = np.sin(np.arange(100_000.0))
    values[54_321] = NAN
    rows = thinned_rows(values, 100)
    assert 54_321 in rows and len(rows) <= 100


def test_curves_of_many_runs_come_in_the_order_of_the_ids_and_of_logging(tmp_path: Path) -> None:
    history = begun(4)
    steps = [3, 1, 2, 2, 0]
    for run in range(3):
        for part in range(6):
            records = [Record(LOSS, step, part, 10.0 * run + part) for step in steps]
            history.values(f"r{run}", records)
    ids = ["r2", "nobody", "r3", "r0", "r1", "r2"]

    for folder, bounds in ((None, BOUNDS), (tmp_path, SMALL)):
        with reader_of(history.log, folder, bounds) as reader:
            curves = reader.curves(ids, "loss")

            assert [curve.run_id for curve in curves] == ["r2", "r0", "r1"]
            for curve in curves:
                number = int(curve.run_id[1:])
                assert curve.total == 30
                assert curve.steps.tolist() == steps * 6
                assert curve.times.tolist() == [part for part in range(6) for _ in steps]
                assert curve.values.tolist() == [
                    10.0 * number + part for part in range(6) for _ in steps
                ]
            assert reader.curves(ids, "acc") == reader.curves([], "loss") == []


def test_curves_as_of_a_position_have_what_was_logged_up_to_it() -> None:
    history = begun(2)
    history.values("r0", [Record(LOSS, 0, 0, 1.0), Record(LOSS, 1, 0, "text")])
    position = history.values("r1", [Record(LOSS, 0, 0, 2)])
    history.values("r0", [Record(LOSS, 2, 0, 3.0)])

    with reader_of(history.log) as reader:
        then = reader.at(position).curves(["r0", "r1"], "loss")
        now = reader.curves(["r0", "r1"], "loss")

    assert [curve.total for curve in then] == [2, 1]
    assert [curve.total for curve in now] == [3, 1]
    assert repr(now[0].values.tolist()) == "[1.0, nan, 3.0]"


def test_curves_of_a_column_of_a_table() -> None:
    history = begun()
    roc = Series("roc", ("x", "y"), "row")
    history.values("r0", [Record(roc, 0, 0, (1.0, 2.0)), Record(roc, 1, 0, (3.0, 4.0))])

    with reader_of(history.log) as reader:
        (curve,) = reader.curves(["r0"], "roc", column="y")
        assert curve.values.tolist() == [2.0, 4.0]
        assert reader.curves(["r0"], "roc") == []


@pytest.mark.parametrize("most", [1, 0, -1, True, 2.5, "10", None])
def test_a_number_of_points_that_no_chart_has_is_refused(most: Any) -> None:
    with (
        reader_of(begun().log) as reader,
        pytest.raises(InvalidInput, match="max_points is"),
    ):
        reader.curves(["r0"], "loss", max_points=most)


# --- tables -----------------------------------------------------------------------------------


def with_metrics() -> History:
    history = begun(4)
    logged: list[list[Any]] = [[3.0, 1.0], [5, 2**60], ["text"]]
    for run, values in enumerate(logged):
        history.values(f"r{run}", [Record(LOSS, n, n, value) for n, value in enumerate(values)])
        history.values(f"r{run}", [Record(Series("flag"), 7, 0, run == 1)])
    history.values("r0", [Record(Series("roc", ("x", "y"), "row"), 0, 0, (0.5, None))])
    return history


def test_a_run_table_has_a_row_per_run_and_exact_last_values() -> None:
    columns = [
        MetricColumn("loss"),
        MetricColumn("flag"),
        MetricColumn("loss", what="min"),
        MetricColumn("loss", what="mean"),
        MetricColumn("loss", what="n"),
        MetricColumn("flag", what="last_step"),
        MetricColumn("roc", "x"),
        MetricColumn("roc", "y"),
        MetricColumn("nothing"),
    ]
    with reader_of(with_metrics().log) as reader:
        rows = {row.run.run_id: row.values for row in reader.run_table(columns)}
        assert [row.run for row in reader.run_table([])] == list(
            reader.runs(RunFilter(include_children=True))
        )

    assert rows == {
        "r0": (1.0, False, 1.0, 2.0, 2, 7, 0.5, None, None),
        "r1": (2**60, True, 5.0, (5 + 2.0**60) / 2, 2, 7, None, None, None),
        "r2": ("text", False, None, None, 1, 7, None, None, None),
        "r3": (None,) * 9,
    }
    assert [type(rows["r1"][place]) for place in (0, 1)] == [int, bool]


def test_a_run_table_filters_and_sorts_by_metrics() -> None:
    loss, flag = MetricColumn("loss"), MetricColumn("flag")
    with reader_of(with_metrics().log) as reader:

        def ids(*filters: MetricFilter, **options: Any) -> list[str]:
            rows = reader.run_table([flag], filters=filters, **options)
            return [row.run.run_id for row in rows]

        assert ids(MetricFilter(loss, "<", 2.0)) == ["r0"]
        assert ids(MetricFilter(flag, "=", 0)) == ["r2", "r0"]
        assert ids(MetricFilter(flag, "=", 0), MetricFilter(loss, ">=", 1)) == ["r0"]
        assert ids(MetricFilter(MetricColumn("nothing"), ">", 0)) == []
        assert ids(order_by=loss) == ["r0", "r1", "r3", "r2"]
        assert ids(order_by=loss, descending=True, limit=1) == ["r1"]
        assert ids(which=RunFilter(tags="none")) == []


TEXT: Any = "1"


@pytest.mark.parametrize(
    "bad",
    [
        {"columns": [MetricColumn("loss", what="median")]},
        {"columns": [], "order_by": MetricColumn("loss", what="'; DROP TABLE store.runs")},
        {"columns": [], "filters": [MetricFilter(MetricColumn("loss"), "OR", 1)]},
        {"columns": [], "filters": [MetricFilter(MetricColumn("loss"), "<", TEXT)]},
        {"columns": [], "filters": [MetricFilter(MetricColumn("loss"), "<", True)]},
    ],
    ids=repr,
)
def test_what_a_run_table_cannot_show_is_refused(bad: dict[str, Any]) -> None:
    with reader_of(begun().log) as reader, pytest.raises(InvalidInput):
        reader.run_table(**bad)


def test_whole_numbers_that_no_float_is_are_exact_in_a_batch_of_them() -> None:
    history = begun()
    whole = [2**53 + 1, 5, -(2**53) - 1, 2**63 - 1]
    history.values("r0", [Record(LOSS, step, 0, number) for step, number in enumerate(whole)])
    with tempfile.TemporaryDirectory() as name, reader_of(history.log, Path(name)) as reader:
        series = reader.series("r0", "loss")
        assert series is not None
        assert series.columns["loss"].tolist() == whole
        texts = reader.sql("SELECT text FROM metric_points ORDER BY step").fetchall()
        assert texts == [(str(whole[0]),), (None,), (str(whole[2]),), (str(whole[3]),)]

"""Logged values in SQL: exact, in order, and summed up as a plain loop would."""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.domain.fact import Fact
from runlore.projections import points as batches
from runlore.projections.runner import catch_up
from runlore.storage.errors import LogCorrupt
from runlore.storage.value_codec import Scalar, Series
from tests.examples import few
from tests.logged_values import Record
from tests.projections.histories import WRITERS, History, projection_in_memory, reader_of
from tests.strategies import int64s, scalars

LOSS = Series("loss")
HUGE = 2**20_000
TODAY = 1_700_000_000_000_000

times = st.integers(0, 4_000_000_000_000_000)
"""µs that a timestamp can show."""


def history_with(records: Sequence[Record]) -> History:
    history = History()
    history.experiment()
    history.run("r0")
    history.values("r0", records)
    return history


def records_of(values: Sequence[Any], series: Series = LOSS) -> list[Record]:
    return [Record(series, step, TODAY + step, value) for step, value in enumerate(values)]


def restored(value: float | None, text: str | None, kind: str) -> Scalar:
    """The Python value that a row of `metric_points` stands for."""
    match kind:
        case "n":
            return None
        case "s":
            return text
        case "b":
            return bool(value)
        case "i":
            assert value is not None
            return int(value) if text is None else int(text, 16 if "x" in text else 10)
    return value


def exact(value: object) -> object:
    """Equal for the same type and the same bits only."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("<d", value)
    return type(value).__name__, value


def points_of(history: History, run_id: str = "r0") -> list[tuple[Any, ...]]:
    with reader_of(history.log) as reader:
        return reader.sql(
            'SELECT metric, "column", value, text, type, step, time, late, "index" '
            'FROM metric_points WHERE run_id = ? ORDER BY position, "index", metric, "column"',
            [run_id],
        ).fetchall()


def fact_with(column: list[Any]) -> Fact:
    """A batch of two values in this column."""
    return fact_of([{"name": "loss", "n": 2}], column)


def fact_of(series: list[dict[str, Any]], column: list[Any]) -> Fact:
    """A batch of series, each with the same column."""
    regular = [0, 1]
    block = {"i": regular, "s": regular, "t": regular, "v": [column]}
    payload = zstandard.compress(msgpack.packb([block] * len(series)))
    data = {"writer_id": "w", "first_seq": 0, "count": 2, "series": series, "payload": payload}
    return Fact(9, "run/r/values/w", 1, ev.ValuesLogged.topic, data, b"e" * 16, TODAY, TODAY, "w")


@pytest.mark.parametrize(
    "column", [["f8", bytes(8)], ["f8", 3], ["i8", [0, "q", b""]], ["any", [1]]]
)
def test_a_batch_that_cannot_be_read_is_told_of_or_raises_log_corrupt(column: list[Any]) -> None:
    told: list[Fact] = []
    whole, damaged = fact_with(["f8", bytes(16)])._replace(position=8), fact_with(column)
    [points] = batches.points_of([(1, whole), (1, damaged)], {}, damaged=told)
    assert (len(points), [fact.position for fact in told]) == (2, [9])
    assert "batch 0 of writer w is damaged" in str(told[0].damage)
    with pytest.raises(LogCorrupt, match="batch 0 of writer w is damaged"):
        list(batches.points_of([(1, whole), (1, damaged)], {}))


def test_series_that_claim_more_values_together_than_a_batch_has_are_damaged() -> None:
    series = [{"name": f"m{number}", "n": 6_000_000} for number in range(2)]
    told: list[Fact] = []
    # No array is made of the claim: what is in the column does not matter.
    assert (
        list(batches.points_of([(1, fact_of(series, ["f8", bytes(16)]))], {}, damaged=told)) == []
    )
    assert "it claims to have 12,000,000 values" in str(told[0].damage)


@settings(deadline=None, max_examples=few(25))
@given(st.lists(scalars, min_size=1, max_size=12), int64s)
@example([math.nan, math.inf, -math.inf, -0.0, 0.0, sys.float_info.max, 5e-324], 0)
@example([HUGE, -HUGE, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**9_999, 2**10_000], 0)
@example([True, False, None, "", "nan", "0x10", 1, 1.0, "ключ\0"], -(2**63))
def test_every_value_comes_back_exactly(values: list[Scalar], step: int) -> None:
    records = [Record(LOSS, step, TODAY, value) for value in values]

    points = points_of(history_with(records))

    assert [exact(restored(*row[2:5])) for row in points] == [exact(value) for value in values]
    assert [row[5] for row in points] == [step] * len(values)
    assert [row[8] for row in points] == list(range(len(values)))


def test_a_number_beyond_a_double_shows_as_infinity_with_its_digits_beside_it() -> None:
    rows = points_of(history_with(records_of([HUGE, -HUGE, 2**53 + 1, 10**400])))

    assert [row[2] for row in rows] == [math.inf, -math.inf, 2.0**53, math.inf]
    assert [row[3] for row in rows] == [hex(HUGE), hex(-HUGE), str(2**53 + 1), str(10**400)]


def test_a_row_is_one_point_per_column_with_the_same_place_and_time() -> None:
    roc = Series("roc", ("fpr", "tpr", "note"), "row")
    rows = [(0.0, 1, "start"), (0.5, None, "end")]

    points = points_of(history_with(records_of(rows, roc)))

    assert [(row[1], row[8], restored(*row[2:5])) for row in points] == [
        ("fpr", 0, 0.0),
        ("note", 0, "start"),
        ("tpr", 0, 1),
        ("fpr", 1, 0.5),
        ("note", 1, "end"),
        ("tpr", 1, None),
    ]
    assert len({row[6] for row in points}) == 2


def test_values_of_one_name_but_another_kind_are_another_series() -> None:
    scalar, image = Series("plot"), Series("plot", kind="image")
    history = history_with([*records_of([1.5], scalar), *records_of(["aml://x"], image)])

    with reader_of(history.log) as reader:
        found = reader.sql("SELECT kind, n, last, last_text FROM metrics ORDER BY kind").fetchall()

    assert found == [("image", 1, None, "aml://x"), ("scalar", 1, 1.5, None)]


def test_values_are_late_if_and_only_if_they_were_written_after_the_end() -> None:
    history = history_with(records_of([1.0]))
    history.say("run/r0", ev.RunCompleted())
    history.values("r0", records_of([2.0]), writer=WRITERS[1])
    history.run("r1")
    history.values("r1", records_of([3.0]))

    assert [row[7] for row in points_of(history)] == [False, True]
    assert [row[7] for row in points_of(history, "r1")] == [False]


def test_values_between_an_end_and_a_resumption_stay_late() -> None:
    history = history_with(records_of([1.0]))
    history.say("run/r0", ev.RunCompleted())
    ended = history.values("r0", records_of([2.0]))
    history.say("run/r0", ev.RunResumed())
    resumed = history.values("r0", records_of([3.0]))
    history.say("run/r0", ev.RunCompleted())
    history.values("r0", records_of([4.0]))

    query = "SELECT late FROM metric_points ORDER BY position"
    with reader_of(history.log) as reader:
        assert [late for (late,) in reader.sql(query)] == [False, True, False, True]
        assert [late for (late,) in reader.at(ended).sql(query)] == [False, True]
        assert [late for (late,) in reader.at(resumed).sql(query)] == [False, True, False]


@settings(deadline=None, max_examples=few(20))
@given(
    st.lists(
        st.lists(st.tuples(st.floats() | scalars, int64s, times), min_size=1, max_size=5),
        min_size=1,
        max_size=4,
    )
)
def test_the_summary_of_a_series_is_that_of_a_plain_loop(
    batches: list[list[tuple[Scalar, int, int]]],
) -> None:
    history = History()
    history.experiment()
    history.run("r0")
    for number, batch in enumerate(batches):
        records = [Record(LOSS, step, time, value) for value, step, time in batch]
        history.values("r0", records, writer=WRITERS[number % 2])

    with reader_of(history.log) as reader:
        row = reader.sql(
            "SELECT n, last, last_text, min, max, mean, first_step, last_step, "
            "epoch_us(last_time), first, min_step, max_step, n_nonfinite, latest, latest_step, "
            "epoch_us(latest_time) FROM metrics"
        ).fetchall()[0]

    logged = [value for batch in batches for value in batch]
    numbers = [
        (nearest(value), step, time)
        for value, step, time in logged
        if isinstance(value, int | float)
    ]
    finite = [(number, step) for number, step, _ in numbers if math.isfinite(number)]
    n, last, last_text, smallest, largest, mean, first_step, last_step, last_time, *more = row
    first, min_step, max_step, n_nonfinite, latest, latest_step, latest_time = more
    assert n == len(logged)
    assert exact(first) == exact(in_double(logged[0][0]))
    assert exact(last) == exact(in_double(logged[-1][0]))
    assert last_text == in_text(logged[-1][0])
    assert n_nonfinite == len(numbers) - len(finite)
    if finite:
        assert (smallest, min_step) == min(finite, key=lambda one: one[0])
        assert (largest, max_step) == max(finite, key=lambda one: one[0])
        values = [number for number, _ in finite]
        if all(abs(number) < 1e300 for number in values):  # Beyond, the order decides.
            near = pytest.approx(math.fsum(values) / len(values), abs=1e-9 * max(map(abs, values)))
            assert mean == near
    else:
        assert (smallest, largest, mean, min_step, max_step) == (None,) * 5
    if numbers:
        newest = max(numbers, key=lambda one: (*one[1:], order(one[0])))
        assert same(latest, newest[0])
        assert (latest_step, latest_time) == newest[1:]
    else:
        assert (latest, latest_step, latest_time) == (None, None, None)
    assert (first_step, last_step) == (logged[0][1], logged[-1][1])
    assert last_time == max(time for _, _, time in logged)


def test_the_latest_value_has_the_greatest_step_however_far_the_steps_lie_apart() -> None:
    history = History()
    history.experiment()
    history.run("r0")
    greatest, least = 2**63 - 1, -(2**63)
    history.values("r0", [Record(LOSS, greatest, 0, 1.0), Record(LOSS, least, 0, 2.0)])

    with reader_of(history.log) as reader:
        query = "SELECT latest, latest_step FROM metrics"
        assert reader.sql(query).fetchall() == [(1.0, greatest)]


def test_batches_of_many_runs_and_series_at_once_keep_their_places() -> None:
    history = History()
    history.experiment()
    for run in range(5):
        history.run(f"r{run}")
        history.values(f"r{run}", records_of([float(run), run, "text", None], LOSS))
        history.values(f"r{run}", records_of([(run, 0.5)], Series("roc", ("x", "y"), "row")))

    with reader_of(history.log) as reader:
        found = reader.sql(
            'SELECT run_id, metric, list(coalesce(text, value::VARCHAR) ORDER BY "index") '
            'FROM metric_points GROUP BY run_id, metric, "column" ORDER BY ALL'
        ).fetchall()

    assert found == [
        row
        for run in range(5)
        for row in [
            (f"r{run}", "loss", [f"{run}.0", f"{run}.0", "text", None]),
            *sorted([(f"r{run}", "roc", ["0.5"]), (f"r{run}", "roc", [f"{run}.0"])]),
        ]
    ]


def test_more_values_than_go_into_one_insertion_all_arrive() -> None:
    history = History()
    history.experiment()
    history.run("r0")
    for _ in range(4):
        history.values("r0", records_of([0.5] * 50_000))
    with projection_in_memory() as projection:
        catch_up(projection, history.log)
        count = projection.view.connection.execute(
            "SELECT count(*), sum(value), count(DISTINCT (position, idx)) FROM store.metric_points"
        ).fetchall()

    assert count == [(200_000, 100_000.0, 200_000)]


def nearest(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def in_double(value: Scalar) -> float | None:
    return nearest(value) if isinstance(value, int | float) else None


def in_text(value: Scalar) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(value)
    return value if isinstance(value, str) else None


def same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def order(value: float) -> tuple[bool, float]:
    """SQL's order of doubles: NaN is the largest."""
    return math.isnan(value), value


def test_the_last_value_keeps_its_sign_when_it_was_the_other_zero() -> None:
    history = History()
    history.experiment()
    history.run("r0")
    with reader_of(history.log) as reader:
        for value in (-0.0, 0.0, -0.0):
            history.values("r0", records_of([value]))
            found = reader.sql("SELECT last, min, max FROM metrics").fetchall()
            assert list(map(repr, found[0])) == [repr(value), "0.0", "0.0"]


@settings(deadline=None, max_examples=few(12))
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(["a", "b"]), scalars, st.integers(-3, 3), times),
            min_size=1,
            max_size=6,
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_summary_that_grows_is_that_of_all_points(
    batches: list[list[tuple[str, Scalar, int, int]]],
) -> None:
    history = History()
    history.experiment()
    history.run("r0")
    with reader_of(history.log) as reader:
        for number, batch in enumerate(batches):
            records = [Record(Series(name), step, time, value) for name, value, step, time in batch]
            history.values("r0", records, writer=WRITERS[number % 2])
            if number % 2:
                reader.projection.refresh()
        grown = reader.sql(f"SELECT {SUMMARY} FROM metrics ORDER BY metric").fetchall()
        computed = reader.sql(AGGREGATE).fetchall()

    assert len(grown) == len(computed)
    for one, other in zip(grown, computed, strict=True):
        assert list(map(exact, one[:4])) == list(map(exact, other[:4]))
        assert one[7:] == other[7:]
        for mine, theirs in zip(one[4:6], other[4:6], strict=True):
            assert (mine is theirs) or same(mine, theirs)
        if other[5] is not None and abs(other[5]) < 1e300 and abs(other[4]) < 1e300:
            assert one[6] == pytest.approx(other[6], abs=1e-9 * max(abs(other[4]), abs(other[5])))


SUMMARY = (
    "metric, n, last, last_text, min, max, mean, first_step, last_step, last_time, min_step, "
    "max_step, n_nonfinite, latest_step, latest_time"
)
AGGREGATE = """
SELECT metric, count(*), arg_max_null(value, place), arg_max_null(text, place),
       min(value) FILTER (isfinite(value)), max(value) FILTER (isfinite(value)),
       avg(value) FILTER (isfinite(value)), arg_min(step, place), arg_max(step, place), max(time),
       arg_min(step, (value, place)) FILTER (isfinite(value)),
       arg_max(step, (value, -place)) FILTER (isfinite(value)),
       count(value) FILTER (NOT isfinite(value)),
       arg_max(step, (step, time)) FILTER (value IS NOT NULL),
       arg_max(time, (step, time)) FILTER (value IS NOT NULL)
FROM (SELECT *, position * 1000 + "index" AS place FROM metric_points)
GROUP BY metric ORDER BY metric
"""


def test_the_last_text_of_each_metric_is_its_own() -> None:
    kinds = [LOSS, Series("acc"), Series("note")]
    logged = [
        Record(kinds[number % 3], number, TODAY + number, value)
        for number, value in enumerate(["a", "b", "c", "d", 0.5, "f"])
    ]
    with reader_of(history_with(logged).log) as reader:
        found = reader.sql("SELECT metric, last_text FROM metrics ORDER BY metric").fetchall()
        points = reader.sql("SELECT step, text FROM metric_points ORDER BY step").fetchall()

    assert found == [("acc", None), ("loss", "d"), ("note", "f")]
    assert points == [(0, "a"), (1, "b"), (2, "c"), (3, "d"), (4, None), (5, "f")]

"""The kinds of values that libraries have, and what is kept of them: see docs/values.md."""

from __future__ import annotations

import datetime as dt
import enum
import math
import warnings
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import array_api_strict
import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from runlore import Run
from runlore.exceptions import UserErrorException
from tests.workspaces import start

xp: Any = array_api_strict
bfloat16: Any = ml_dtypes.bfloat16
UTC = dt.UTC


class Eager:
    """A scalar as TensorFlow's: no `item`, but `numpy` and a shape that is not a tuple."""

    def __init__(self, value: object, shape: tuple[int, ...] = ()) -> None:
        self._value = np.full(shape, value)
        self.shape = list(shape)  # A TensorShape is iterable.
        self.dtype = f"<dtype: {self._value.dtype}>"

    def numpy(self) -> Any:
        return self._value[()]

    def __float__(self) -> float:
        return float(self._value)


class Unreadable:
    """As a key of JAX: a scalar by its shape, which raises when it is read."""

    shape = ()
    dtype = "key<fry>"

    def item(self) -> object:
        raise NotImplementedError("keys have no item")


class Colour(enum.Enum):
    RED = 1


def numbered(table: Sequence[object]) -> list[str]:
    """Names of a table's rows for people, all different."""
    firsts = [row[0] if isinstance(row, tuple) else row for row in table]
    return [f"{number} {type(first).__name__}" for number, first in enumerate(firsts)]


NUMBERS: list[tuple[Any, object]] = [
    (Decimal("0.1"), 0.1),
    (Decimal("NaN"), math.nan),
    (Fraction(1, 4), 0.25),
    (np.array([0.5]), 0.5),
    (np.array([[3]]), 3),
    (np.array([True]), True),
    (np.array(Decimal("0.1")), 0.1),
    (np.ma.array(0.5), 0.5),
    (np.ma.array([2.0], mask=[False]), 2.0),
    (np.ma.array([1.0, 2.0], mask=[True, False])[1], 2.0),
    (pd.Series([0.5]), 0.5),
    (pd.Series([3], dtype="Int64"), 3),
    (pl.Series([0.5]), 0.5),
    (pa.scalar(3), 3),
    (pa.scalar(True), True),
    (pa.array([0.5])[0], 0.5),
    (xp.asarray(0.5), 0.5),
    (xp.asarray([0.5]), 0.5),
    (xp.asarray([[3]]), 3),
    (xp.asarray(True), True),
    (bfloat16(0.5), 0.5),
    (np.array(0.5, bfloat16), 0.5),
    (np.array([0.5], bfloat16), 0.5),
    (Eager(np.float32(0.5)), 0.5),
    (Eager(np.int32(3)), 3),
    (Eager(np.bool_(True)), True),
    (Eager(np.float32(0.5), (1,)), 0.5),
    (Eager(bfloat16(0.5)), 0.5),
]
NOTHING: list[Any] = [
    np.ma.masked,
    np.ma.array([1.0, 2.0], mask=[True, False])[0],
    np.ma.array([1e20], mask=[True]),
    pd.NA,
    pd.NaT,
    pd.Series([pd.NA], dtype="Int64"),
    pl.Series([None]),
    pa.scalar(None),
    np.datetime64("NaT"),
    np.timedelta64("NaT"),
]
TIMES: list[tuple[Any, str]] = [
    (dt.datetime(2020, 1, 2, 3, 4, 5, 6, UTC), "2020-01-02T03:04:05.000006+00:00"),
    (dt.date(2020, 1, 2), "2020-01-02"),
    (dt.time(3, 4), "03:04:00"),
    (dt.timedelta(days=1, seconds=2, microseconds=500), "P1DT2.0005S"),
    (dt.timedelta(seconds=90), "P0DT90S"),
    (np.datetime64("2020-01-02T00:00:00.000000001"), "2020-01-02T00:00:00.000000001"),
    (np.timedelta64(5, "ns"), "P0DT0.000000005S"),
    (np.array(np.datetime64("2020-01-02")), "2020-01-02"),
    (pd.Timestamp("2020-01-02"), "2020-01-02T00:00:00"),
    (pd.Timedelta("1s"), "P0DT0H0M1S"),
    (pa.scalar(dt.datetime(2020, 1, 2)), "2020-01-02T00:00:00"),
]
TEXTS: list[Any] = [
    Colour.RED,
    Decimal("sNaN"),
    Fraction(10**400),
    np.array([1, 2]),
    np.complex64(1j),
    b"x",
    np.void(b"xx"),
    Unreadable(),
    pd.DataFrame({"a": [1]}),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    from runlore import Experiment, Workspace

    ws = Workspace.create("lab", path=tmp_path_factory.mktemp("values") / "lab")
    return start(Experiment(ws, "e"))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A metric of the test's own."""
    return str(request.node.name).replace("\n", " ")[:200]


def kept(run: Run, name: str) -> object:
    return run.get_metrics(name)[name]


def same(found: object, expected: object) -> bool:
    both_nan = found != found and expected != expected
    return type(found) is type(expected) and (found == expected or both_nan)


@pytest.mark.parametrize(("value", "expected"), NUMBERS, ids=numbered(NUMBERS))
def test_numbers_of_any_library_are_numbers(
    run: Run, name: str, value: object, expected: object
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.log(name, value)

    assert same(kept(run, name), expected)


@pytest.mark.parametrize("value", NOTHING, ids=numbered(NOTHING))
def test_null_and_masked_cells_are_none(run: Run, name: str, value: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.log(name, value)

    assert kept(run, name) is None


@pytest.mark.parametrize(("value", "expected"), TIMES, ids=numbered(TIMES))
def test_a_time_is_its_iso_text_with_a_warning(
    run: Run, name: str, value: object, expected: str
) -> None:
    with pytest.warns(UserWarning, match="which is a time, not a number; it is stored as its text"):
        run.log(name, value)

    assert kept(run, name) == expected


@pytest.mark.parametrize("value", TEXTS, ids=numbered(TEXTS))
def test_anything_else_is_its_text_with_a_warning(run: Run, name: str, value: object) -> None:
    with pytest.warns(UserWarning, match="which is not a number, bool or text; it is stored"):
        run.log(name, value)

    assert kept(run, name) == repr(value)


# --- arrays and series ------------------------------------------------------------------------

ARRAYS: list[tuple[Any, list[object]]] = [
    (np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False]), [1.0, None, 3.0]),
    (np.ma.array([1, 2, 3], mask=[False, True, False]), [1, None, 3]),
    (np.ma.array([1.0, 2.0], np.float32, mask=[False, True]), [1.0, None]),
    (np.ma.array([1.0, 2.0]), [1.0, 2.0]),
    (pd.Series([1, None], dtype="Int64"), [1, None]),
    (pd.Series([1.5, None], dtype="Float64"), [1.5, None]),
    (pd.Series([1.5, None]), [1.5, math.nan]),
    (pd.Series([True, None], dtype="boolean"), [True, None]),
    (pd.Series(["a", None]), ["a", None]),
    (pl.Series([1, None]), [1, None]),
    (pl.Series([1.5, None]), [1.5, None]),
    (pa.array([1, None]), [1, None]),
    (np.array([0.5, 1.5], bfloat16), [0.5, 1.5]),
    (np.array([Decimal("0.5"), None], object), [0.5, None]),
    (np.array([1, 2], np.uint64), [1, 2]),
    (np.array([0.5, 1.5], ">f8"), [0.5, 1.5]),
    (np.arange(6.0)[::2], [0.0, 2.0, 4.0]),
    (Eager(0.5, (2,)), [0.5, 0.5]),
    ([np.ma.masked, np.float32(0.5), pd.NA], [None, 0.5, None]),
]


@pytest.mark.parametrize(("values", "expected"), ARRAYS, ids=numbered(ARRAYS))
@pytest.mark.parametrize("log", [Run.log_batch, Run.log_list], ids=["batch", "list"])
def test_arrays_keep_their_numbers_and_their_gaps(
    run: Run, name: str, log: Callable[..., None], values: Any, expected: list[object]
) -> None:
    if log is Run.log_list and isinstance(values, Eager):
        return  # Not iterable here; TensorFlow's own are.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log(run, name, values)

    found = kept(run, name)
    assert isinstance(found, list)
    if {float, type(None)} >= set(map(type, expected)):
        expected = [each if each is None or each == each else math.nan for each in expected]
    assert len(found) == len(expected)
    assert all(map(same, found, expected)), found


TIME_ARRAYS: list[Any] = [
    np.array(["2020-01-01"], "datetime64[ns]"),
    np.array(["2020-01-01"], "datetime64[s]"),
    np.array([5], "timedelta64[ns]"),
    pd.Series(pd.to_datetime(["2020-01-01"])),
    pd.Series(pd.to_datetime(["2020-01-01"], utc=True)),
    pd.to_datetime(["2020-01-01"]),
    pl.Series([dt.datetime(2020, 1, 1)]),
    pl.Series([dt.timedelta(1)]),
]


@pytest.mark.parametrize("values", TIME_ARRAYS, ids=numbered(TIME_ARRAYS))
@pytest.mark.parametrize("log", [Run.log_batch, Run.log_list], ids=["batch", "list"])
def test_arrays_of_times_are_refused_with_the_way_to_convert_them(
    run: Run, name: str, log: Callable[..., None], values: Any
) -> None:
    with pytest.raises(UserErrorException, match=r"got times .* convert them first, .*seconds"):
        log(run, name, values)

    assert run.get_metrics(name) == {}


@pytest.mark.parametrize(
    "steps",
    [
        np.ma.array([1, 2], mask=[False, True]),
        pd.Series([1, None], dtype="Int64"),
        pl.Series([1, None]),
    ],
    ids=["numpy", "pandas", "polars"],
)
def test_steps_without_a_value_are_refused(run: Run, name: str, steps: Any) -> None:
    with pytest.raises(UserErrorException, match="step"):
        run.log_batch(name, [0.5, 0.25], steps=steps)

    assert run.get_metrics(name) == {}


@pytest.mark.parametrize(
    "step",
    [np.int64(3), np.array(3), np.array([3]), xp.asarray(3), Eager(np.int64(3)), pd.Series([3])],
    ids=["scalar", "array", "one element", "standard", "tensor", "series"],
)
def test_a_step_may_be_a_whole_number_of_any_library(run: Run, name: str, step: Any) -> None:
    run.log(name, 0.5, step=step)
    run.log(name, 1, step=step)

    assert run.values(name).steps.tolist() == [3, 3]


@pytest.mark.parametrize("step", [np.float64(3), Eager(np.float32(3)), np.bool_(True), "3"])
def test_a_step_that_is_no_whole_number_is_refused(run: Run, name: str, step: Any) -> None:
    with pytest.raises(UserErrorException, match="must be a whole number"):
        run.log(name, 0.5, step=step)

    assert run.get_metrics(name) == {}


def test_a_dict_in_log_list_is_refused_instead_of_logging_its_keys(run: Run, name: str) -> None:
    with pytest.raises(
        UserErrorException, match=r"got a dict|values of metric .* got a dict|log_row"
    ):
        run.log_list(name, {"a": 1})

    assert run.get_metrics(name) == {}


def test_a_row_says_that_a_column_named_description_describes_the_table(
    run: Run, name: str
) -> None:
    with pytest.warns(UserWarning, match="log a column of this name with log_table"):
        run.log_row(name, description="cat", v=1)
    run.log_table(name + " table", {"description": ["cat"], "v": [1]})

    assert kept(run, name) == {"v": 1}
    assert kept(run, name + " table") == {"description": "cat", "v": 1}

"""Logging metrics, and what `get_metrics` gives of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from runlore import Run
from runlore.domain.errors import InvalidInput, InvalidType
from runlore.exceptions import UserErrorException
from tests.workspaces import seen_again

HUGE = 2**200 + 1


class Level(IntEnum):
    HIGH = 3


class Colour(str, Enum):  # noqa: UP042  # StrEnum shows its value, this one does not.
    RED = "red"


class Tensor:
    """What PyTorch, JAX and TensorFlow scalars have in common."""

    shape = ()

    def __init__(self, value: object) -> None:
        self._value = value

    def item(self) -> object:
        return self._value

    def __repr__(self) -> str:
        return f"Tensor({self._value!r})"


# --- get_metrics ------------------------------------------------------------------------------


def test_one_value_is_itself_and_several_are_a_list_in_order(run: Run) -> None:
    run.log("once", 0.5)
    for value in (3, 1, 2):
        run.log("often", value)

    assert run.get_metrics() == {"once": 0.5, "often": [3, 1, 2]}
    assert seen_again(run).get_metrics() == {"once": 0.5, "often": [3, 1, 2]}


def test_a_metric_is_found_by_name_and_an_unknown_one_is_nothing(run: Run) -> None:
    run.log("a", 1)
    run.log("b", 2)

    assert run.get_metrics("b") == {"b": 2}
    assert run.get_metrics(name="nobody") == {}
    assert run.get_metrics() == {"a": 1, "b": 2}


def test_a_run_without_metrics_has_none(run: Run) -> None:
    assert run.get_metrics() == {}


def test_the_seeds_message_can_be_logged(run: Run) -> None:
    run.log(name="message", value="Hello from run!")

    assert run.get_metrics() == {"message": "Hello from run!"}


def test_recursive_metrics_are_those_of_all_descendants_that_have_any(run: Run) -> None:
    child = run.child_run()
    grandchild = child.child_run()
    run.child_run()
    run.log("a", 1)
    grandchild.log("a", 2)
    grandchild.log("b", 3)

    assert run.get_metrics(recursive=True) == {run.id: {"a": 1}, grandchild.id: {"a": 2, "b": 3}}
    assert run.get_metrics("b", recursive=True) == {grandchild.id: {"b": 3}}
    assert child.get_metrics(recursive=True) == {grandchild.id: {"a": 2, "b": 3}}


def test_recursive_metrics_can_be_narrowed_to_a_type_of_run(run: Run) -> None:
    child, other = run.child_run(), run.child_run()
    child.add_properties({"azureml.runsource": "tuning"})
    for each in (run, child, other):
        each.log("a", 1)

    assert run.get_metrics(recursive=True, run_type="tuning") == {child.id: {"a": 1}}


# --- log: conversions -------------------------------------------------------------------------

CONVERSIONS: list[tuple[object, object]] = [
    (True, True),
    (0, 0),
    (-7, -7),
    (HUGE, HUGE),
    (-HUGE, -HUGE),
    (2**63, 2**63),
    (0.1, 0.1),
    (-0.0, -0.0),
    (math.inf, math.inf),
    (-math.inf, -math.inf),
    (5e-324, 5e-324),
    ("text", "text"),
    ("", ""),
    ("zwei\nZeilen \0", "zwei\nZeilen \0"),
    (None, None),
    (np.float16(0.5), 0.5),
    (np.float32(0.5), 0.5),
    (np.float64(0.1), 0.1),
    (np.longdouble(0.5), 0.5),
    (np.float64("inf"), math.inf),
    (np.int8(-3), -3),
    (np.int16(-3), -3),
    (np.int32(-3), -3),
    (np.int64(-3), -3),
    (np.int64(2**63 - 1), 2**63 - 1),
    (np.uint8(3), 3),
    (np.uint16(3), 3),
    (np.uint32(3), 3),
    (np.uint64(2**64 - 1), 2**64 - 1),
    (np.bool_(True), True),
    (np.str_("text"), "text"),
    (np.array(0.5), 0.5),
    (np.array(3), 3),
    (Level.HIGH, 3),
    (Colour.RED, "red"),
    (Tensor(0.5), 0.5),
    (Tensor(3), 3),
]


@pytest.mark.parametrize(("value", "expected"), CONVERSIONS, ids=lambda value: repr(value)[:30])
def test_a_value_keeps_its_type_and_value(run: Run, value: object, expected: object) -> None:
    run.log("m", value)

    kept = run.get_metrics()["m"]
    assert type(kept) is type(expected)
    assert kept == expected
    assert math.copysign(1, kept) == math.copysign(1, expected) if kept == 0 else True  # type: ignore[arg-type]  # a number here


def test_a_whole_number_too_long_to_be_printed_is_kept(run: Run) -> None:
    run.log("m", 10**5000)

    assert run.get_metrics()["m"] - 10**5000 == 0


@pytest.mark.parametrize(
    "value", [math.nan, np.float32("nan"), Tensor(math.nan)], ids=["python", "numpy", "tensor"]
)
def test_nan_comes_back_as_nan(run: Run, value: object) -> None:
    run.log("m", value)

    assert math.isnan(run.get_metrics()["m"])


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {"a": 1},
        b"bytes",
        np.array([1, 2]),
        1 + 2j,
        Tensor(1j),
    ],
    ids=repr,
)
def test_what_is_no_value_is_stored_as_its_text_with_a_warning(run: Run, value: object) -> None:
    with pytest.warns(UserWarning, match="is not a number, bool or text; it is stored") as caught:
        run.log("m", value)

    assert run.get_metrics() == {"m": repr(value)}
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "value",
    [[1, 2], [], range(3), (x for x in "ab"), map(str, "ab"), iter("ab")],
    ids=["list", "empty list", "range", "generator", "map", "iterator"],
)
def test_log_of_a_list_says_to_use_log_list(run: Run, value: object) -> None:
    with pytest.raises(
        UserErrorException,
        match=r"^run\.log does not support list type\. Use run\.log_list instead",
    ):
        run.log("m", value)

    assert run.get_metrics() == {}


def test_types_under_one_name_are_all_kept(run: Run) -> None:
    values = [1, 2.5, "text", None, True, HUGE, math.inf]
    for value in values:
        run.log("m", value)

    kept = run.get_metrics()["m"]
    assert kept == values
    assert [type(value) for value in kept] == [type(value) for value in values]


def test_extreme_whole_numbers_come_back_in_one_series(run: Run) -> None:
    values = [-(2**63), 2**63 - 1, 0, 2**63 - 1, -(2**63)]

    run.log_list("m", values)
    run.log_list("two", values[:2])

    assert run.get_metrics() == {"m": values, "two": values[:2]}


def test_very_many_metrics_and_values_are_kept(run: Run) -> None:
    for number in range(300):
        run.log(f"metric {number}", number)
    run.log_list("long", range(20_000))

    metrics = seen_again(run).get_metrics()
    assert len(metrics) == 301
    assert metrics["long"] == list(range(20_000))


# --- names, steps, descriptions ---------------------------------------------------------------

BAD_NAMES = {"empty": "", "too-long": "x" * 1001, "control": "a\tb", "surrogate": "\ud800"}

LOGGERS: dict[str, Callable[[Run, Any], None]] = {
    "log": lambda run, name: run.log(name, 1),
    "log_metrics": lambda run, name: run.log_metrics({"good": 1, name: 1}),
    "log_batch": lambda run, name: run.log_batch(name, [1]),
    "log_list": lambda run, name: run.log_list(name, [1]),
    "log_row": lambda run, name: run.log_row(name, x=1),
    "log_table": lambda run, name: run.log_table(name, {"x": [1]}),
    "log_table column": lambda run, name: run.log_table("good", {name: [1]}),
    "log_confusion_matrix": lambda run, name: run.log_confusion_matrix(name, {}),
    "log_image": lambda run, name: run.log_image(name, plot=Figure()),
}


@pytest.mark.parametrize("logger", LOGGERS.values(), ids=LOGGERS.keys())
@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
def test_a_bad_name_is_refused_and_nothing_is_logged(
    run: Run, name: str, logger: Callable[[Run, Any], None]
) -> None:
    with pytest.raises(InvalidInput, match="name"):
        logger(run, name)

    assert run.get_metrics() == {}
    assert run.get_file_names() == []


@pytest.mark.parametrize("logger", LOGGERS.values(), ids=LOGGERS)
@pytest.mark.parametrize("name", [5, None, b"bytes", ("a",)], ids=repr)
def test_a_name_that_is_no_text_is_refused(
    run: Run, name: object, logger: Callable[[Run, Any], None]
) -> None:
    with pytest.raises(InvalidType, match="name must be a str"):
        logger(run, name)


def test_a_name_that_cannot_be_looked_up_is_refused(run: Run) -> None:
    with pytest.raises(InvalidType, match="metric name must be a str, got list"):
        run.log(["loss"], 1)  # type: ignore[call-overload]  # wrong on purpose


@pytest.mark.parametrize("name", ["worth a look", "a/b", "ключ", "🙂", "x" * 1000])
def test_unusual_names_are_kept(run: Run, name: str) -> None:
    run.log(name, 1)

    assert seen_again(run).get_metrics() == {name: 1}


@pytest.mark.parametrize("value", ["a\ud800", "x" * (2**20 + 1)], ids=["surrogate", "too-large"])
def test_a_text_that_cannot_be_kept_is_refused_and_the_next_value_is_kept(
    run: Run, value: str
) -> None:
    with pytest.raises(InvalidInput, match="value of metric 'm'"):
        run.log("m", value)
    run.log("m", 1)

    run.flush()
    assert seen_again(run).get_metrics() == {"m": 1}


def test_a_value_whose_text_cannot_be_made_logs_nothing(run: Run) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(RuntimeError, match="no text"):
        run.log_metrics({"good": 1, "bad": Broken()})

    assert run.get_metrics() == {}


@pytest.mark.parametrize("description", ["a\ud800", "x" * (2**20 + 1), 5])
def test_a_description_that_cannot_be_kept_is_refused(run: Run, description: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: run.log("m", 1, description=description),
        lambda: run.log_row("m", description=description, x=1),
        lambda: run.log_residuals("m", {}, description=description),
    ]
    for call in calls:
        with pytest.raises((InvalidInput, InvalidType), match="description of metric 'm'"):
            call()

    run.log("other", 1, description="in metres")
    assert run.get_metrics() == {"other": 1}


def test_steps_count_by_themselves(run: Run) -> None:
    for value in (5, 6, 7):
        run.log("m", value)
    run.log("other", 1)

    assert run.values("m").steps.tolist() == [0, 1, 2]
    assert run.values("other").steps.tolist() == [0]


def test_steps_go_on_where_another_object_stopped(run: Run) -> None:
    run.log("m", 1)
    run.flush()

    again = seen_again(run)
    again.log("m", 2)

    assert again.values("m").steps.tolist() == [0, 1]


@pytest.mark.parametrize("step", [7, -1, 2**63 - 1, -(2**63), np.int64(7), np.uint8(7), Level.HIGH])
def test_a_given_step_is_kept(run: Run, step: int) -> None:
    run.log("m", 1, step=step)

    assert run.values("m").steps.tolist() == [int(step)]


@pytest.mark.parametrize("step", [1.5, "1", True, [1]], ids=repr)
def test_a_step_that_is_no_whole_number_is_refused(run: Run, step: Any) -> None:
    with pytest.raises(InvalidType, match="must be a whole number"):
        run.log("m", 1, step=step)
    with pytest.raises(InvalidType, match="must be a whole number"):
        run.log_metrics({"m": 1}, step=step)


def test_a_step_beyond_64_bits_is_refused(run: Run) -> None:
    for step in (2**63, -(2**63) - 1, 10**5000):
        with pytest.raises(InvalidInput, match="step of metric 'm' does not fit in 64 bits"):
            run.log("m", 1, step=step)


# --- log_metrics, log_batch, log_list ---------------------------------------------------------


def test_log_metrics_logs_several_at_one_step(run: Run) -> None:
    run.log_metrics({"loss": 0.5, "acc": np.float32(0.75)}, step=3)
    run.log_metrics({"loss": 0.25, "acc": 1}, step=4)

    assert run.get_metrics() == {"loss": [0.5, 0.25], "acc": [0.75, 1]}
    assert run.values("acc").steps.tolist() == [3, 4]


def test_log_metrics_logs_all_or_none(run: Run) -> None:
    with pytest.raises(UserErrorException, match=r"run\.log does not support list type"):
        run.log_metrics({"good": 1, "bad": [1]})

    assert run.get_metrics() == {}


def test_log_metrics_takes_a_dict(run: Run) -> None:
    with pytest.raises(InvalidType, match="log_metrics takes a dict, got list"):
        run.log_metrics([("loss", 1)])  # type: ignore[arg-type]  # wrong on purpose


BATCHES: list[tuple[Any, list[object]]] = [
    (np.array([0.5, np.nan, np.inf]), [0.5, math.nan, math.inf]),
    (np.arange(3), [0, 1, 2]),
    (np.array([1, 2], np.float16), [1.0, 2.0]),
    (np.array([0.5], np.longdouble), [0.5]),
    (np.array([True, False]), [True, False]),
    (np.array(["a", "b"]), ["a", "b"]),
    (pd.Series([1.5, 2.5]), [1.5, 2.5]),
    ([1, "two", None], [1, "two", None]),
    ((1, 2), [1, 2]),
    (range(3), [0, 1, 2]),
]


@pytest.mark.parametrize(("values", "expected"), BATCHES, ids=lambda value: repr(value)[:25])
def test_log_batch_takes_arrays_and_sequences(
    run: Run, values: Any, expected: list[object]
) -> None:
    run.log_batch("m", values)

    assert str(list(run.values("m").values.tolist())) == str(expected)
    assert run.values("m").steps.tolist() == list(range(len(expected)))


def test_log_batch_takes_steps(run: Run) -> None:
    run.log_batch("m", np.array([0.5, 0.25]), steps=np.array([10, 20]))

    assert run.values("m").steps.tolist() == [10, 20]


def test_each_value_of_a_long_batch_has_its_own_step(run: Run) -> None:
    count = 70_000  # More than two records of a spool.
    run.log_batch("m", np.arange(count) / 2, steps=np.arange(count) * 3)

    steps, _, values = run.values("m")
    assert steps.tolist() == list(range(0, 3 * count, 3))
    assert values.tolist() == [number / 2 for number in range(count)]


def test_an_empty_batch_logs_nothing(run: Run) -> None:
    run.log_batch("m", np.array([]))
    run.log_list("m", [])
    run.log_table("m", {"x": []})

    assert run.get_metrics() == {}


@pytest.mark.parametrize(
    ("values", "steps", "error"),
    [
        (np.zeros((2, 2)), None, r"takes arrays of shape \(n,\), got \(2, 2\)"),
        (np.array(1.0), None, r"takes arrays of shape \(n,\), got \(\)"),
        ([1, 2], [1], "2 values but 1 steps; give one step per value"),
        ([1], [None], "None is not a step"),
        ([1], [0.5], "must be a whole number"),
        ("text", None, "takes an array or a sequence, got str"),
        ({"a": 1}, None, "takes an array or a sequence, got dict"),
        (5, None, "takes an array or a sequence, got int"),
        ([[1]], None, "does not support list type"),
    ],
)
def test_a_batch_of_another_shape_is_refused(run: Run, values: Any, steps: Any, error: str) -> None:
    with pytest.raises(UserErrorException, match=error):
        run.log_batch("m", values, steps)

    assert run.get_metrics() == {}


LISTS: list[tuple[Iterable[object], object]] = [
    ([1, 2, 3], [1, 2, 3]),
    ([7], 7),
    ((1, 2), [1, 2]),
    (range(3), [0, 1, 2]),
    ("abc", ["a", "b", "c"]),
    (np.array([1.5, 2.5]), [1.5, 2.5]),
    (np.array([1, 2]), [1, 2]),
    ({"a": 1, "b": 2}.values(), [1, 2]),
    ([None, "a"], [None, "a"]),
]


@pytest.mark.parametrize(("values", "expected"), LISTS, ids=lambda value: repr(value)[:25])
def test_log_list_takes_any_iterable(run: Run, values: Iterable[object], expected: object) -> None:
    run.log_list("m", values)

    assert run.get_metrics() == {"m": expected}


def test_log_list_and_log_batch_take_generators(run: Run) -> None:
    run.log_list("m", (n * n for n in range(3)))
    run.log_batch("n", (n * n for n in range(3)))

    assert run.get_metrics() == {"m": [0, 1, 4], "n": [0, 1, 4]}


def test_log_list_with_a_float_anywhere_gives_floats(run: Run) -> None:
    run.log_list("m", [1, 2.5, 3])

    kept = run.get_metrics()["m"]
    assert kept == [1.0, 2.5, 3.0]
    assert {type(value) for value in kept} == {float}


def test_log_list_keeps_whole_numbers_that_no_float_could_hold(run: Run) -> None:
    run.log_list("m", [HUGE, 2.5])
    run.log_list("n", [2**53 + 1, 0.5])

    assert run.get_metrics() == {"m": [HUGE, 2.5], "n": [2**53 + 1, 0.5]}


def test_log_list_and_log_go_on_with_one_series(run: Run) -> None:
    run.log("m", 1)
    run.log_list("m", [2, 3])
    run.log("m", 4)

    assert run.get_metrics() == {"m": [1, 2, 3, 4]}
    assert run.values("m").steps.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("nested", [[[1]], [(1,)], [{}], [np.array([1])], np.zeros((2, 2))])
def test_a_nested_list_is_refused(run: Run, nested: Any) -> None:
    with pytest.raises(InvalidInput, match="cannot be logged; log each one"):
        run.log_list("m", nested)

    assert run.get_metrics() == {}


def test_log_list_of_no_iterable_says_to_use_log(run: Run) -> None:
    with pytest.raises(InvalidType, match=r"use run\.log for one value"):
        run.log_list("m", 5)


def test_an_iterable_that_breaks_logs_nothing(run: Run) -> None:
    def broken() -> Iterable[int]:
        yield 1
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        run.log_list("m", broken())

    assert run.get_metrics() == {}


# --- log_row, log_table -----------------------------------------------------------------------


def test_one_row_is_a_dict_of_values_and_several_a_dict_of_lists(run: Run) -> None:
    run.log_row("one", x=1, y=2.5)
    run.log_row("two", x=1, y="a")
    run.log_row("two", x=2, y="b")

    assert run.get_metrics() == {
        "one": {"x": 1, "y": 2.5},
        "two": {"x": [1, 2], "y": ["a", "b"]},
    }


def test_rows_with_other_columns_are_merged_with_none(run: Run) -> None:
    run.log_row("m", x=1, y=2)
    run.log_row("m", x=3, z=4)
    run.log_row("m", y=5)

    assert run.get_metrics() == {"m": {"x": [1, 3, None], "y": [2, None, 5], "z": [None, 4, None]}}


def test_a_row_with_a_list_is_refused_in_azures_words(run: Run) -> None:
    with pytest.raises(
        UserErrorException, match=r"^Rows cannot contain list values, column x contains a list\.$"
    ):
        run.log_row("m", x=[1, 2])


def test_a_row_without_columns_is_refused(run: Run) -> None:
    with pytest.raises(InvalidInput, match="has no columns; name at least one value"):
        run.log_row("m")


def test_a_table_is_rows_given_as_columns(run: Run) -> None:
    run.log_table("m", {"x": [1, 2], "y": [0.5, math.inf]})

    assert run.get_metrics() == {"m": {"x": [1, 2], "y": [0.5, math.inf]}}


def test_a_table_of_single_values_is_one_row(run: Run) -> None:
    run.log_table("m", {"x": 1, "y": "a"})
    run.log_table("n", {"x": [1]})

    assert run.get_metrics() == {"m": {"x": 1, "y": "a"}, "n": {"x": 1}}


def test_rows_and_tables_go_on_with_each_other(run: Run) -> None:
    run.log_row("m", x=1)
    run.log_table("m", {"x": [2, 3]})

    assert run.get_metrics() == {"m": {"x": [1, 2, 3]}}


def test_an_empty_table_logs_nothing(run: Run) -> None:
    run.log_table("m", {})

    assert run.get_metrics() == {}


def test_columns_of_different_length_are_refused_in_azures_words(run: Run) -> None:
    with pytest.raises(
        UserErrorException,
        match=r"^Columns must have the same length, column x had length 2, "
        r"however, column y had length 1\.$",
    ):
        run.log_table("m", {"x": [1, 2], "y": [1]})

    assert run.get_metrics() == {}


@pytest.mark.parametrize("cells", [(1, 2), np.array([1, 2])], ids=["tuple", "array"])
def test_columns_are_lists(run: Run, cells: object) -> None:
    with pytest.raises(UserErrorException, match="column x is a .*; give a list or a single value"):
        run.log_table("m", {"x": cells})


def test_a_table_is_a_dict(run: Run) -> None:
    with pytest.raises(InvalidType, match="log_table takes a dict of columns for 'm', got list"):
        run.log_table("m", [{"x": 1}])  # type: ignore[arg-type]  # wrong on purpose


def test_rows_and_single_values_under_one_name_are_all_kept(run: Run) -> None:
    run.log("m", 1)
    run.log_row("m", x=2)

    assert run.get_metrics() == {"m": {"m": [1, None], "x": [None, 2]}}


def test_a_column_of_a_row_may_have_any_name(run: Run) -> None:
    run.log_row("pets", name="Tom", self=1.0)
    run.log_row(name="pets", x=1.0)
    run.log_row("floats", name=1.0)
    run.log_row("floats", name=2.0)

    assert run.get_metrics("pets") == {
        "pets": {"name": ["Tom", None], "self": [1.0, None], "x": [None, 1.0]}
    }
    assert run.get_metrics("floats") == {"floats": {"name": [1.0, 2.0]}}
    with pytest.raises(UserErrorException):
        run.log_row(x=1.0)

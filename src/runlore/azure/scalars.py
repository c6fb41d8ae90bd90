"""Logged values: which of the many kinds of Python's libraries are numbers, texts or nothing.

docs/values.md has the table. No library is imported for it: whoever passes a value of a library has
imported it. The conversions are those of azureml-core (measured on 1.61) without its faults.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, time, timedelta
from typing import Any, Final, TypeAlias

from runlore.domain.errors import InvalidInput, InvalidType, UserError
from runlore.domain.text import check_text
from runlore.engine.caller_warning import warn_caller

Scalar: TypeAlias = float | int | bool | str | None

_PLAIN: Final = frozenset({float, int, bool, str, type(None)})
_NULLS: Final = frozenset({"NAType", "NaTType", "MaskedConstant"})  # pandas' two, and numpy's.
_TIMES: Final = (
    "m",
    "M",
)  # numpy's kinds of timedelta64 and datetime64, which pandas uses as well.
_SECONDS: Final = "seconds, such as (times - times[0]) / numpy.timedelta64(1, 's')"


def as_scalar(name: str, value: Any) -> Scalar:
    """A value to log. Numbers, bools, text and None are unchanged.

    Numbers of any library become Python's, also arrays and tensors of one element, and null and
    masked cells become None. Anything else is logged as its text, with a warning. Only lists and
    iterators raise, because they belong in `log_list`.
    """
    kind = type(value)
    if kind in _PLAIN:
        return check_text(value, f"value of metric {name!r}") if kind is str else value
    if isinstance(value, list | range) or hasattr(value, "__next__"):
        raise UserError(
            "run.log does not support list type. Use run.log_list instead "
            f"(metric {name!r} got a {kind.__name__})"
        )
    if isinstance(value, str):  # Not str(value): enums override it.
        return check_text(value, f"value of metric {name!r}")
    if isinstance(value, int | float):  # Subclasses: enums, numpy's float64.
        return int(value) if isinstance(value, int) else float(value)
    found = in_python(value)
    if type(found) is str:
        return check_text(found, f"value of metric {name!r}")
    return found if isinstance(found, float | int | None) else _in_text(name, found)


def is_time(values: object) -> bool:
    """Whether it is a time or a duration, or an array or a series of them."""
    if isinstance(values, date | time | timedelta):
        return True
    dtype = getattr(values, "dtype", None)
    is_temporal = getattr(dtype, "is_temporal", None)  # polars
    return bool(is_temporal()) if callable(is_temporal) else getattr(dtype, "kind", "") in _TIMES


def refuse_times(name: str, values: object) -> None:
    """Raise InvalidType for an array or a series of times: they are no numbers by themselves."""
    if is_time(values):
        raise InvalidType(
            f"metric {name!r} got times ({getattr(values, 'dtype', type(values).__name__)}), which "
            f"are not numbers; convert them first, for example to {_SECONDS}"
        )


def with_nulls(values: Any) -> Any:
    """The values, with None for the nulls of a pandas series; those of floats stay NaN."""
    is_pandas = callable(getattr(values, "isna", None)) and callable(getattr(values, "where", None))
    if not is_pandas or getattr(values.dtype, "kind", "") == "f":
        return values
    return values.astype(object).where(values.notna(), None)


def as_list(name: str, values: object) -> list[Scalar]:
    """The values of any iterable as scalars; whole numbers next to floats become floats.

    A text becomes the list of its characters. Nested lists and arrays raise.
    """
    if not isinstance(values, Iterable):
        raise InvalidType(
            f"log_list takes an iterable for metric {name!r}, got {type(values).__name__}; "
            "use run.log for one value"
        )
    if isinstance(values, Mapping):
        raise InvalidType(
            f"log_list takes the values of metric {name!r}, got a {type(values).__name__}; use "
            "run.log_row for one row of named columns, or run.log_metrics for several metrics"
        )
    refuse_times(name, values)
    scalars = []
    for value in with_nulls(values):
        if isinstance(value, list | tuple | dict | set) or _shape(value):
            raise InvalidInput(
                f"metric {name!r}: a list of {type(value).__name__}s cannot be logged; "
                "log each one, or use run.log_table"
            )
        scalars.append(as_scalar(name, value))
    return _as_floats(scalars)


def _as_floats(scalars: list[Any]) -> list[Any]:
    """Whole numbers next to floats as floats, unless one is too large to be exact."""
    mixed = {type(scalar) for scalar in scalars} == {int, float}
    if mixed and all(type(s) is float or abs(s) <= 2**53 for s in scalars):
        return [float(scalar) for scalar in scalars]
    return scalars


def in_python(value: Any) -> object:
    """The number, text or None that a library's object stands for; else the object itself.

    Never raises: a value that cannot be read must not end a training.
    """
    if _is_null(value) or is_masked_array(value) and value.size == 1 and value.mask.all():
        return None
    if is_time(value) or len(_shape(value)) != _shape(value).count(1):
        return value
    with suppress(Exception):
        found = _element(value)
        if _is_null(found):
            return None
        if isinstance(found, bool | int | float | str | None):
            return _without_subclass(found)
        if is_time(found):
            return found
        kind = str(getattr(found, "dtype", "")).rpartition(".")[2]
        if kind.startswith("bool"):
            return bool(found)
        if kind.startswith(("int", "uint")) or not kind and hasattr(found, "__index__"):
            return operator.index(found)
        if hasattr(found, "__float__"):  # Decimal, Fraction, numpy's long double, bfloat16.
            return float(found)
    return value


def _is_null(value: Any) -> bool:
    if type(value).__name__ in _NULLS:
        return True
    return not _shape(value) and is_time(value) and str(value) == "NaT"  # numpy's


def _element(value: Any) -> Any:
    """What an array or a tensor of one element holds, in the form that its library gives."""
    for method in ("item", "as_py", "numpy"):  # NumPy, PyTorch and JAX; Arrow; TensorFlow.
        if callable(getattr(value, method, None)):
            found = getattr(value, method)()
            return found if method != "numpy" else _element(found)
    shape = _shape(value)
    return value[(0,) * len(shape)] if shape else value  # As the array API standard has it.


def _without_subclass(value: Scalar) -> Scalar:
    """As numpy's float64 is a float, and enums may be texts or whole numbers."""
    for kind in (int, float, str):
        if isinstance(value, kind) and not isinstance(value, bool):
            return kind(value)
    return value


def _shape(value: object) -> tuple[int, ...]:
    try:
        return tuple(getattr(value, "shape", None) or ())
    except TypeError:  # A tensor whose shape is not known yet.
        return ()


def is_masked_array(value: object) -> bool:
    """Whether it is one of numpy's masked arrays, which hold numbers under their masks, too."""
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    return masked is not None and isinstance(value, masked)


def _in_text(name: str, value: Any) -> str:
    if is_time(value) and not _shape(value):
        text = _iso(value)
        what = f"which is a time, not a number; it is stored as its text {text!r:.80}"
    else:
        text = repr(value)
        what = f"which is not a number, bool or text; it is stored as its text {text!r:.80}"
    warn_caller(f"metric {name!r} got a {type(value).__name__}, {what}")
    return check_text(text, f"value of metric {name!r}")


def _iso(value: Any) -> str:
    """A time or a duration as ISO 8601 writes it."""
    if callable(getattr(value, "isoformat", None)):  # Python's and pandas' times.
        return str(value.isoformat())
    if isinstance(value, timedelta):
        return _iso_duration(value.days, value.seconds, f"{value.microseconds:06d}")
    if getattr(getattr(value, "dtype", None), "kind", "") == "m":
        nanoseconds = int(value.astype("timedelta64[ns]").astype("int64"))
        seconds, fraction = divmod(nanoseconds, 10**9)
        return _iso_duration(*divmod(seconds, 86_400), f"{fraction:09d}")
    return str(value)  # numpy's datetime64


def _iso_duration(days: int, seconds: int, fraction: str) -> str:
    """As P1DT2.5S; a negative duration has negative days, as in Python."""
    digits = fraction.rstrip("0")
    return f"P{days}DT{seconds}{'.' * bool(digits)}{digits}S"

"""Conversion of Azure's loosely typed arguments: tags, logged values, steps, children.

The conversions are those of azureml-core (measured on 1.61) without its faults: `np.int64` stays
a number, and nothing is dropped silently.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, SupportsIndex

from runlore.domain.errors import InvalidInput, InvalidType, UserError
from runlore.domain.text import check_text
from runlore.engine.caller_warning import warn_caller

_PLAIN: Final = frozenset({float, int, bool, str, type(None)})
_PLURALS: Final = {"tag": "tags", "property": "properties"}


def as_pairs(pairs: object, what: Literal["tag", "property"]) -> dict[str, str | None]:
    """Tags or properties with text values; other values become `str(value)`, with a warning."""
    if pairs is None:
        return {}
    if not isinstance(pairs, Mapping):
        raise InvalidType(
            f"{_PLURALS[what]} must be a dict, got {type(pairs).__name__} {pairs!r:.80}"
        )
    return {key: _as_text(key, value, what) for key, value in pairs.items()}


def _as_text(key: object, value: object, what: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    text = str(value)
    warn_caller(
        f"{what} {key!r:.80} has a value of type {type(value).__name__}; it is stored as its text "
        f"{text!r:.80}"
    )
    return text


def as_scalar(name: str, value: Any) -> float | int | bool | str | None:
    """A value to log: numbers, bools, text and None unchanged, numpy's scalars as Python's.

    Anything else becomes its `repr`, with a warning. Lists and other iterables raise, because they
    belong in `log_list`.
    """
    kind = type(value)
    if kind in _PLAIN:
        return check_text(value, f"value of metric {name!r}") if kind is str else value
    if isinstance(value, list | range) or hasattr(value, "__next__"):
        raise UserError(
            "run.log does not support list type. Use run.log_list instead "
            f"(metric {name!r} got a {kind.__name__})"
        )
    return _as_python(name, value)


def _as_python(name: str, value: Any) -> float | int | bool | str | None:
    if isinstance(value, str):  # Not str(value): enums override it.
        return check_text(value, f"value of metric {name!r}")
    if isinstance(value, int | float):  # Subclasses: enums, numpy's float64.
        return int(value) if isinstance(value, int) else float(value)
    if _is_zero_dimensional(value):
        item = value.item()
        if isinstance(item, int | float):
            return item
        if hasattr(item, "__float__"):  # numpy's long double, which Python does not have.
            return float(item)
    text = repr(value)
    warn_caller(
        f"metric {name!r} got a {type(value).__name__}, which is not a number, bool or text; it is "
        f"stored as its text {text!r:.80}"
    )
    return check_text(text, f"value of metric {name!r}")


def _is_zero_dimensional(value: Any) -> bool:
    """Whether it is a scalar of numpy, PyTorch, JAX or TensorFlow; not numpy's times, whose items
    may be bare counts of nanoseconds.
    """
    if getattr(value, "shape", None) != () or not callable(getattr(value, "item", None)):
        return False
    return getattr(getattr(value, "dtype", None), "kind", "") not in ("m", "M")


def as_list(name: str, values: object) -> list[float | int | bool | str | None]:
    """The values of any iterable as scalars; whole numbers next to floats become floats.

    A text becomes the list of its characters. Nested lists and arrays raise.
    """
    if not isinstance(values, Iterable):
        raise InvalidType(
            f"log_list takes an iterable for metric {name!r}, got {type(values).__name__}; "
            "use run.log for one value"
        )
    scalars = []
    for value in values:
        if isinstance(value, list | tuple | dict | set) or getattr(value, "shape", ()) != ():
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


def as_step(name: str, step: SupportsIndex | None) -> int | None:
    """A whole number of 64 bits, or None for the next step; numpy's integers are accepted."""
    if step is None or type(step) is int and -(2**63) <= step < 2**63:
        return step
    if isinstance(step, bool) or not hasattr(step, "__index__"):
        raise InvalidType(
            f"step of metric {name!r} must be a whole number, got "
            f"{type(step).__name__} {step!r:.80}"
        )
    number = step.__index__()
    if not -(2**63) <= number < 2**63:
        raise InvalidInput(f"step of metric {name!r} does not fit in 64 bits")
    return number


def children_tags(
    count: SupportsIndex | None, tag_key: str | None, tag_values: Iterable[object] | None
) -> list[dict[str, str | None]]:
    """The tags of each child to create; the errors have Azure ML's texts."""
    if count is None and tag_key is None and tag_values is None:
        raise UserError("Either count or tag_key and tag_values must be set")
    if tag_key is None and tag_values is None:
        return [{"azureml.batch_child_number": str(n)} for n in range(_checked_count(count))]
    if tag_key is None:
        raise UserError("tag_key must not be null when tag_values is set")
    if tag_values is None:
        raise UserError("tag_values must not be null when tag_key is set")
    if count is not None:
        raise UserError("count can not be set when tag_key and tag_values are set")
    if isinstance(tag_values, str | bytes) or not isinstance(tag_values, Iterable):
        raise InvalidType(
            f"tag_values must be a list of values, got {type(tag_values).__name__} "
            f"{tag_values!r:.80}"
        )
    return [as_pairs({tag_key: value}, "tag") for value in tag_values]


def _checked_count(count: object) -> int:
    if isinstance(count, bool) or not hasattr(count, "__index__"):
        raise InvalidType(f"count must be a whole number, got {count!r:.80}")
    number = operator.index(count)
    if number < 0:
        raise InvalidInput(f"count must be 0 or more, got {number}")
    return number

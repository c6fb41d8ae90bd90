"""What scripts pass, as the store's own types: tag values, logged scalars, steps.

The conversions are azureml-core's (measured on 1.61), minus its faults: `np.int64` stays a
number, and nothing is dropped silently.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, SupportsIndex

from runlore.domain.errors import InvalidInput, InvalidType, UserError
from runlore.domain.text import check_text

_PLAIN = frozenset({float, int, bool, str, type(None)})


def as_pairs(pairs: object, what: str) -> dict[str, str | None]:
    """Tags or properties with text values: others become `str(value)`, with a warning."""
    if pairs is None:
        return {}
    if not isinstance(pairs, Mapping):
        raise InvalidType(f"{what}s must be a dict, got {type(pairs).__name__} {pairs!r:.80}")
    return {key: _as_text(key, value, what) for key, value in pairs.items()}


def _as_text(key: object, value: object, what: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    warnings.warn(
        f"{what} {key!r} has a value of type {type(value).__name__}; it is stored as its text "
        f"{str(value)!r:.80}",
        UserWarning,
        stacklevel=4,
    )
    return str(value)


def as_scalar(name: str, value: Any) -> float | int | bool | str | None:
    """One loggable value: numbers, bools, text and None as they are, numpy's as Python's.

    Anything else becomes its `repr`, with a warning; lists and the like raise, because they
    belong into `log_list`.
    """
    kind = type(value)
    if kind in _PLAIN:
        return check_text(value, f"value of metric {name!r}") if kind is str else value
    if isinstance(value, list | range) or hasattr(value, "__next__"):
        raise UserError(
            f"run.log does not support {kind.__name__} type. Use run.log_list instead "
            f"(metric {name!r})"
        )
    return _as_python(name, value)


def _as_python(name: str, value: Any) -> float | int | bool | str | None:
    if isinstance(value, bool | int | float | str):  # Subclasses: enums, numpy's float64.
        plain = next(t for t in (bool, int, float, str) if isinstance(value, t))
        return as_scalar(name, plain(value))
    dtype_kind = getattr(getattr(value, "dtype", None), "kind", "")
    if dtype_kind in "biuf" and getattr(value, "ndim", 1) == 0 and hasattr(value, "item"):
        return as_scalar(name, value.item())
    if dtype_kind == "" and _is_tensor_scalar(value):
        return as_scalar(name, value.item())
    text = repr(value)
    warnings.warn(
        f"metric {name!r} got a {type(value).__name__}, which is no number, bool or text; it is "
        f"stored as its text {text!r:.80}",
        UserWarning,
        stacklevel=4,
    )
    return check_text(text, f"value of metric {name!r}")


def _is_tensor_scalar(value: Any) -> bool:
    """Zero-dimensional tensors of PyTorch, JAX and TensorFlow are numbers to their users."""
    return getattr(value, "shape", None) in ((),) and callable(getattr(value, "item", None))


def as_list(name: str, values: object) -> list[float | int | bool | str | None]:
    """The values of any iterable, each as a scalar; whole numbers beside floats become floats.

    A text is the list of its characters. Nested lists raise.
    """
    if not isinstance(values, Iterable):
        raise InvalidType(
            f"log_list takes an iterable for metric {name!r}, got {type(values).__name__}; "
            "use run.log for one value"
        )
    scalars = []
    for value in values:
        if isinstance(value, list | tuple | dict | set):
            raise InvalidInput(
                f"metric {name!r}: a list of {type(value).__name__}s cannot be logged; "
                "log each one, or use run.log_table"
            )
        scalars.append(as_scalar(name, value))
    if {type(scalar) for scalar in scalars} == {int, float}:
        return [float(scalar) for scalar in scalars if scalar is not None]
    return scalars


def as_step(name: str, step: SupportsIndex | None) -> int | None:
    """A whole number of 64 bits, numpy's included; None stays None (the next step)."""
    if step is None or type(step) is int and -(2**63) <= step < 2**63:
        return step
    if isinstance(step, bool) or not hasattr(step, "__index__"):
        raise InvalidType(
            f"step of metric {name!r} must be a whole number, got "
            f"{type(step).__name__} {step!r:.80}"
        )
    number = step.__index__()
    if not -(2**63) <= number < 2**63:
        raise InvalidInput(f"step {number} of metric {name!r} does not fit into 64 bits")
    return number

"""Arrays, sequences and steps given to the methods that log values, checked."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from runlore.azure.arguments import as_step
from runlore.azure.scalars import as_scalar, is_masked_array, refuse_times, with_nulls
from runlore.domain.errors import InvalidInput, InvalidType, UserError

_TYPECODES = {"<f8": "d", "<i8": "q"} if sys.byteorder == "little" else {">f8": "d", ">i8": "q"}


def steps_of(name: str, steps: Any) -> Sequence[int]:
    given = array_of(steps)
    if isinstance(given, array) and given.typecode == "q":
        return given
    return [given_step(name, step) for step in one_dimensional(name, steps)]


def array_of(values: Any) -> Sequence[Any] | None:
    """A copy of a one-dimensional NumPy or Python array of float64 or int64, else None."""
    if isinstance(values, array):
        return values[:] if values.typecode in "dq" else None
    if is_masked_array(values):
        return None
    dtype = getattr(values, "dtype", None)
    typecode = _TYPECODES.get(getattr(dtype, "str", ""))
    if typecode is None or getattr(values, "ndim", None) != 1 or not hasattr(values, "tobytes"):
        return None
    copied = array(typecode)
    copied.frombytes(values.tobytes())
    return copied


def one_dimensional(name: str, values: Any) -> Sequence[Any]:
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise InvalidInput(
            f"log_batch of metric {name!r} takes arrays of shape (n,), got {tuple(shape)}"
        )
    refuse_times(name, values)
    if not hasattr(values, "tolist") and callable(getattr(values, "numpy", None)):
        values = values.numpy()  # TensorFlow's
    values = with_nulls(values)
    if hasattr(values, "tolist"):
        listed: list[Any] = values.tolist()
        return listed
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__iter__"):
        raise InvalidType(
            f"log_batch of metric {name!r} takes an array or a sequence, got "
            f"{type(values).__name__}"
        )
    return list(values)


def given_step(name: str, step: Any) -> int:
    number = as_step(name, step)
    if number is None:
        raise InvalidType(f"log_batch of metric {name!r}: None is not a step; leave steps out")
    return number


def cells_of(name: str, column: str, cells: Any) -> list[Any]:
    if isinstance(cells, tuple) or getattr(cells, "ndim", None):
        raise UserError(
            f"log_table of {name!r}: column {column} is a {type(cells).__name__}; "
            "give a list or a single value"
        )
    return [as_scalar(name, cell) for cell in (cells if isinstance(cells, list) else [cells])]

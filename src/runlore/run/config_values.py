"""Configs as scripts have them, as the JSON that the log keeps: see docs/values.md."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Set
from datetime import date, time, timedelta
from enum import Enum
from os import PathLike, fspath
from typing import Any, Final

from runlore.azure.scalars import in_python
from runlore.domain.config import DEPTH_MAX
from runlore.domain.errors import InvalidInput, InvalidType
from runlore.engine.caller_warning import warn_caller

_INTS: Final = range(-(2**63), 2**64)
_NAMESPACES: Final = ("Namespace", "SimpleNamespace")  # Without loading argparse.
_SEQUENCES: Final = (list, tuple, Set)


def as_config(config: object) -> dict[str, Any]:
    """A config's keys and JSON values, of a mapping, argparse's Namespace, a dataclass or a model.

    What JSON does not have becomes text. Raises InvalidType if it is no config, InvalidInput if
    it is nested more than 100 deep, as one that holds itself is.
    """
    fields = _fields(config)
    if fields is None:
        raise InvalidType(
            "config takes a dict, another mapping, an argparse Namespace, a dataclass or a "
            f"pydantic model, got {type(config).__name__} {config!r:.80}"
        )
    return {str(key): as_config_value(str(key), value) for key, value in fields.items()}


def as_config_value(key: str, value: object) -> Any:
    """One value as JSON has it."""
    return _json(key, value, 1)


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """The fields of what has names for its parts; None for anything else."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, type):
        return None
    if any(kind.__name__ in _NAMESPACES for kind in type(value).__mro__):
        return dict(vars(value))
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if callable(getattr(value, "model_dump", None)):  # pydantic
        return {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    if callable(getattr(value, "items", None)) and callable(getattr(value, "keys", None)):
        return dict(value.items())  # As OmegaConf and ml_collections have them.
    return None


def _json(key: str, value: Any, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise InvalidInput(f"config key {key!r:.80} is nested more than {DEPTH_MAX} deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value) if int(value) in _INTS else str(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    fields = _fields(value)
    if fields is not None:
        return {str(name): _json(key, inner, depth + 1) for name, inner in fields.items()}
    if isinstance(value, _SEQUENCES):
        items = sorted(value, key=repr) if isinstance(value, Set) else value
        return [_json(key, inner, depth + 1) for inner in items]
    return _other(key, value, depth)


def _other(key: str, value: Any, depth: int) -> Any:
    """A value of a library, or a text that says what it is."""
    if isinstance(value, PathLike):
        return str(fspath(value))
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, type) or callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if callable(getattr(value, "tolist", None)):  # Arrays and tensors.
        listed = value.tolist()
        if isinstance(listed, list):
            return _json(key, listed, depth)
    found = in_python(value)
    if found is None or isinstance(found, bool | int | float | str):
        return _json(key, found, depth)
    text = str(value)
    warn_caller(
        f"config key {key!r:.80} has a {type(value).__name__}, which JSON does not have; it is "
        f"kept as its text {text!r:.80}"
    )
    return text

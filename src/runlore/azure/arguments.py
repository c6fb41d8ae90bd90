"""Conversion of Azure's loosely typed arguments: tags, steps, children.

The conversions are those of azureml-core (measured on 1.61) without its faults: nothing is dropped
silently.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Final, Literal, SupportsIndex

from runlore.azure.scalars import in_python
from runlore.domain.errors import InvalidInput, InvalidType, UserError
from runlore.engine.caller_warning import warn_caller

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


def as_step(name: str, step: SupportsIndex | None) -> int | None:
    """A whole number of 64 bits, or None for the next step; those of any library are accepted."""
    if step is None or type(step) is int and -(2**63) <= step < 2**63:
        return step
    number = in_python(step)
    if type(number) is not int:
        raise InvalidType(
            f"step of metric {name!r} must be a whole number, got "
            f"{type(step).__name__} {step!r:.80}"
        )
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

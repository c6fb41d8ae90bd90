"""`key` and `key=value`, as tags, properties and filters by them are written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click


def pairs(given: Iterable[str], option: str) -> dict[str, str | None]:
    """`k=v` pairs as a dict; a bare `k` has the value None."""
    found: dict[str, str | None] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key:
            raise click.UsageError(f"{option} takes KEY or KEY=VALUE, got {text!r}")
        if key in found and found[key] != (value if equals else None):
            raise click.UsageError(f"{option} names {key!r} twice, with different values")
        found[key] = value if equals else None
    return found


def filter_of(given: Iterable[str], option: str) -> dict[str, Any] | None:
    """`k=v` as a filter by the pair, a bare `k` by the key, whatever its value (`...`)."""
    found = {key: ... if value is None else value for key, value in pairs(given, option).items()}
    return found or None

"""Tags and properties as they are given on the command line: `key` or `key=value`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click


def pairs(given: Iterable[str], option: str) -> dict[str, str | None]:
    """`key=value` pairs as a dict; a bare `key` has the value None."""
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
    """A filter by `key=value` pairs; a bare `key` matches any value (`...`)."""
    found = {key: ... if value is None else value for key, value in pairs(given, option).items()}
    return found or None

"""Filters as SQL conditions, of now or as of a position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runlore.projections.filters import Filter, checked_pairs


class Sql(NamedTuple):
    """A part of a query and its bound parameters, in order."""

    text: str
    params: tuple[Any, ...] = ()


@dataclass
class Conditions:
    """Conditions joined by AND, and their parameters in order; `as_of` None is now."""

    as_of: int | None
    texts: list[str] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)

    def add(self, text: str, *params: Any) -> None:
        """Adds a condition."""
        self.texts.append(text)
        self.params.extend(params)

    def add_any_of(self, expression: str, values: Sequence[str]) -> None:
        """Adds that an expression is one of the values; no values, no condition."""
        if values:
            self.add(f"{expression} IN ({', '.join('?' * len(values))})", *values)

    def current(self, alias: str) -> str:
        """The condition that a temporal row holds."""
        if self.as_of is None:
            return f"{alias}.to_position IS NULL"
        return (
            f"{alias}.from_position <= {self.as_of:d} "
            f"AND ({alias}.to_position IS NULL OR {alias}.to_position > {self.as_of:d})"
        )

    def known(self, alias: str) -> str:
        """The condition that a row which never changes is there."""
        return "true" if self.as_of is None else f"{alias}.position <= {self.as_of:d}"

    def add_known(self, alias: str) -> None:
        """Adds that a row which never changes is there."""
        if self.as_of is not None:
            self.add(self.known(alias))

    def has(self, table: str, owner: str, what: str, wanted: Filter, within: str = "") -> None:
        """Adds that the owner (`r.run_no`) has the keys or pairs in a key-value table.

        `within` is a further condition that the table's rows of all matching owners meet.
        """
        column = owner.partition(".")[2]
        for key, value in checked_pairs(what, wanted).items():
            # IN, not EXISTS: each is asked once, for all owners, before any other table.
            held = (
                f"{owner} IN (SELECT k.{column} FROM {table} k WHERE {within} k.key = ? "
                f"AND {self.current('k')}"
            )
            if value is ...:
                self.add(held + ")", key)
            elif value is None:
                self.add(held + " AND k.value IS NULL)", key)
            else:
                self.add(held + " AND k.value = ?)", key, value)

    def where(self) -> str:
        """The WHERE clause, empty if there are no conditions."""
        return f"WHERE {' AND '.join(self.texts)}" if self.texts else ""

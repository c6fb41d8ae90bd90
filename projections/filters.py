"""The filters of run lists as SQL conditions.

One meaning everywhere: a text keeps what has the key, whatever its value; a list of texts what
has all the keys; a dict what has all its pairs, where None stands for a key without a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any

from runlore.domain.errors import InvalidInput

Filter = str | Sequence[str] | Mapping[str, str | None] | None


@dataclass
class Conditions:
    """Conditions joined by AND, and their parameters in order."""

    as_of: int | None
    texts: list[str] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)

    def add(self, text: str, *params: Any) -> None:
        """One more condition."""
        self.texts.append(text)
        self.params.extend(params)

    def current(self, alias: str) -> str:
        """That a temporal row holds: now, or at the position that was asked for."""
        if self.as_of is None:
            return f"{alias}.to_position IS NULL"
        return (
            f"{alias}.from_position <= {self.as_of:d} "
            f"AND ({alias}.to_position IS NULL OR {alias}.to_position > {self.as_of:d})"
        )

    def known(self, alias: str) -> str:
        """That a row which never changes is there: now, or at the position that was asked for."""
        return "true" if self.as_of is None else f"{alias}.position <= {self.as_of:d}"

    def has(self, table: str, owner: str, what: str, wanted: Filter, within: str = "") -> None:
        """That the owner (`r.run_no`) has the keys or pairs in a key-value table.

        `within` are more conditions, which hold for the table's rows of all owners that fit.
        """
        column = owner.partition(".")[2]
        for key, value in _pairs(what, wanted):
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


def check_text_filter(what: str, wanted: object) -> str | None:
    """A filter that is a text or None; else InvalidInput, which is a ValueError."""
    if wanted is None:
        return None
    if isinstance(wanted, str):
        return _utf8(what, wanted)
    raise InvalidInput(f"Unknown filter type {type(wanted).__name__} for {what}: it takes a str")


def check_position(as_of: object) -> int | None:
    """A position of the log, or None; else InvalidInput."""
    if as_of is None:
        return None
    try:
        position = index(as_of)  # type: ignore[arg-type]  # What is checked here.
    except TypeError:
        position = -1
    if not 0 <= position < 2**63:
        raise InvalidInput(f"as_of is {as_of!r:.80}; it takes a position of the log, 0 or more")
    return position


def _pairs(what: str, wanted: Filter) -> list[tuple[str, Any]]:
    """The keys with their values; `...` stands for any value."""
    pairs: list[tuple[Any, Any]]
    if wanted is None:
        return []
    if isinstance(wanted, str):
        pairs = [(wanted, ...)]
    elif isinstance(wanted, Mapping):
        pairs = list(wanted.items())
    elif isinstance(wanted, list | tuple | set | frozenset):
        pairs = [(key, ...) for key in wanted]
    else:
        pairs = [(None, None)]
    for key, value in pairs:
        if not isinstance(key, str) or not (value is ... or isinstance(value, str | None)):
            raise InvalidInput(
                f"Unknown filter type {type(wanted).__name__} for {what}: it takes a key (str), a "
                f"list of keys, or a dict of str to str or None, got {wanted!r:.80}"
            )
    return [
        (_utf8(what, key), _utf8(what, value) if isinstance(value, str) else value)
        for key, value in pairs
    ]


def _utf8(what: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{text!r:.80} in {what} is no text that can be stored") from error
    return str.__str__(text)  # A plain one, also of an enumeration.

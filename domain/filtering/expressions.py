"""Expressions of the filter language. `str(expression)` is its canonical text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runlore.domain.filtering.fields import Field

WORD: Final = re.compile(r"[^\W\d][\w-]*")
KEYWORDS: Final = frozenset({"and", "or", "not", "in", "has"})
NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
SPECIAL_NUMBERS: Final = frozenset({"nan", "inf", "+inf", "-inf"})
LITERALS: Final = frozenset({"true", "false", "null"})


@dataclass(frozen=True, slots=True)
class Value:
    """A value to compare with; `quoted` only if it would mean something else without quotes."""

    text: str
    quoted: bool = False

    @classmethod
    def bare(cls, text: str) -> Value:
        """What stands without quotes: a number, true, false, null or a word."""
        return cls(text.lower() if _is_number(text) or text.lower() in LITERALS else text)

    @classmethod
    def quoted_text(cls, text: str) -> Value:
        """What stands in quotes: text, also if it looks like a number."""
        return cls(text, quoted=_is_number(text) or text.lower() in LITERALS)

    @property
    def number(self) -> float | None:
        """The number that it is; None for texts."""
        return float(self.text) if not self.quoted and _is_number(self.text) else None

    @property
    def literal(self) -> str | None:
        """`true`, `false` or `null`, if it is one of them."""
        return self.text if not self.quoted and self.text in LITERALS else None

    def __str__(self) -> str:
        if self.literal or self.number is not None:
            return self.text
        if not self.quoted and WORD.fullmatch(self.text) and self.text.lower() not in KEYWORDS:
            return self.text
        escaped = self.text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Comparison:
    """`operator` is one of `= != < <= > >= ~ !~`."""

    field: Field
    operator: str
    value: Value

    def __str__(self) -> str:
        return f"{self.field} {self.operator} {self.value}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """That a field has one of some values."""

    field: Field
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{self.field} in ({', '.join(map(str, self.values))})"


@dataclass(frozen=True, slots=True)
class Has:
    """That a run has the field at all."""

    field: Field

    def __str__(self) -> str:
        return f"has({self.field})"


@dataclass(frozen=True, slots=True)
class Not:
    """That the expression is not true: it is false, or the run lacks the field."""

    expression: Expression

    def __str__(self) -> str:
        return f"not {_within(self.expression, And, Or)}"


@dataclass(frozen=True, slots=True)
class And:
    """That all are true; there are at least two."""

    expressions: tuple[Expression, ...]

    def __str__(self) -> str:
        return " and ".join(_within(expression, And, Or) for expression in self.expressions)


@dataclass(frozen=True, slots=True)
class Or:
    """That one is true; there are at least two."""

    expressions: tuple[Expression, ...]

    def __str__(self) -> str:
        return " or ".join(_within(expression, Or) for expression in self.expressions)


Expression = Comparison | OneOf | Has | Not | And | Or


def fields_of(expression: Expression) -> Iterator[Field]:
    """The fields that an expression names, in order."""
    match expression:
        case And(expressions) | Or(expressions):
            for inner in expressions:
                yield from fields_of(inner)
        case Not(inner):
            yield from fields_of(inner)
        case _:
            yield expression.field


def _within(expression: Expression, *grouped: type[Expression]) -> str:
    return f"({expression})" if isinstance(expression, grouped) else str(expression)


def _is_number(text: str) -> bool:
    return text.lower() in SPECIAL_NUMBERS or NUMBER.fullmatch(text) is not None

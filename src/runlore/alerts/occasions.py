"""Occasions to watch for, as `--on` names them: `failed`, `nan`, a metric, or a condition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final, NamedTuple

from runlore.domain.errors import InvalidInput
from runlore.domain.events import (
    EVENT_TYPES,
    RunAlerted,
    RunCanceled,
    RunCompleted,
    RunFailed,
    RunLost,
    ValuesLogged,
)
from runlore.domain.filtering.expressions import And, Comparison, Expression, Or, fields_of
from runlore.domain.filtering.fields import ATTRIBUTES, PLAIN_NAME, SHORT, Field, Namespace
from runlore.domain.filtering.parser import parse_field, parse_filter
from runlore.domain.text import KEY_MAX_CHARS

NAN: Final = "nan"
RAISED: Final = "alert"
ENDS: Final = {
    RunFailed.topic: "failed",
    RunLost.topic: "lost",
    RunCanceled.topic: "canceled",
    RunCompleted.topic: "completed",
}
"""The kinds of occasions that are events of their own, by topic."""

KINDS: Final = (*ENDS.values(), RAISED, NAN)
"""The occasions with a name; others are metrics and conditions."""

_SEPARATE: Final = re.compile(r"""(?:[^,`'"(]|`[^`]*`|'[^']*'|"[^"]*"|\([^)]*\)|[`'"(])+""")
_MOST: Final = {">": "max", ">=": "max", "<": "min", "<=": "min"}
_ALL_OF_RUNS: Final = tuple(t.topic for t in EVENT_TYPES if t.topic.startswith("run."))


class Condition(NamedTuple):
    """A filter that a run may begin to meet: its canonical text, and what is asked of the run.

    `where` differs in one point: a bare metric is greater, or less, if any of its values is.
    """

    text: str
    where: str
    fields: tuple[Field, ...]

    @property
    def found_by(self) -> str:
        """The watch for it, as the reason of the alerts that it records."""
        return found_by(self.text)


class Occasions(NamedTuple):
    """What to watch for: named kinds, metrics of which each new value counts, and conditions."""

    kinds: frozenset[str]
    metrics: frozenset[str]
    conditions: tuple[Condition, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Occasions:
        """The occasions of some texts; each may name several, with commas between.

        Raises InvalidInput, FilterError for a condition.
        """
        kinds, metrics, conditions = set(), set(), {}
        for item in (item for text in texts for item in _items(text)):
            if item.lower() in KINDS:
                kinds.add(item.lower())
            elif (metric := _metric(item)) is not None:
                metrics.add(metric)
            else:
                condition = _condition(item)
                conditions[condition.text] = condition
        if not (kinds or metrics or conditions):
            raise InvalidInput(f"there is nothing to watch for: name some of {', '.join(KINDS)}")
        return cls(frozenset(kinds), frozenset(metrics), tuple(conditions.values()))

    def __str__(self) -> str:
        kinds = [kind for kind in KINDS if kind in self.kinds]
        metrics = sorted(str(Field(Namespace.METRICS, name, "last")) for name in self.metrics)
        return ", ".join((*kinds, *metrics, *(condition.text for condition in self.conditions)))

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of the events to look at."""
        if self.conditions:
            return _ALL_OF_RUNS
        topics = [topic for topic, kind in ENDS.items() if kind in self.kinds]
        if self.reads_values:
            topics.append(ValuesLogged.topic)
        if not self.kinds.isdisjoint((RAISED, NAN)):
            topics.append(RunAlerted.topic)
        return tuple(topics)

    @property
    def reads_values(self) -> bool:
        """Whether logged values matter."""
        return bool(self.metrics) or NAN in self.kinds

    def kind_of(self, found_by_: str | None) -> str | None:
        """The kind of an alert that this watch found; None for one that it did not."""
        if NAN in self.kinds and found_by_ == found_by(NAN):
            return NAN
        if any(condition.found_by == found_by_ for condition in self.conditions):
            return "condition"
        return None


def found_by(occasion: str) -> str:
    """The reason of an alert that a watch recorded."""
    return f"runlore alert --on {occasion}"


def _items(text: str) -> Iterator[str]:
    """The parts between commas that stand neither in quotes nor in brackets."""
    yield from (item for found in _SEPARATE.findall(text) if (item := found.strip()))


def _metric(item: str) -> str | None:
    """The name of a metric of which each new value counts; None for a condition."""
    if item.startswith(("metrics.", "m.")):
        try:
            field = parse_field(item)
        except InvalidInput:
            return None  # The error of the condition says more.
        if field.aggregate != "last":
            raise InvalidInput(f"{field} changes with each value: compare it, as in {field} > 0.9")
        return field.name
    if not PLAIN_NAME.fullmatch(item) or item in ATTRIBUTES:
        return None
    if item.partition(".")[0] in (*Namespace, *SHORT):
        return None
    near = get_close_matches(item.lower(), KINDS, 1, 0.75)
    if near:
        raise InvalidInput(
            f"{item!r} is not an occasion; did you mean {near[0]}? The metric of this name is "
            f"metrics.{item}"
        )
    return item


def _condition(item: str) -> Condition:
    expression = parse_filter(item)
    text = str(expression)
    if len(text) > KEY_MAX_CHARS - 100:
        raise InvalidInput(f"a condition has at most {KEY_MAX_CHARS - 100} characters")
    asked = _of_any_value(expression)
    return Condition(text, str(asked), tuple(dict.fromkeys(fields_of(asked))))


def _of_any_value(expression: Expression) -> Expression:
    """The expression, true for a metric also if a value before the last one makes it true.

    Batches have many values, and one that leaps out must not be missed. What stands after `not`
    stays as it is.
    """
    match expression:
        case And(expressions):
            return And(tuple(map(_of_any_value, expressions)))
        case Or(expressions):
            return Or(tuple(map(_of_any_value, expressions)))
        case Comparison(Field(Namespace.METRICS, name, "last"), operator, value) if (
            operator in _MOST
        ):
            most = Field(Namespace.METRICS, name, _MOST[operator])
            return Or((expression, Comparison(most, operator, value)))
        case _:
            return expression

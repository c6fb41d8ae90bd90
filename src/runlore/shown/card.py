"""A run as a card for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runlore.shown.elements import Html, code, escaped
from runlore.shown.numbers import duration_text, moment_text, short_number
from runlore.shown.page_style import framed
from runlore.shown.sparks import spark_picture
from runlore.shown.tables import status_element

CONFIG_MAX: Final = 16
METRICS_MAX: Final = 12
_TEXT_MAX_CHARS: Final = 80
_PROBLEM_MAX_CHARS: Final = 500


@dataclass(frozen=True)
class ShownMetric:
    """A metric in short: its last value and step, the number of its values, and a small curve.

    `curve` are values as numbers, thinned out; `rate` is in steps per second.
    """

    name: str
    last: object
    n: int
    curve: Sequence[float] = ()
    last_step: int | None = None
    rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """The facts that the card of a run shows. Times are in µs since 1970 UTC."""

    run_id: str
    name: str
    experiment: str
    status: str
    detail: str | None = None
    problem: str | None = None
    created_at: int
    started_at: int | None = None
    seconds: float | None = None
    who: str | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str | None] = field(default_factory=dict)
    metrics: Sequence[ShownMetric] = ()
    more_metrics: int = 0
    look: str = ""
    """How to see more: a command or an address."""


def card_html(card: Card) -> str:
    """The card as the output of a notebook's cell."""
    parts = (_config(card), _metrics(card))
    content = (
        f'<div class="rl-card">{_head(card)}{_facts(card)}{_problem(card)}'
        f'<div class="rl-parts">{"".join(parts)}</div>{_tags(card)}'
        f'<div class="rl-muted">{code(card.look)}</div></div>'
    )
    return framed(Html(content))


def _head(card: Card) -> str:
    name = f"<strong>{escaped(card.name, _TEXT_MAX_CHARS)}</strong> " if card.name else ""
    run_id = f'<code class="rl-muted">{escaped(card.run_id)}</code>'
    return f'<div class="rl-head">{name}{status_element(card.status)} {run_id}</div>'


def _facts(card: Card) -> str:
    facts = (
        card.experiment,
        card.detail,
        duration_text(card.seconds),
        moment_text(card.started_at or card.created_at),
        card.who,
    )
    text = " · ".join(escaped(fact, _TEXT_MAX_CHARS) for fact in facts if fact)
    return f'<div class="rl-muted">{text}</div>'


def _problem(card: Card) -> str:
    if not card.problem:
        return ""
    return f'<div class="rl-problem">{escaped(card.problem, _PROBLEM_MAX_CHARS)}</div>'


def _config(card: Card) -> str:
    names = list(card.config)[:CONFIG_MAX]
    rows = [f"<td>{escaped(card.config[name], _TEXT_MAX_CHARS)}</td>" for name in names]
    return _table("config", ("config", "value"), names, rows, len(card.config) - len(names))


def _metrics(card: Card) -> str:
    rows = [
        f"{_last(metric.last)}<td>{spark_picture(metric.curve)}</td>"
        f'<td class="rl-number">{metric.n:,}</td>'
        for metric in card.metrics
    ]
    names = [metric.name for metric in card.metrics]
    return _table("metrics", ("metric", "last", "curve", "values"), names, rows, card.more_metrics)


def _table(
    kind: str, heads: Sequence[str], names: Sequence[str], rows: Sequence[str], more: int
) -> str:
    if not names:
        return ""
    head = "".join(f'<th scope="col"{_aligned(name)}>{name}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{escaped(name, _TEXT_MAX_CHARS)}</th>{row}</tr>'
        for name, row in zip(names, rows, strict=True)
    )
    foot = f'<div class="rl-muted">and {more:,} more</div>' if more else ""
    return (
        f'<div><table class="rl-table rl-{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{foot}</div>"
    )


def _aligned(head: str) -> str:
    return ' class="rl-number"' if head in ("last", "values") else ""


def _last(value: Any) -> str:
    shown = escaped(short_number(value), _TEXT_MAX_CHARS)
    exact = escaped(value, _TEXT_MAX_CHARS)
    return f'<td class="rl-number" title="{exact}">{shown}</td>'


def _tags(card: Card) -> str:
    if not card.tags:
        return ""
    shown = [
        escaped(key if value is None else f"{key}={value}", _TEXT_MAX_CHARS)
        for key, value in list(card.tags.items())[:CONFIG_MAX]
    ]
    more = len(card.tags) - len(shown)
    rest = f", and {more:,} more" if more else ""
    return f'<div class="rl-muted">tags: {", ".join(shown)}{rest}</div>'

"""The filter language as text: its canonical form, and errors that say where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.domain.errors import FilterError, InvalidInput
from runlore.domain.filtering.expressions import (
    And,
    Comparison,
    Expression,
    Has,
    Not,
    OneOf,
    Or,
    Value,
)
from runlore.domain.filtering.fields import AGGREGATES, ATTRIBUTES, Field, Kind, Namespace
from runlore.domain.filtering.parser import DEPTH_MAX, parse_field, parse_filter
from runlore.domain.status import Status

CANONICAL = {
    "status=failed": "status = Failed",
    "a.status == FAILED": "status = Failed",
    "status <> failed": "status != Failed",
    "status not in (failed, running)": "not status in (Failed, Running)",
    "m.loss.min<0.3": "metrics.loss.min < 0.3",
    "metrics.loss.last > -1e-3": "metrics.loss > -1e-3",
    "m.val/acc-top1.max >= .9": "metrics.val/acc-top1.max >= .9",
    "m.`loss.min` = NaN": "metrics.`loss.min` = nan",
    "m.`val loss`.min < inf": "metrics.`val loss`.min < inf",
    "m.min = 1": "metrics.`min` = 1",
    "m.note = 'it diverged'": 'metrics.note = "it diverged"',
    "c.optimizer.lr in (0.1, 1E-3)": "config.optimizer.lr in (0.1, 1e-3)",
    "c.`a``b` = null": "config.`a``b` = null",
    'c.x = "null"': 'config.x = "null"',
    't.version = "0.10"': 'tags.version = "0.10"',
    't.model ~ "resnet"': "tags.model ~ resnet",
    "p.model !~ 'a \"b\" \\\\ c'": 'properties.model !~ "a \\"b\\" \\\\ c"',
    "t.größe = 'é'": "tags.größe = é",
    "not not has(t.x)": "not not has(tags.x)",
    "NOT (has(t.x) AND has(t.y)) OR has(t.z)": "not (has(tags.x) and has(tags.y)) or has(tags.z)",
    "has(t.x) and (has(t.y) and has(t.z))": "has(tags.x) and has(tags.y) and has(tags.z)",
    "has(t.x) and (has(t.y) or has(t.z))": "has(tags.x) and (has(tags.y) or has(tags.z))",
    "created > yesterday and duration>=1h30m": 'created > yesterday and duration >= "1h30m"',
    "started < 2026-03-03T12:00Z": 'started < "2026-03-03T12:00Z"',
    "lost = TRUE": "lost = true",
    'name = "and"': 'name = "and"',
}


@pytest.mark.parametrize("text", CANONICAL)
def test_a_text_has_one_canonical_form(text: str) -> None:
    expression = parse_filter(text)
    assert str(expression) == CANONICAL[text]
    assert parse_filter(str(expression)) == expression


ERRORS = {
    "": (0, "a condition is missing"),
    "  ": (2, "a condition is missing"),
    "lr < 0.1": (0, "config.lr, tags.lr, properties.lr, metrics.lr"),
    "statu = Failed": (0, "status"),
    "params.lr = 3": (0, "config.lr"),
    "foo.lr = 3": (0, "config.lr"),
    "status = Faild": (9, "did you mean Failed?"),
    "status ~ fail": (9, "is not text"),
    "status": (6, "is not compared"),
    "status =": (8, "no value"),
    "status = and": (9, "no value"),
    "(status = Failed": (16, ") is missing"),
    "status = Failed)": (15, "ends here"),
    "status = Failed lost = true": (16, "ends here"),
    "status in Failed": (10, "( is missing"),
    "status in ()": (11, "no value"),
    "status not = Failed": (11, "comes after `not`"),
    'created > "some day"': (10, "yesterday"),
    "created > 2 hours ago": (10, "2 hours ago"),
    "duration > long": (11, "1h30m"),
    "number > many": (9, "number"),
    "lost = 1": (7, "true or false"),
    "lost > true": (7, "= or !="),
    "m.loss < low": (9, "number"),
    "m.loss < nan": (9, "= or !="),
    "m.loss.min ~ x": (13, "is a number"),
    "t.a@b = 1": (0, "tags.`a@b`"),
    "t. = 1": (0, "tags."),
    "t.`` = 1": (0, "no name"),
    "t.x = 'open": (6, "no partner"),
    "t.`x = 1": (2, "no partner"),
    "t.x ! 1": (4, "does not stand alone"),
    '"x" = 1': (0, "a condition is missing"),
    "has t.x": (4, "( is missing"),
    "and": (0, "a condition is missing"),
    "t.x = 1 and": (11, "a condition is missing"),
    "t.x = \ud800": (6, "UTF-8"),
}


@pytest.mark.parametrize("text", ERRORS)
def test_an_error_says_where_it_is_and_what_to_do(text: str) -> None:
    offset, said = ERRORS[text]
    with pytest.raises(FilterError) as error:
        parse_filter(text)
    assert error.value.offset == offset
    assert said in str(error.value)


def test_a_text_is_bounded_in_length_and_depth() -> None:
    for deep in ("not " * DEPTH_MAX, "(" * DEPTH_MAX):
        with pytest.raises(FilterError, match="nested"):
            parse_filter(deep + "lost = true")
    with pytest.raises(InvalidInput, match="characters"):
        parse_filter("lost = true or " * 10_000)
    with pytest.raises(InvalidInput, match="is a text"):
        parse_filter(3)  # type: ignore[arg-type]


texts = st.text(st.characters(codec="utf-8"), max_size=8)
names = texts.filter(bool)
named = st.builds(
    Field, st.sampled_from([Namespace.CONFIG, Namespace.TAGS, Namespace.PROPERTIES]), names
)
metrics = st.builds(Field, st.just(Namespace.METRICS), names, st.sampled_from(AGGREGATES))
attributes = st.sampled_from(
    [Field(Namespace.ATTRIBUTE, name) for name, kind in ATTRIBUTES.items() if kind is Kind.TEXT]
)
numbers = (st.floats() | st.integers()).map(lambda number: Value.bare(str(number)))
values = texts.map(Value.quoted_text) | numbers | st.sampled_from(["true", "null"]).map(Value)
any_operator = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~", "!~"])
equality = st.sampled_from(["=", "!="])
parts: st.SearchStrategy[Expression] = (
    st.builds(Comparison, named | attributes, any_operator, values)
    | st.builds(Comparison, metrics, equality, numbers)
    | st.builds(
        Comparison,
        st.just(Field(Namespace.ATTRIBUTE, "status")),
        equality,
        st.sampled_from(Status).map(lambda status: Value(str(status))),
    )
    | st.builds(OneOf, named, st.lists(values, min_size=1, max_size=3).map(tuple))
    | st.builds(Has, named | metrics.map(lambda field: Field(field.namespace, field.name, "last")))
)


def _group(kind: type[And] | type[Or]) -> st.SearchStrategy[Expression]:
    inner = expressions.filter(lambda part: not isinstance(part, kind))
    return st.lists(inner, min_size=2, max_size=3).map(lambda found: kind(tuple(found)))


expressions: st.SearchStrategy[Expression] = st.deferred(
    lambda: parts | st.builds(Not, expressions) | _group(And) | _group(Or)
)


@given(expressions)
def test_the_canonical_text_says_the_same(expression: Expression) -> None:
    assert parse_filter(str(expression)) == expression


@given(named | metrics | attributes)
def test_a_field_is_found_by_its_name(field: Field) -> None:
    assert parse_field(str(field)) == field


@given(st.text(max_size=30) | st.text("ab.`\"'=<>!~(), \\", max_size=20))
def test_no_text_raises_another_error(text: str) -> None:
    try:
        parsed = parse_filter(text)
    except InvalidInput:
        return
    assert parse_filter(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "says", "expected"),
    [
        ("status =", "status has no value to compare with", ("a number", "a word", 'a "text"')),
        ("m.loss < and", "metrics.loss has no value", ("a number", "a word", 'a "text"')),
        ("`a`.b = 1", "'`a`.b' is not an attribute of runs", ("config.`a`.b",)),
        ("config = 1", "'config' is not an attribute of runs", ("config.config",)),
        ("x.y = 1", "fields do not begin with 'x'", ("attribute.y", "config.y")),
    ],
)
def test_an_error_says_what_is_wrong_first_and_then_what_could_stand_there(
    text: str, says: str, expected: tuple[str, ...]
) -> None:
    with pytest.raises(FilterError) as error:
        parse_filter(text)
    assert str(error.value).startswith(says)
    assert error.value.expected[: len(expected)] == expected

"""From text to expressions of the filter language; errors name the character and what fits there.

expression = all { "or" all }
all        = part { "and" part }
part       = "not" part | "(" expression ")" | "has" "(" field ")"
           | field operator value | field [ "not" ] "in" "(" value { "," value } ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final, NamedTuple, NoReturn, TypeVar

from runlore.domain.errors import FilterError, InvalidInput
from runlore.domain.filtering.expressions import (
    KEYWORDS,
    And,
    Comparison,
    Expression,
    Has,
    Not,
    OneOf,
    Or,
    Value,
)
from runlore.domain.filtering.fields import (
    AGGREGATES,
    ATTRIBUTES,
    PLAIN_NAME,
    SHORT,
    Field,
    Namespace,
)
from runlore.domain.filtering.values import check_value

TEXT_MAX_CHARS: Final = 20_000
DEPTH_MAX: Final = 50

Part = TypeVar("Part")

_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<sign>[(),])
    | (?P<operator>!=|!~|<=|>=|<>|==|=|<|>|~)
    | (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<word>(?:[^\s(),"'=<>!~`]|`(?:[^`]|``)*`)+)
    | (?P<end>$)
    )""",
    re.VERBOSE | re.DOTALL,
)
_PIECE: Final = re.compile(r"`((?:[^`]|``)*)`|([^`]+)")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=", "~", "!~")
_SAME: Final = {"==": "=", "<>": "!="}
_PARTS: Final = ("a field such as status, config.lr or metrics.loss.min", "has(", "not", "(")
_OTHER_NAMES: Final = {
    "params": "config",
    "param": "config",
    "parameters": "config",
    "tag": "tags",
    "property": "properties",
    "metric": "metrics",
    "summary": "metrics",
    "attributes": "a",
    "attribute": "a",
    "run": "a",
}


class _Token(NamedTuple):
    kind: str
    text: str
    offset: int


def parse_filter(text: str, now: datetime | None = None) -> Expression:
    """The expression that a filter's text says; times such as `2 hours ago` count from `now`.

    Raises FilterError, an InvalidInput, which has the character's offset.

    >>> print(parse_filter("NOT (m.loss.min<0.3 or has(t.debug)) and status=failed"))
    not (metrics.loss.min < 0.3 or has(tags.debug)) and status = Failed
    """
    return _Parser(text, now).whole(_Parser.expression)


def parse_field(text: str) -> Field:
    """The field that a text names, as for sorting or for a column. Raises FilterError.

    >>> parse_field("m.`val loss`.min").name
    'val loss'
    """
    return _Parser(text, None).whole(_Parser.field)


class _Parser:
    def __init__(self, text: str, now: datetime | None) -> None:
        self.text = _checked(text)
        self.now = now or datetime.now(UTC)
        self.depth = 0
        self.token = self._read(0)

    def whole(self, part: Callable[[_Parser], Part]) -> Part:
        found = part(self)
        if self.token.kind != "end":
            self.fail("the expression ends here", "and", "or", "the end")
        return found

    # --- the grammar ----------------------------------------------------------------------

    def expression(self) -> Expression:
        parts = [self.all()]
        while self._take_word("or"):
            parts.append(self.all())
        return parts[0] if len(parts) == 1 else Or(_flat(Or, parts))

    def all(self) -> Expression:
        parts = [self.part()]
        while self._take_word("and"):
            parts.append(self.part())
        return parts[0] if len(parts) == 1 else And(_flat(And, parts))

    def part(self) -> Expression:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            self.fail(f"the expression is nested more than {DEPTH_MAX} deep")
        try:
            if self._take_word("not"):
                return Not(self.part())
            if self._take("("):
                inner = self.expression()
                self._demand(")")
                return inner
            if self._is_word("has"):
                return self.has()
            return self.condition()
        finally:
            self.depth -= 1

    def has(self) -> Expression:
        self._next()
        self._demand("(")
        field = self.field()
        self._demand(")")
        return Has(field)

    def condition(self) -> Expression:
        field = self.field()
        if self._is_word("not"):
            self._next()
            if not self._is_word("in"):
                self.fail("a list of values comes after `not`", "in")
            return Not(self.one_of(field))
        if self._is_word("in"):
            return self.one_of(field)
        if self.token.kind != "operator":
            self.fail(f"{field} is not compared", *_OPERATORS, "in", "not in")
        operator = self._next().text
        operator = _SAME.get(operator, operator)
        return Comparison(field, operator, self.value(field, operator))

    def one_of(self, field: Field) -> OneOf:
        self._next()
        self._demand("(")
        values = [self.value(field, "=")]
        while self._take(","):
            values.append(self.value(field, "="))
        self._demand(")")
        return OneOf(field, tuple(values))

    def value(self, field: Field, operator: str) -> Value:
        at = self.token
        if at.kind == "quoted":
            value = Value.quoted_text(_ESCAPED.sub(r"\1", at.text[1:-1]))
        elif at.kind == "word" and at.text.lower() not in KEYWORDS:
            value = Value.bare(at.text)
        else:
            self.fail(f"{field} has no value to compare with", "a number", "a word", 'a "text"')
        try:
            value = check_value(field, operator, value, self.now)
        except InvalidInput as problem:
            raise FilterError(problem.message, self.text, at.offset) from None
        self._next()
        return value

    def field(self) -> Field:
        if self.token.kind != "word" or self.token.text.lower() in KEYWORDS:
            self.fail("a condition is missing", *_PARTS)
        pieces = _PIECE.findall(self.token.text)
        space, dot, rest = pieces[0][1].partition(".")
        if not dot or not (rest or len(pieces) > 1):
            field = self._attribute(self.token.text)
        else:
            field = self._named(space, [("", rest), *pieces[1:]])
        self._next()
        return field

    # --- fields ---------------------------------------------------------------------------

    def _attribute(self, name: str) -> Field:
        if name not in ATTRIBUTES:
            near = get_close_matches(name, ATTRIBUTES, 2)
            spaces = [f"{space}.{name}" for space in Namespace if space is not Namespace.ATTRIBUTE]
            self.fail(f"{name!r:.80} is not an attribute of runs", *near, *spaces)
        return Field(Namespace.ATTRIBUTE, name)

    def _named(self, space: str, pieces: list[tuple[str, str]]) -> Field:
        namespace = SHORT.get(space) or (space if space in SHORT.values() else None)
        if namespace is None:
            other = _OTHER_NAMES.get(space.lower())
            rest = self.token.text[len(space) :]
            expected = [other + rest] if other else [f"{known}{rest}" for known in Namespace]
            self.fail(f"fields do not begin with {space!r:.80}", *expected)
        namespace = Namespace(namespace)
        if namespace is Namespace.ATTRIBUTE:
            return self._attribute("".join(quoted or plain for quoted, plain in pieces))
        aggregate = ""
        if namespace is Namespace.METRICS:
            aggregate = "last"
            last = pieces[-1][1]
            stem, dot, end = last.rpartition(".")
            if dot and end in AGGREGATES and (stem or len(pieces) > 1):
                aggregate, pieces = end, [*pieces[:-1], ("", stem)]
        for _, plain in pieces:
            if plain.strip(".") and not PLAIN_NAME.fullmatch(plain.strip(".")):
                self.fail(
                    f"{plain!r:.80} has characters that only stand in backquotes",
                    f"{namespace}.`{plain}`",
                )
        name = "".join(quoted.replace("``", "`") or plain for quoted, plain in pieces)
        if not name:
            self.fail(f"{namespace}. has no name after it", f"{namespace}.NAME")
        return Field(namespace, name, aggregate)

    # --- tokens ---------------------------------------------------------------------------

    def fail(self, problem: str, *expected: str) -> NoReturn:
        raise FilterError(problem, self.text, self.token.offset, expected)

    def _read(self, start: int) -> _Token:
        found = _TOKEN.match(self.text, start)
        kind = (found.lastgroup if found else None) or "end"
        if found is None or (kind == "word" and self.text.startswith("`", found.end())):
            rest = self.text[found.end() if found else start :]
            sign = rest.lstrip()[0]
            raise FilterError(
                f"the {sign} has no partner" if sign in "\"'`" else f"{sign} does not stand alone",
                self.text,
                len(self.text) - len(rest.lstrip()),
            )
        return _Token(kind, found[kind], found.start(kind))

    def _next(self) -> _Token:
        token = self.token
        self.token = self._read(token.offset + len(token.text))
        return token

    def _is_word(self, word: str) -> bool:
        return self.token.kind == "word" and self.token.text.lower() == word

    def _take_word(self, word: str) -> bool:
        if taken := self._is_word(word):
            self._next()
        return taken

    def _take(self, sign: str) -> bool:
        if taken := self.token[:2] == ("sign", sign):
            self._next()
        return taken

    def _demand(self, sign: str) -> None:
        if not self._take(sign):
            self.fail(f"a {sign} is missing", sign)


def _flat(kind: type[And] | type[Or], parts: list[Expression]) -> tuple[Expression, ...]:
    """Without groups of the same kind, as their canonical text has none."""
    return tuple(
        inner
        for part in parts
        for inner in (part.expressions if isinstance(part, kind) else (part,))
    )


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise InvalidInput(f"a filter is a text, got {text!r:.80}")
    if len(text) > TEXT_MAX_CHARS:
        raise InvalidInput(
            f"a filter has at most {TEXT_MAX_CHARS:,} characters, this one has {len(text):,}"
        )
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise FilterError("it is not UTF-8", text[: problem.start], problem.start) from None
    return str.__str__(text)

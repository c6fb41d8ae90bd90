"""JMESPath expressions: read, with the place of a mistake, and applied."""

from __future__ import annotations

from typing import Any

import click
import jmespath
from jmespath.exceptions import (
    EmptyExpressionError,
    JMESPathError,
    LexerError,
    ParseError,
)
from jmespath.parser import ParsedResult


def compiled_query(expression: str) -> ParsedResult:
    """The query; UsageError with the place of the mistake if it is none."""
    try:
        return jmespath.compile(expression)
    except LexerError as error:
        raise _invalid(expression, error.lexer_position, error.message) from error
    except ParseError as error:
        raise _invalid(expression, error.lex_position, error.msg) from error
    except EmptyExpressionError as error:
        raise _invalid(expression, 0, "it is empty") from error
    except JMESPathError as error:
        raise _invalid(expression, 0, str(error)) from error


def selected(query: ParsedResult, data: Any) -> Any:
    """What the query selects; ClickException if a function of it cannot take the data."""
    try:
        return query.search(data)
    except JMESPathError as error:
        raise click.ClickException(f"the query {query.expression!r} failed: {error}") from error


def _invalid(expression: str, position: int | None, reason: str) -> click.UsageError:
    place = len(expression) if position is None else position
    reason = reason.strip().splitlines()[0] if reason.strip() else "it cannot be read"
    # A caret under one long line: line ends in the expression would move it away.
    shown = " ".join(expression.splitlines())
    return click.UsageError(f"invalid JMESPath: {reason}\n  {shown}\n  {' ' * place}^")

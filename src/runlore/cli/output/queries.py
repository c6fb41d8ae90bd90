"""Compiling and applying JMESPath expressions."""

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
    """The compiled query. Raises UsageError that points at the mistake."""
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
    """The data that the query selects. Raises ClickException if it does not fit the data."""
    try:
        return query.search(data)
    except (JMESPathError, ArithmeticError, TypeError, ValueError, RecursionError) as error:
        # The library lets through what Python says of a step of zero, or of huge numbers.
        raise click.ClickException(f"the query {query.expression!r} failed: {error}") from error


def _invalid(expression: str, position: int | None, reason: str) -> click.UsageError:
    column = len(expression) if position is None else position
    reason = reason.strip().splitlines()[0] if reason.strip() else "it cannot be read"
    # The caret stands under a single line: line ends in the expression would displace it.
    shown = " ".join(expression.splitlines())
    return click.UsageError(f"invalid JMESPath: {reason}\n  {shown}\n  {' ' * column}^")

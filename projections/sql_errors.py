"""What goes wrong with SQL of users, in our words."""

from __future__ import annotations

from runlore.domain.errors import UserError
from runlore.projections.views import view_names


class QueryRefused(UserError):
    """The statement is not a single SELECT of what is offered; nothing was run."""

    def __init__(self, query: str, found: str) -> None:
        super().__init__(
            f"sql() takes one SELECT that only reads, got {found}: {query.strip()[:200]!r}; "
            f"the views are {', '.join(view_names())}"
        )
        self.query = query


class QueryFailed(UserError):
    """The SELECT could not be run; the message is DuckDB's."""

    def __init__(self, query: str, reason: str) -> None:
        super().__init__(f"sql() could not run {query.strip()[:200]!r}: {reason}")
        self.query = query
        self.reason = reason


class PyArrowMissing(UserError, ImportError):
    """A result was asked for as pyarrow's table, and pyarrow is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "arrow() returns a table of pyarrow, which is not installed; install it with "
            "pip install 'runlore[arrow]', or take fetchall(), pandas() or polars()"
        )


class ValueNotShown(UserError, ValueError):
    """A value of a result does not exist in the form that was asked for."""

    def __init__(self, form: str, columns: list[str], reason: str) -> None:
        super().__init__(
            f"the result cannot be given as {form}: {reason}; cast the column to VARCHAR in the "
            f"query, or take another form (columns: {', '.join(columns)})"
        )
        self.columns = columns
        self.reason = reason

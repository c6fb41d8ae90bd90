"""SQL of users over the views of the workspace, in a process of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import uuid4

import anyio
from fastapi import APIRouter, Body, Path, Request

from runlore.domain.errors import RunloreError
from runlore.projections.query_limits import QueryLimits
from runlore.projections.sql_process.parent import IsolatedReader
from runlore.projections.sql_result import SqlResult
from runlore.studio.encoding import Answer
from runlore.studio.parameters import AsOf, ServedLanes
from runlore.studio.queries import Queries

router = APIRouter()

ROWS_MAX: Final = 10_000
_TIMEOUT_MAX_S: Final = 30.0
_MEMORY_NBYTES: Final = 500_000_000
_LOOK_S: Final = 0.25

Scalar = str | int | float | bool | None
QueryId = Annotated[str, Path(min_length=8, max_length=100)]


@router.post("/sql")
async def sql(
    request: Request,
    lanes: ServedLanes,
    query: Annotated[str, Body(max_length=100_000)],
    params: Annotated[list[Scalar] | dict[str, Scalar] | None, Body()] = None,
    limit: Annotated[int, Body(ge=1, le=ROWS_MAX)] = 1_000,
    timeout_s: Annotated[float, Body(gt=0, le=_TIMEOUT_MAX_S)] = _TIMEOUT_MAX_S,
    query_id: Annotated[str | None, Body(alias="id", min_length=8, max_length=100)] = None,
    as_of: AsOf = None,
) -> Answer:
    """The result of one SELECT over the views of docs/sql.md, a list for each column.

    Its first `limit` rows; `total` says how many there are. `kinds` are number, time or text. A
    page that goes away, or asks to DELETE the `id` that it gave, stops the query. An id is for one
    query: its stop may come before it.
    """
    queries: Queries = request.app.state.queries
    limits = QueryLimits(timeout_s, _MEMORY_NBYTES)
    with queries.asked(query_id or str(uuid4())) as stop:

        def question(reader: IsolatedReader) -> Answer:
            began = time.monotonic()
            result = reader.sql(query, params, limits, stop)
            took_ms = 1_000 * (time.monotonic() - began)
            return Answer({**_content(result, limit), "ms": round(took_ms)})

        return await _answered(request, stop, lanes.sql(as_of, question))


@router.delete("/sql/{query_id}")
async def stop(request: Request, query_id: QueryId) -> Answer:
    """Stop a query by the id that it was given; `stopped` says whether it still ran."""
    queries: Queries = request.app.state.queries
    return Answer({"stopped": queries.stop(query_id)})


async def _answered(request: Request, stop: threading.Event, answer: Awaitable[Answer]) -> Answer:
    """The answer, or its error; the query stops when nobody waits for it any more."""
    outcome: Answer | RunloreError
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch, request, stop)
        try:
            outcome = await answer
        except RunloreError as error:  # A group would raise it within another one.
            outcome = error
        tasks.cancel_scope.cancel()
    if isinstance(outcome, RunloreError):
        raise outcome
    return outcome


async def _watch(request: Request, stop: threading.Event) -> None:
    """Stop the query when nobody waits for its answer any more."""
    while not await request.is_disconnected():
        await anyio.sleep(_LOOK_S)
    stop.set()


def _content(result: SqlResult, limit: int) -> dict[str, Any]:
    columns = result.first_columns(limit)
    return {
        "columns": result.columns,
        "kinds": [_kind(values) for values in columns],
        "data": [[_shown(value) for value in values] for values in columns],
        "total": len(result),
        "truncated": len(result) > limit,
    }


def _kind(values: Sequence[object]) -> str:
    """What a column's values are, by the first one."""
    match next((value for value in values if value is not None), None):
        case bool():
            return "text"
        case int() | float() | Decimal():
            return "number"
        case date() | datetime():
            return "time"
    return "text"


def _shown(value: object) -> object:
    """A value as a page shows it; the rest is done as for all answers."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return value.hex()
    return value

"""The first answers of a page, inside of it: what it shows first costs no further request."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.types import Message, Scope

from runlore.domain.errors import RunloreError
from runlore.studio.access.guard import VIEWER
from runlore.studio.encoding import json_text
from runlore.studio.lanes import Lanes
from runlore.studio.parameters import POSITION_END

_AT_FIRST: Final = 100
"""The columns that a table of runs knows, and its rows: a page of `grid.js`."""

_OF_VIEWER: Final = ("type", "asgi", "http_version", "scheme", "server", "client", "root_path")
_WIDTH: Final = re.compile(r"~[0-9]{2,4}\Z")


async def first_answers(lanes: Lanes, request: Request) -> str:
    """The answers as JSON text, by their addresses, and the position of before.

    What cannot be answered is left out: the page asks for it, and says what is wrong. The text
    holds no character that ends a script.
    """
    try:
        position = await lanes.quick(lambda: lanes.at(None).position)
    except RunloreError:
        return "{}"
    answers = await _answers(request)
    pairs = ",".join(f"{json_text(address)}:{answer}" for address, answer in answers.items())
    return f'{{"position":{position},"answers":{{{pairs}}}}}'


async def _answers(request: Request) -> dict[str, str]:
    """The answers by the addresses at which the page would ask for them."""
    path, query = request.path_params, request.query_params
    as_of = _position(query.get("asof"))
    answers: dict[str, str] = {}

    async def ask(where: str, params: Mapping[str, object] | None = None) -> str | None:
        address = _address(where, {**(params or {}), "asof": as_of})
        answer = await _answer(request, address)
        if answer is not None:
            answers[address] = answer
        return answer

    await ask("workspace")
    if "run_id" in path:
        await ask(f"runs/{quote(path['run_id'], safe=_UNQUOTED)}")
    elif request.scope["route"].path == "/":
        await ask("experiments")
    elif request.scope["route"].path in ("/runs", "/e/{name:path}"):
        experiment = path.get("name")
        columns = await ask("columns", {"experiment": experiment, "limit": _AT_FIRST})
        if columns is not None and not any(key in query for key in _OTHER_ROWS):
            await ask("runs", _table(experiment, query, json.loads(columns)["first"]))
    return answers


_OTHER_ROWS: Final = ("tree", "closed", "branch", "group")
"""The parameters of tables whose rows are asked for in other ways."""


def _table(experiment: str | None, query: QueryParams, columns: Sequence[str]) -> dict[str, Any]:
    """What a table of runs asks for, in the order in which `pages/runs.js` does."""
    q, f, sort = (next(iter(query.getlist(key)), "") or None for key in ("q", "f", "sort"))
    cols = [_WIDTH.sub("", column) for column in query.getlist("cols")] or columns
    found = {"experiment": experiment, "q": q, "f": f, "sort": sort, "cols": cols}
    return {**found, "offset": 0, "limit": _AT_FIRST}


async def _answer(request: Request, address: str) -> str | None:
    """What the viewer would get there; None for a problem."""
    path, _, query = address.partition("?")
    scope: Scope = {key: request.scope[key] for key in (*_OF_VIEWER, VIEWER)}
    scope.update(method="GET", path=unquote(path), raw_path=path.encode(), headers=[])
    scope["query_string"] = query.encode()
    statuses: list[int] = []
    body = b""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal body
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        else:
            body += message.get("body", b"")

    await request.app(scope, receive, send)
    return body.decode() if statuses == [HTTPStatus.OK] else None


_UNQUOTED: Final = "!'()*~"  # What encodeURIComponent leaves as it is, beside letters and -._


def _address(path: str, params: Mapping[str, object]) -> str:
    """The path and query as the pages' `address` writes them."""
    given = {key: value for key, value in params.items() if value is not None}
    # A form has other characters as they are than Python.
    query = urlencode(given, doseq=True, safe="*").replace("~", "%7E")
    return f"/api/{path}{'?' if query else ''}{query}"


def _position(text: str | None) -> int | None:
    """The position that an address names, as pages read it."""
    is_one = text is not None and text.isascii() and text.isdecimal()
    return int(text) if is_one and int(text) < POSITION_END else None  # type: ignore[arg-type]

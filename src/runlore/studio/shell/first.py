"""The first answers of a page, inside of it: what it shows first costs no further request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from runlore.domain.errors import RunloreError
from runlore.studio.access.guard import VIEWER
from runlore.studio.api import run as run_api
from runlore.studio.api import runs as runs_api
from runlore.studio.api import workspace as workspace_api
from runlore.studio.encoding import json_text
from runlore.studio.lanes import Lanes
from runlore.studio.parameters import POSITION_END

Question = tuple[str, Callable[[], Awaitable[Response]]]
"""The address by which the page would ask, and the answer."""

_COLUMNS_AT_FIRST: Final = 100


async def first_answers(lanes: Lanes, request: Request) -> str:
    """The answers as JSON text, by their addresses, and the position of before.

    What cannot be answered is left out: the page asks for it, and says what is wrong. The text
    holds no character that ends a script.
    """
    as_of = _position(request.query_params.get("asof"))
    answers = []
    try:
        position = await lanes.quick(lambda: lanes.at(None).position)
        for address, question in _questions(lanes, request, as_of):
            answer = bytes((await question()).body).decode()
            answers.append(f"{json_text(address)}:{answer}")
    except RunloreError:
        return "{}"
    return f'{{"position":{position},"answers":{{{",".join(answers)}}}}}'


def _questions(lanes: Lanes, request: Request, as_of: int | None) -> Iterator[Question]:
    viewer, path = request.scope[VIEWER], request.path_params
    yield (
        _address("workspace", as_of),
        lambda: workspace_api.workspace(lanes, viewer, as_of),
    )
    if "run_id" in path:
        run_id = path["run_id"]
        yield (
            _address(f"runs/{quote(run_id, safe=_UNQUOTED)}", as_of),
            lambda: run_api.run(lanes, run_id, as_of),
        )
    elif request.scope["route"].path == "/":
        yield _address("experiments", as_of), lambda: workspace_api.experiments(lanes, as_of)
    elif request.scope["route"].path in ("/runs", "/e/{name:path}"):
        name = path.get("name")
        yield (
            _address("columns", as_of, experiment=name, limit=_COLUMNS_AT_FIRST),
            lambda: runs_api.columns_of_runs(
                lanes, experiment=name, limit=_COLUMNS_AT_FIRST, as_of=as_of
            ),
        )


_UNQUOTED: Final = "!'()*~"  # What encodeURIComponent leaves as it is, beside letters and -._


def _address(path: str, as_of: int | None, **params: object) -> str:
    """The path and query as the pages' `address` writes them."""
    given = {key: value for key, value in {**params, "asof": as_of}.items() if value is not None}
    # A form has other characters as they are than Python.
    query = urlencode(given, safe="*").replace("~", "%7E")
    return f"/api/{path}{'?' if query else ''}{query}"


def _position(text: str | None) -> int | None:
    """The position that an address names, as pages read it."""
    is_one = text is not None and text.isascii() and text.isdecimal()
    return int(text) if is_one and int(text) < POSITION_END else None  # type: ignore[arg-type]

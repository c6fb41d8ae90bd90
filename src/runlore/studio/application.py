"""The application: its API, its pages, and the guard before both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import anyio.from_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from runlore.domain.errors import RunloreError
from runlore.studio.access.guard import Guard, Policy
from runlore.studio.api import bulk as bulk_api
from runlore.studio.api import charts as charts_api
from runlore.studio.api import conditions as conditions_api
from runlore.studio.api import downloads as downloads_api
from runlore.studio.api import feed as feed_api
from runlore.studio.api import groups as groups_api
from runlore.studio.api import logged as logged_api
from runlore.studio.api import run as run_api
from runlore.studio.api import runs as runs_api
from runlore.studio.api import snapshots as snapshots_api
from runlore.studio.api import sql as sql_api
from runlore.studio.api import submissions as submissions_api
from runlore.studio.api import tables as tables_api
from runlore.studio.api import targets as targets_api
from runlore.studio.api import views as views_api
from runlore.studio.api import workspace as workspace_api
from runlore.studio.feed import Feed
from runlore.studio.lanes import Lanes
from runlore.studio.problems import RESPONSES, answer_to_error, problem
from runlore.studio.queries import Queries
from runlore.studio.shell import pages
from runlore.studio.shell.files import Files, ServedFiles
from runlore.studio.unchanged import Unchanged
from runlore.version import VERSION
from runlore.workspace import Workspace

_APIS: Final = (
    *(workspace_api, runs_api, conditions_api, groups_api, tables_api, bulk_api, charts_api),
    views_api,
    *(run_api, logged_api, snapshots_api, downloads_api),
    *(sql_api, targets_api, submissions_api, feed_api),
)


class Studio:
    """The Studio of a workspace, which stays open; `policy` says who may ask.

    `api` is the application without the guard, for its description.
    """

    def __init__(self, workspace: Workspace, policy: Policy) -> None:
        self.lanes = Lanes(workspace)
        self._feed = Feed(workspace)
        self._queries = Queries()
        base_path, files = policy.base_path, Files.of(pages.STATIC)
        self.api = self._made(base_path, files.version)
        answers = Unchanged(self.api, self.lanes, base_path)
        self.application: ASGIApp = Guard(ServedFiles(answers, files, base_path), policy)

    def end_streams(self) -> None:
        """End what would not end soon by itself; to be called in the thread that serves."""
        self._feed.stop()
        self._queries.stop_all()

    def _made(self, base_path: str, version: str) -> FastAPI:
        app = FastAPI(
            title="runlore Studio",
            version=VERSION,
            lifespan=self._living,
            docs_url=None,  # Its page asks another host for scripts.
            redoc_url=None,
            openapi_url="/api/openapi.json",
            redirect_slashes=False,
        )
        app.state.lanes = self.lanes
        app.state.feed = self._feed
        app.state.queries = self._queries
        for api in _APIS:
            app.include_router(api.router, prefix="/api", responses=RESPONSES)
        pages.mount(app, base_path, version)
        app.add_exception_handler(RunloreError, answer_to_error)
        app.add_exception_handler(RequestValidationError, _answer_to_bad_request)
        app.add_exception_handler(HTTPException, _answer_to_no_such_thing)
        app.add_exception_handler(Exception, _answer_to_our_mistake)
        return app

    @asynccontextmanager
    async def _living(self, app: FastAPI) -> AsyncIterator[None]:
        async with anyio.from_thread.BlockingPortal() as portal:
            self._feed.start(portal)
            try:
                yield
            finally:
                self._feed.stop()


async def _answer_to_bad_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = dict(error.errors()[0])
    field = ".".join(str(part) for part in first["loc"][1:])
    detail = f"{field}: {first['msg']}" if field else str(first["msg"])
    return problem(422, "InvalidInput", detail, field=field)


async def _answer_to_no_such_thing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    detail = f"{phrase}; what there is says /api/openapi.json" if error.detail == phrase else None
    answer = problem(error.status_code, phrase, detail or error.detail)
    answer.headers.update(error.headers or {})
    return answer


async def _answer_to_our_mistake(request: Request, error: Exception) -> Response:
    """An answer without details: these are for whoever serves, on stderr."""
    detail = "a mistake of the Studio's; the terminal in which it runs says more"
    return problem(500, type(error).__name__, detail)

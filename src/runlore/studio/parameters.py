"""The parameters that many questions have, and what they may be."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Path, Query, Request

from runlore.projections.filters import RunFilter
from runlore.studio.access.guard import VIEWER
from runlore.studio.lanes import Lanes
from runlore.studio.search import page_filter
from runlore.studio.viewers import Viewer

ROWS_MAX: Final = 1_000
RUNS_MAX: Final = 200
METRICS_MAX: Final = 50
BUCKETS_MAX: Final = 2_000
POSITION_END: Final = 2**53
"""After all positions that scripts can name exactly."""

_BRANCHES_MAX: Final = 200
_TEXT_MAX: Final = 8_000

AsOf = Annotated[
    int | None,
    Query(
        alias="asof", ge=0, lt=POSITION_END, description="A position of the log; now by default."
    ),
]
FilterText = Annotated[
    str, Query(alias="f", max_length=_TEXT_MAX, description="A filter; docs/filters.md.")
]
Where = Annotated[
    str | None, Query(alias="f", max_length=_TEXT_MAX, description="A filter; docs/filters.md.")
]
ExperimentName = Annotated[
    str | None, Query(alias="experiment", max_length=500, description="All by default.")
]
Search = Annotated[
    str | None,
    Query(
        alias="q",
        max_length=200,
        description="A text in the name, id, description, experiment, user or a tag; or a status.",
    ),
]
Columns = Annotated[list[str], Query(alias="cols", max_length=200)]
Sort = Annotated[str | None, Query(max_length=1_000)]
BranchIds = Annotated[list[str], Query(alias="branch", max_length=_BRANCHES_MAX)]
RunId = Annotated[str, Path(max_length=300)]
Offset = Annotated[int, Query(ge=0, lt=2**31)]
Limit = Annotated[int, Query(ge=1, le=ROWS_MAX)]


async def runs_asked(
    where: Where = None,
    search: Search = None,
    experiment: ExperimentName = None,
    parent: Annotated[str | None, Query(max_length=300)] = None,
    children: bool = False,
    tree: bool = False,
) -> RunFilter:
    """The runs that a table is about. Raises FilterError."""
    return RunFilter(
        where=page_filter(where, experiment),
        search=search,
        include_children=children or tree or parent is not None,
        below_run=parent,
    )


async def lanes_of(request: Request) -> Lanes:
    """The ways to the workspace that this Studio serves."""
    lanes: Lanes = request.app.state.lanes
    return lanes


async def viewer_of(request: Request) -> Viewer:
    """The viewer whom the guard has let in."""
    viewer: Viewer = request.scope[VIEWER]
    return viewer


AskedRuns = Annotated[RunFilter, Depends(runs_asked)]
ThisViewer = Annotated[Viewer, Depends(viewer_of)]
ServedLanes = Annotated[Lanes, Depends(lanes_of)]

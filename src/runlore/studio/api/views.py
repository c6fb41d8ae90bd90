"""Saved views: addresses of pages under names, the same for everybody who uses the workspace."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path

from runlore.domain.errors import NotFound
from runlore.domain.fact import utc_time
from runlore.domain.view import DeleteView, SaveView
from runlore.engine.streams import change_view, saved_view
from runlore.projections.reader import RunsReader
from runlore.studio.addresses import ADDRESS_MAX_CHARS, address_in, page_address
from runlore.studio.encoding import Answer
from runlore.studio.parameters import AsOf, ServedLanes, ThisViewer
from runlore.workspace import Workspace, session_of

router = APIRouter(prefix="/views")

ViewName = Annotated[str, Path(max_length=500)]


class NoSuchView(NotFound):
    """A name under which no view is saved."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no view is saved as {name!r:.80}; /views lists those that are")


@router.get("")
async def views(lanes: ServedLanes, as_of: AsOf = None) -> Answer:
    """The saved views by name; `url` is null for one that no page has saved."""

    def question(_: Workspace, reader: RunsReader) -> dict[str, Any]:
        return {
            "views": [
                {
                    "name": one.name,
                    "url": address_in(one.definition),
                    "saved": utc_time(one.saved_at),
                    "by": one.saved_by,
                }
                for one in reader.saved_views()
            ]
        }

    return await lanes.answer_of_tables(as_of, question)


@router.get("/{name:path}")
async def view(lanes: ServedLanes, name: ViewName, as_of: AsOf = None) -> Answer:
    """The address that a name stands for."""

    def question(shown: Workspace) -> dict[str, Any]:
        found = saved_view(session_of(shown), name)
        if found is None:
            raise NoSuchView(name)
        return {"name": name, "url": address_in(found.definition)}

    return await lanes.answer(as_of, question)


@router.put("/{name:path}")
async def save(
    lanes: ServedLanes,
    viewer: ThisViewer,
    name: ViewName,
    url: Annotated[str, Body(embed=True, max_length=ADDRESS_MAX_CHARS)],
) -> Answer:
    """Save the address of a page under the name, in place of any other."""

    def change() -> Answer:
        definition = {"url": page_address(url)}
        change_view(session_of(lanes.acting_as(viewer)), SaveView(name, definition))
        return Answer({"name": name, **definition})

    return await lanes.slow(change)


@router.delete("/{name:path}")
async def delete(lanes: ServedLanes, viewer: ThisViewer, name: ViewName) -> Answer:
    """Free the name. Idempotent."""

    def change() -> Answer:
        change_view(session_of(lanes.acting_as(viewer)), DeleteView(name))
        return Answer({"name": name})

    return await lanes.slow(change)

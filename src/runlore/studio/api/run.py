"""One run: its details, metrics, history, children, files and logs."""

from __future__ import annotations

import mimetypes
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, BinaryIO, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Body, Query
from starlette.responses import Response, StreamingResponse

from runlore.domain.errors import ChangeRefusedError, InvalidInput, NotFound
from runlore.domain.fact import utc_time
from runlore.domain.run_marks import COLOUR, STAR
from runlore.engine.inspection.charts import metric_kinds_of
from runlore.engine.moments import asked_at
from runlore.engine.runs.files import open_file
from runlore.engine.runs.logs import log_files
from runlore.projections.reader import RunsReader
from runlore.run import Run
from runlore.run.run import handle_of
from runlore.shown.markdown import markdown_tree
from runlore.studio.colours import colour_of
from runlore.studio.encoding import Answer
from runlore.studio.lanes import Lanes
from runlore.studio.log_parts import LOG_PART_MAX_NBYTES, log_hits, log_part
from runlore.studio.parameters import POSITION_END, AsOf, RunId, ServedLanes, ThisViewer
from runlore.studio.refusals import refused
from runlore.workspace import Workspace, session_of

router = APIRouter(prefix="/runs/{run_id}")

_SHOWN_TYPES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", "text/plain")
_PREVIEW_MAX_NBYTES: Final = 1_000_000
_CHUNK_NBYTES: Final = 1 << 20
_CHANGES_MAX: Final = 5_000
_SANDBOX: Final = "sandbox; default-src 'none'"


class NoSuchFile(NotFound):
    """A file that a run does not have."""

    def __init__(self, name: str, run_id: str) -> None:
        super().__init__(f"run {run_id} has no file {name!r:.200}; /files lists those it has")


@router.get("")
async def run(lanes: ServedLanes, run_id: RunId, as_of: AsOf = None) -> Answer:
    """What is known of the run: its status, times, config, tags, properties and surroundings.

    `markdown` is what its description says: texts, and tags with children.
    """

    def question(shown: Workspace) -> dict[str, Any]:
        one = shown.get_run(run_id)
        handle = handle_of(one)
        state, experiment = handle.fetch(), one.experiment
        return {
            "position": shown.position,
            "id": one.id,
            "number": one.number,
            "name": one.display_name or one.id,
            "experiment": experiment.name,
            "colour": colour_of(one.number, experiment.id, state.tags.get(COLOUR)),
            "starred": STAR in state.tags,
            "status": handle.shown_status,
            "detail": handle.shown_detail,
            "created": utc_time(state.created_at),
            "started": None if state.started_at is None else utc_time(state.started_at),
            "ended": None if state.ended_at is None else utc_time(state.ended_at),
            "duration": _seconds(state.duration_us(asked_at(handle.session))),
            "user": handle.session.journal.name_of(state.created_by, state.created_for),
            "target": state.target,
            "parent": state.parent_id,
            "description": state.description,
            "markdown": markdown_tree(state.description or ""),
            "error": state.error,
            "submitted": state.submitted,
            "erased": state.erased,
            "config": one.get_config(),
            "tags": one.get_tags(),
            "properties": one.get_properties(),
            "environment": state.environment,
            "logs": sorted(log_files(handle)),
        }

    return await lanes.answer(as_of, question)


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6


@router.get("/metrics")
async def metrics(lanes: ServedLanes, run_id: RunId, as_of: AsOf = None) -> Answer:
    """The names of the run's metrics that a chart can show, and of those that are tables."""

    def question(shown: Workspace, reader: RunsReader) -> dict[str, Any]:
        kinds = metric_kinds_of(session_of(shown), reader, run_id)
        return {
            "metrics": [name for name, kind in kinds.items() if kind == "scalar"],
            "tables": [name for name, kind in kinds.items() if kind == "row"],
        }

    return await lanes.answer_of_tables(as_of, question)


@router.get("/history")
async def history(
    lanes: ServedLanes,
    run_id: RunId,
    kinds: Annotated[list[str], Query(alias="what", max_length=100)] = [],  # noqa: B006
    actors: Annotated[list[str], Query(alias="who", max_length=100)] = [],  # noqa: B006
    as_of: AsOf = None,
) -> Answer:
    """Every change of the run in the order of the log; of very many the last ones.

    Only those of some kinds and actors, if they are given. `kinds` and `actors` count those of all
    changes; `seals` are the sizes of the log at its checkpoints since the first change.
    """

    def question(shown: Workspace) -> dict[str, Any]:
        every = shown.get_run(run_id).history()
        changes = [
            change
            for change in every
            if (not kinds or change.what in kinds) and (not actors or change.who in actors)
        ]
        first = every[0].position if every else 0
        return {
            "total": len(changes),
            "changes": [change._asdict() for change in changes[-_CHANGES_MAX:]],
            "kinds": Counter(change.what for change in every),
            "actors": Counter(change.who for change in every),
            "seals": [size for size in _seals(lanes) if first <= size <= shown.position],
        }

    return await lanes.answer(as_of, question)


def _seals(lanes: Lanes) -> list[int]:
    """The sizes of the kept checkpoints; none where there is no folder for them."""
    with suppress(InvalidInput):
        return [checkpoint.size for checkpoint in lanes.at(None).audit.checkpoints()]
    return []


@router.get("/rollup")
async def rollup(
    lanes: ServedLanes,
    run_id: RunId,
    metric: Annotated[str | None, Query(max_length=1_000)] = None,
    mode: Literal["max", "min"] = "max",
    as_of: AsOf = None,
) -> Answer:
    """The run and all below it, summed up; with a metric, its best value."""

    def question(_: Workspace, reader: RunsReader) -> dict[str, Any]:
        found = reader.rollup(run_id, metric, mode)
        best = None if found.best is None else found.best._asdict()
        return {**found._asdict(), "best": best}

    return await lanes.answer_of_tables(as_of, question)


@router.get("/files")
async def files(lanes: ServedLanes, run_id: RunId, as_of: AsOf = None) -> Answer:
    """The files of the run, by name, with size and digest; a reference has an address as text."""

    def question(shown: Workspace) -> dict[str, Any]:
        held = handle_of(shown.get_run(run_id)).fetch().artifacts
        return {
            "files": [
                {
                    "name": name,
                    "nbytes": artifact.nbytes,
                    "sha256": artifact.sha256,
                    "uri": artifact.uri,
                    "type": _type_of(name),
                }
                for name, artifact in sorted(held.items())
            ]
        }

    return await lanes.answer(as_of, question)


@router.get("/files/{name:path}")
async def file(lanes: ServedLanes, run_id: RunId, name: str, as_of: AsOf = None) -> Response:
    """A file's content, to be saved; pictures may be shown."""
    opened = await lanes.quick(lambda: _opened(lanes.at(as_of).get_run(run_id), name))

    async def chunks() -> AsyncIterator[bytes]:
        with opened:
            while chunk := await lanes.quick(partial(opened.read, _CHUNK_NBYTES)):
                yield chunk

    last = quote(name.rpartition("/")[2], safe="", errors="replace")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{last}",
        "Content-Security-Policy": _SANDBOX,
    }
    kind = _type_of(name)
    media_type = kind if kind in _SHOWN_TYPES else "application/octet-stream"
    return StreamingResponse(chunks(), headers=headers, media_type=media_type)


@router.get("/text/{name:path}")
async def text(lanes: ServedLanes, run_id: RunId, name: str, as_of: AsOf = None) -> Answer:
    """The beginning of a file as text, whatever it holds; of Markdown what that says as well."""

    def question(shown: Workspace) -> dict[str, Any]:
        with _opened(shown.get_run(run_id), name) as opened:
            held = opened.read(_PREVIEW_MAX_NBYTES + 1)
        found = held[:_PREVIEW_MAX_NBYTES].decode("utf-8", "replace")
        return {
            "text": found,
            "is_whole": len(held) <= _PREVIEW_MAX_NBYTES,
            **({"markdown": markdown_tree(found)} if name.lower().endswith(".md") else {}),
        }

    return await lanes.answer(as_of, question)


@router.get("/log-search/{name:path}")
async def log_search(
    lanes: ServedLanes,
    run_id: RunId,
    name: str,
    text: Annotated[str, Query(min_length=1, max_length=200)],
) -> Answer:
    """The lines of a log file with a text, in whatever case: how many, and the first of them."""
    return await lanes.slow(lambda: Answer(log_hits(lanes.at(None).get_run(run_id), name, text)))


@router.get("/logs/{name:path}")
async def log(
    lanes: ServedLanes,
    run_id: RunId,
    name: str,
    start: Annotated[int | None, Query(alias="from", ge=0, lt=POSITION_END)] = None,
    tail: Annotated[int, Query(ge=1, le=LOG_PART_MAX_NBYTES)] = 100_000,
) -> Answer:
    """A part of a log file: from a byte on, else its end.

    `next` is the byte where the next part begins; no character is cut in two. `has_ended` says that
    nothing will follow.
    """
    return await lanes.answer(
        None, lambda shown: log_part(shown.get_run(run_id), name, start, tail)
    )


def _opened(one: Run, name: str) -> BinaryIO:
    handle = handle_of(one)
    if name not in handle.fetch().artifacts:
        raise NoSuchFile(name, one.id)
    return open_file(handle, name)


def _type_of(name: str) -> str | None:
    """The type that a file's name tells, as far as it is known."""
    kind, packed = mimetypes.guess_type(f"./{name}")  # Else `data:` would be an address.
    return None if packed else kind


# --- changes ------------------------------------------------------------------------------------


@router.post("/cancel")
async def cancel(
    lanes: ServedLanes,
    viewer: ThisViewer,
    run_id: RunId,
    reason: Annotated[str | None, Body(embed=True, max_length=10_000)] = None,
) -> Response:
    """Cancel the run, or ask its process to stop; 409 says who has ended it, if somebody has."""

    def change() -> Response:
        one = lanes.acting_as(viewer).get_run(run_id)
        try:
            one.cancel(reason=reason)
        except ChangeRefusedError as error:
            return refused(error, one)
        return Answer({"status": one.get_status()})

    return await lanes.slow(change)


@router.patch("")
async def change(
    lanes: ServedLanes,
    viewer: ThisViewer,
    run_id: RunId,
    display_name: Annotated[str | None, Body(max_length=256)] = None,
    description: Annotated[str | None, Body(max_length=100_000)] = None,
    set_tags: Annotated[dict[str, str | None] | None, Body()] = None,
    remove_tags: Annotated[list[str] | None, Body()] = None,
    archived: Annotated[bool | None, Body()] = None,
) -> Answer:
    """Change what may change of a run, one after the other; what is not given stays."""

    def made() -> Answer:
        one = lanes.acting_as(viewer).get_run(run_id)
        if display_name is not None:
            one.display_name = display_name
        if description is not None:
            one.description = description
        if set_tags:
            one.set_tags(set_tags)
        if remove_tags:
            one.remove_tags(remove_tags)
        if archived is not None:
            (one.archive if archived else one.reactivate)()
        return Answer(one.get_record())

    return await lanes.slow(made)

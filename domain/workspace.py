"""A workspace's identity: created once, by the first process that opens it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from runlore.domain.command import BaseCommand
from runlore.domain.decision import Decision
from runlore.domain.errors import InvalidInput, WorkspaceNotFound
from runlore.domain.events import FilesPlaced, WorkspaceAdopted, WorkspaceCreated
from runlore.domain.fact import Fact
from runlore.domain.ids import check_workspace_name
from runlore.domain.text import check_new_pairs, check_text


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceState:
    """The workspace's identity. Azure's coordinates are stored as plain data."""

    workspace_id: str
    name: str
    subscription_id: str
    resource_group: str
    location: str
    created_at: int = 0
    version: int = 0
    erasable: bool = False
    tags: Mapping[str, str | None] = field(default_factory=dict)
    origin_id: str | None = None
    """The id that the workspace had before it was adopted as a copy, or None."""
    files_uri: str | None = None
    """Where the log says that the files of runs are; None if they are in the workspace."""


UNKNOWN: Final = WorkspaceState(
    workspace_id="unknown", name="unknown", subscription_id="", resource_group="", location=""
)
"""The identity of a workspace whose creation is damaged."""


class CreateWorkspace(BaseCommand):
    """Give the log an identity, unless it has one."""

    workspace_id: str
    name: str
    subscription_id: str
    resource_group: str
    location: str
    erasable: bool = False
    tags: Mapping[str, str | None] = {}


class AdoptWorkspace(BaseCommand):
    """Make a copied workspace one of its own, with a new id."""

    workspace_id: str
    note: str


class PlaceFiles(BaseCommand):
    """Say in the log where the files of all runs are; the caller has checked the URI."""

    uri: str


def decide(
    state: WorkspaceState | None, command: CreateWorkspace | AdoptWorkspace | PlaceFiles
) -> Decision:
    """The creation, or no event if the workspace exists; the change of an existing one."""
    if isinstance(command, PlaceFiles):
        return _place_files(state, command)
    if isinstance(command, AdoptWorkspace):
        return _adopt(state, command)
    if state is not None:
        return Decision()
    return Decision(
        (
            WorkspaceCreated(
                workspace_id=command.workspace_id,
                name=check_workspace_name(command.name),
                subscription_id=check_text(command.subscription_id, "subscription_id"),
                resource_group=check_text(command.resource_group, "resource_group"),
                location=check_text(command.location, "location"),
                tags=check_new_pairs(command.tags, "tag"),
                erasable=command.erasable,
            ),
        )
    )


def _adopt(state: WorkspaceState | None, command: AdoptWorkspace) -> Decision:
    if state is None:
        raise WorkspaceNotFound("the log holds no workspace that could be adopted")
    adopted = WorkspaceAdopted(
        workspace_id=command.workspace_id,
        origin_id=state.workspace_id,
        note=check_text(command.note, "note"),
    )
    return Decision((adopted,))


def _place_files(state: WorkspaceState | None, command: PlaceFiles) -> Decision:
    if state is None:
        raise WorkspaceNotFound("the log holds no workspace whose files could be placed")
    if state.erasable:
        raise InvalidInput(
            f"the workspace {state.name!r} is erasable, and a copy of it would say the same place: "
            "erasing a run of the copy would remove the original's files; name the place in your "
            "settings"
        )
    if state.files_uri == command.uri:
        return Decision()
    return Decision((FilesPlaced(uri=check_text(command.uri, "uri")),))


def fold(state: WorkspaceState | None, facts: Iterable[Fact]) -> WorkspaceState | None:
    """The state after the facts of the stream `workspace`. Pure.

    If its creation is damaged, the workspace is `UNKNOWN`: whatever its identity, it can be read.
    """
    for fact in facts:
        if state is None and fact.damage is not None:
            state = UNKNOWN
        if fact.topic == WorkspaceCreated.topic and fact.data is not None and state is None:
            state = WorkspaceState(**fact.data, created_at=fact.observed_at)
        elif fact.topic == WorkspaceAdopted.topic and fact.data is not None and state is not None:
            state = replace(
                state,
                workspace_id=fact.data["workspace_id"],
                origin_id=fact.data["origin_id"],
            )
        elif fact.topic == FilesPlaced.topic and fact.data is not None and state is not None:
            state = replace(state, files_uri=fact.data["uri"])
        if state is not None:
            state = replace(state, version=fact.version)
    return state

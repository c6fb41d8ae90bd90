"""Links to the pages of the Studio."""

from __future__ import annotations

from typing import Final, Protocol

PORTAL_URL: Final = "http://127.0.0.1:8080"
"""The address of the Studio, once it has been started."""


class Addressed(Protocol):
    """A workspace by its Azure coordinates."""

    @property
    def name(self) -> str: ...
    @property
    def resource_group(self) -> str: ...
    @property
    def subscription_id(self) -> str: ...


def portal_url(workspace: Addressed, page: str) -> str:
    """The link to a page of a workspace, in the shape of Azure ML's."""
    return (
        f"{PORTAL_URL}/{page}?wsid=/subscriptions/{workspace.subscription_id}"
        f"/resourcegroups/{workspace.resource_group}/workspaces/{workspace.name}"
    )

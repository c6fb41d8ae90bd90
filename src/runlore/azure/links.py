"""The way to the page of a run or an experiment: an address, or the command that shows it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from runlore.engine.session import Session


class Addressed(Protocol):
    """A workspace by its Azure coordinates."""

    @property
    def name(self) -> str: ...
    @property
    def resource_group(self) -> str: ...
    @property
    def subscription_id(self) -> str: ...


def studio_address(session: Session) -> str | None:
    """The address at which a Studio serves the workspace now; None, as there is no Studio yet."""
    return None


def way_to_run(session: Session, run_id: str) -> str:
    """The address of the run's page while a Studio serves the workspace, else a command."""
    studio = studio_address(session)
    if studio is not None:
        return portal_url(studio, session.workspace, f"runs/{run_id}")
    return _command(session, "show", "-r", run_id)


def way_to_experiment(session: Session, experiment_id: str, name: str) -> str:
    """The address of the experiment's page while a Studio serves the workspace, else a command."""
    studio = studio_address(session)
    if studio is not None:
        return portal_url(studio, session.workspace, f"experiments/id/{experiment_id}")
    return _command(session, "list", "-e", name)


def portal_url(studio: str, workspace: Addressed, page: str) -> str:
    """The link to a page of a workspace, in the shape of Azure ML's."""
    return (
        f"{studio}/{page}?wsid=/subscriptions/{workspace.subscription_id}"
        f"/resourcegroups/{workspace.resource_group}/workspaces/{workspace.name}"
    )


def _command(session: Session, *words: str) -> str:
    if session.files is None:
        return f"{words[-1]} is in the memory of this process, which alone can show it"
    position = getattr(session, "position", None)
    past = () if position is None else ("--as-of", str(position))
    return shlex.join(("runlore", "run", *words, "-w", str(session.files), *past))

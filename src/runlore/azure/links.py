"""The way to the page of a run or an experiment: an address, or the command that shows it."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from runlore.domain.errors import RunloreError

if TYPE_CHECKING:
    from runlore.engine.session import Session


def way_to_run(session: Session, run_id: str) -> str:
    """The address of the run's page while a Studio serves the workspace, else a command."""
    studio = _studio(session)
    if studio is not None:
        return _page(studio, session, f"run/{quote(run_id, safe='')}")
    return _command(session, "show", "-r", run_id)


def way_to_experiment(session: Session, name: str) -> str:
    """The address of the experiment's page while a Studio serves the workspace, else a command."""
    studio = _studio(session)
    if studio is not None:
        return _page(studio, session, f"e/{quote(name)}")
    return _command(session, "list", "-e", name)


def _studio(session: Session) -> str | None:
    # Without a free descriptor, say, there is the command: a run that was started stays started.
    with suppress(OSError, RunloreError):
        # Imported here: it needs the log's libraries, which `import runlore` does not.
        from runlore.engine.participants.studio_notice import studio_address

        return studio_address(session.held, session.workspace.workspace_id)
    return None


def _page(studio: str, session: Session, path: str) -> str:
    position = getattr(session, "position", None)
    return f"{studio}/{path}" + ("" if position is None else f"?asof={position}")


def _command(session: Session, *words: str) -> str:
    if session.is_memory:
        return f"{words[-1]} is in the memory of this process, which alone can show it"
    position = getattr(session, "position", None)
    past = () if position is None else ("--as-of", str(position))
    return shlex.join(("runlore", "run", *words, "-w", str(session.files or session.uri), *past))

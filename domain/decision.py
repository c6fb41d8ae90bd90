"""The outcome of a command: events to append and, if it was refused, the error to raise."""

from __future__ import annotations

from typing import NamedTuple

from runlore.domain.errors import RunloreError
from runlore.domain.events import Event


class Decision(NamedTuple):
    """Events to append in one commit, in order; then `refused` is raised if it is set.

    Neither events nor an error: the command would change nothing.
    """

    events: tuple[Event, ...] = ()
    refused: RunloreError | None = None

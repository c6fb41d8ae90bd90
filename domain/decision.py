"""What a decision gives: the events to append and, if the change was refused, the error."""

from __future__ import annotations

from typing import NamedTuple

from runlore.domain.errors import RunloreError
from runlore.domain.events import Event


class Decision(NamedTuple):
    """Events to append, in order and all together; then `refused` is raised if there is one.

    No events and no error: the state is already as asked.
    """

    events: tuple[Event, ...] = ()
    refused: RunloreError | None = None

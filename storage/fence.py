"""The fence of a log that was moved away, or is not copied completely: nobody may write to it."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from runlore.storage.errors import LogTooNew

FENCED: Final = 1_000_000
"""The version of a fenced log, which no runlore writes to."""


class Fence(NamedTuple):
    """Where a log was `moved to`, or is `copied from`, and the version that it has otherwise."""

    kind: Literal["moved to", "copied from"]
    place: str
    version: int


class LogMoved(LogTooNew):
    """The log was moved to another place, or is an incomplete copy; it can only be read."""

    def __init__(self, name: str, fence: Fence, known_version: int) -> None:
        LogTooNew.__init__(self, name, FENCED, known_version)
        told = (
            f"the log {name} was moved to {fence.place}: open the workspace there; this one can "
            "only be read, and nothing was written to it (values that are logged into it wait in "
            "its spools)"
            if fence.kind == "moved to"
            else f"the log {name} is an incomplete copy of {fence.place}; repeat "
            "`runlore workspace copy` to complete it, or remove it"
        )
        self.args = (told,)
        self.place = fence.place


def too_new(name: str, version: int, known_version: int, fence: Fence | None) -> LogTooNew:
    """The error for a log of a version that this runlore does not write to."""
    if fence is None:
        return LogTooNew(name, version, known_version)
    return LogMoved(name, fence, known_version)

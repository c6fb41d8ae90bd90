"""The fence of a log that was moved away, or is not copied completely: nobody may write to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

from runlore.storage.errors import LogTooNew
from runlore.storage.seal import NO_KEY

FENCED: Final = 1_000_000
"""The version of a fenced log, which no runlore writes to."""


class Fence(NamedTuple):
    """Where a log was `moved to`, or is `copied from`, and the version that it has otherwise."""

    kind: Literal["moved to", "copied from"]
    place: str
    version: int


class LogMoved(LogTooNew):
    """The log was moved to another place, or is an incomplete copy; it can only be read.

    One whose runs had keys (`keyless`) can only be verified: the keys went along.
    """

    def __init__(
        self, name: str, fence: Fence, known_version: int, *, keyless: bool = False
    ) -> None:
        LogTooNew.__init__(self, name, FENCED, known_version)
        remains = (
            "the keys of its runs went along, so this one can be verified, and not be read"
            if keyless
            else "this one can only be read, and nothing was written to it (values that are logged "
            "into it wait in its spools: `runlore workspace copy` to there again moves them)"
        )
        told = (
            f"the log {name} was moved to {fence.place}: open the workspace there; {remains}"
            if fence.kind == "moved to"
            else f"the log {name} is an incomplete copy of {fence.place}; repeat "
            "`runlore workspace copy` to complete it, or remove it"
        )
        self.args = (told,)
        self.place = fence.place


def too_new(
    name: str, version: int, known_version: int, fence: Fence | None, *, keyless: bool = False
) -> LogTooNew:
    """The error for a log of a version that this runlore does not write to.

    `keyless` says that its runs cannot be read without keys, which went along.
    """
    if fence is None:
        return LogTooNew(name, version, known_version)
    return LogMoved(name, fence, known_version, keyless=keyless)


def refuse_keyless(
    name: str,
    keys: Mapping[str, bytes],
    fence_of: Callable[[], Fence | None],
    known_version: int,
) -> None:
    """Raise LogMoved if runs of a log have no keys because these went along to another place.

    Else they would read as erased.
    """
    fence = fence_of() if NO_KEY in keys.values() else None
    if fence is not None and fence.kind == "moved to":
        raise LogMoved(name, fence, known_version, keyless=True)

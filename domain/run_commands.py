"""The commands that change a run; `runlore.domain.run` decides about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runlore.domain.command import BaseCommand
from runlore.domain.run_state import Artifact
from runlore.domain.status import Status


class CreateRun(BaseCommand):
    """Create a run with this status; `given_at` (µs since 1970 UTC) is when it really began.

    One that is not `begun` is not executed by this process: it begins with `BeginRun`.
    """

    run_id: str
    experiment_id: str
    experiment_name: str
    status: Status
    root_id: str
    parent_id: str | None = None
    run_type: str | None = None
    target: str | None = None
    name: str | None = None
    display_name: str | None = None
    description: str | None = None
    outputs: tuple[str, ...] = ()
    tags: Mapping[str, str | None] = {}
    properties: Mapping[str, str | None] = {}
    config: Mapping[str, Any] = {}
    given_at: int | None = None
    given_user: str | None = None
    begun: bool = True


class SetTags(BaseCommand):
    """Set, replace or, with None, make key-only each of the tags."""

    tags: Mapping[str, str | None]


class RemoveTags(BaseCommand):
    """Remove tags; unknown keys are ignored."""

    keys: Sequence[str]


class AddProperties(BaseCommand):
    """Give the run properties: all of them, or none if one already has another value."""

    properties: Mapping[str, str | None]


class CorrectProperty(BaseCommand):
    """Replace the wrong value of a property, also after the run's end.

    The caller passes the reason to the journal as well, which puts it in the event's envelope.
    """

    key: str
    value: str | None
    reason: str


class AddConfig(BaseCommand):
    """Give the run's config keys: all of them, or none if one already has another value."""

    config: Mapping[str, Any]


class CorrectConfig(BaseCommand):
    """Replace the wrong value of a flattened key, also after the run's end.

    The caller passes the reason to the journal as well, which puts it in the event's envelope.
    """

    key: str
    value: Any
    reason: str


class SetDisplayName(BaseCommand):
    """Change the display name."""

    display_name: str


class SetDescription(BaseCommand):
    """Change the description."""

    description: str


class AddArtifacts(BaseCommand):
    """Add files to the run: all of them, or none if a name has other content.

    With `replace`, other content of a name is replaced, and both are kept.
    """

    artifacts: Mapping[str, Artifact]
    replace: bool = False


class PruneArtifacts(BaseCommand):
    """Give up the contents of files; unknown names and those given up before are ignored.

    The caller passes the reason to the journal as well, which puts it in the event's envelope.
    """

    names: Sequence[str]
    reason: str


class KeepSnapshot(BaseCommand):
    """Record the snapshot of the run's source folder."""

    snapshot_id: str
    manifest_sha256: str
    files: int
    nbytes: int


class ChangeStatus(BaseCommand):
    """Move the run to another status; `error` goes with Failed, `detail` with the others.

    An end that the run's own process states (`from_inside`) becomes Canceled if that was requested:
    the process was asked to stop, and stopped.
    """

    status: Status
    error: Mapping[str, str] | None = None
    detail: str | None = None
    from_inside: bool = False


class EndRun(BaseCommand):
    """End a run for its supervisor: as Canceled if that was requested, else with this status.

    No event if the run has ended already.
    """

    status: Status
    error: Mapping[str, str] | None = None


class ClaimRun(BaseCommand):
    """Take a run out of its queue; no event if it is no longer queued."""

    detail: str


class RequestCancel(BaseCommand):
    """Ask a submitted run to stop; a queued one is canceled at once."""


class LoseRun(BaseCommand):
    """End a run whose process is dead: Canceled if that was requested, else Failed.

    No event if the run has ended or is queued. `evidence` says how the death is known.
    """

    message: str
    evidence: Mapping[str, str | int | None] = {}


class FindRun(BaseCommand):
    """Undo the loss of a run that was heard again; no event unless it counts as lost."""


class BeginRun(BaseCommand):
    """Record that a run which was created for others to execute began; no event if it had.

    `began_at` is in µs since 1970 UTC; None is now.
    """

    began_at: int | None = None


class ResumeRun(BaseCommand):
    """Let a run that has ended go on; no event if it is executing.

    The caller passes the reason to the journal as well, which puts it in the event's envelope.
    """

    reason: str


class RewindRun(BaseCommand):
    """Void the values of later steps that were logged so far."""

    step: int


class ArchiveRun(BaseCommand):
    """Hide the run from lists; no event if it is hidden already."""


class ReactivateRun(BaseCommand):
    """Show an archived run in lists again; no event if it is not archived."""


class RecordEnvironment(BaseCommand):
    """Record the run's surroundings, a JSON document; no event if they are the same as before.

    `artifacts` are files that it mentions, see `AddArtifacts`.
    """

    environment: Mapping[str, Any]
    artifacts: Mapping[str, Artifact] = {}


class Alert(BaseCommand):
    """Record that the run asks for attention; `level` is one of ALERT_LEVELS.

    `found_by` says which watch found it, if one did. It records each title once for a run, and the
    caller passes `found_by` to the journal as the reason as well.
    """

    title: str
    text: str
    level: str
    found_by: str | None = None


class PlaceRun(BaseCommand):
    """Record that an engine took the run, under its own name for it; no event if that is known."""

    handle: str


class RecordExit(BaseCommand):
    """Record the end of one of the script's processes."""

    rank: int
    exit_code: int | None
    signal: str | None


class AddWarning(BaseCommand):
    """Record a deviation from the request; the same warning is recorded once."""

    source: str
    message: str


class EraseRun(BaseCommand):
    """Erase a run that has ended; no event if it is erased already.

    The caller passes the reason to the journal as well, which puts it in the event's envelope.
    """

    reason: str


Command = (
    CreateRun
    | SetTags
    | RemoveTags
    | AddProperties
    | CorrectProperty
    | AddConfig
    | CorrectConfig
    | SetDisplayName
    | SetDescription
    | AddArtifacts
    | PruneArtifacts
    | KeepSnapshot
    | ChangeStatus
    | EndRun
    | ClaimRun
    | RequestCancel
    | LoseRun
    | FindRun
    | BeginRun
    | ResumeRun
    | RewindRun
    | ArchiveRun
    | ReactivateRun
    | RecordEnvironment
    | Alert
    | PlaceRun
    | RecordExit
    | AddWarning
    | EraseRun
)

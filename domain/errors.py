"""Every error that runlore raises on purpose, under one root.

    RunloreError
    ├── UserError                    the caller asked for something impossible
    │   ├── InvalidInput             (ValueError) an argument that is never acceptable
    │   │   └── FilterError          a filter's text that is not in the filter language
    │   ├── InvalidType              (TypeError) likewise, of the wrong type
    │   ├── PropertyConflict         also a ChangeRefusedError, see below
    │   ├── ConfigConflict           likewise
    │   ├── RunGone                  the run was erased
    │   ├── NotErasable              the workspace was not created as erasable
    │   ├── WorkspaceClosed          the workspace object was closed
    │   ├── PastIsReadOnly           a change to a workspace as of the past
    │   └── MomentInFuture               (ValueError) a time that has not passed yet
    ├── ChangeRefusedError           the state of the run refused the change; recorded as an event
    │   ├── PropertyConflict         a property already has another value
    │   ├── ConfigConflict           a key of the config already has another value
    │   ├── RunEnded                 the run is Completed, Failed or Canceled
    │   └── TransitionRefused        the status machine does not allow the step
    ├── NotFound                     (LookupError)
    │   ├── RunNotFound
    │   ├── ExperimentNotFound
    │   └── WorkspaceNotFound
    ├── ErasureIncomplete            a run was erased, but copies remain
    └── AlreadyExists                an id or a folder is taken

A message says what was asked, what was found and what to do. The storage and
projection layers add their own leaves, next to the code that raises them.

    >>> try:
    ...     raise RunNotFound("r_42", "workspace 'lab'")
    ... except RunloreError as error:
    ...     print(error)
    no run 'r_42' in workspace 'lab'; list the ids with experiment.get_runs() or `runlore run list`
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runlore.domain.fact import utc_time
from runlore.domain.visible_text import visible_lines


class RunloreError(Exception):
    """Root of all errors that runlore raises on purpose; `message` is the text."""

    def __init__(self, message: str = "", inner_exception: BaseException | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.inner_exception = inner_exception

    def __str__(self) -> str:
        """The message, safe to print: it may quote text from a log, which may come from anybody."""
        return visible_lines(super().__str__())

    def __reduce__(self) -> tuple[object, ...]:
        """Subclasses take facts, not messages: without this they could not be unpickled."""
        return (_restored, (type(self), self.args, self.__dict__.copy()))


def _restored(
    kind: type[RunloreError], args: tuple[object, ...], attributes: dict[str, object]
) -> RunloreError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class UserError(RunloreError):
    """A mistake of the caller's: change the call, retrying does not help."""


class InvalidInput(UserError, ValueError):
    """An argument that is never acceptable; nothing was written."""


class FilterError(InvalidInput):
    """A text that is not in the filter language: where, and what could stand there."""

    def __init__(self, problem: str, text: str, offset: int, expected: Sequence[str] = ()) -> None:
        shown = f"{text[max(0, offset - 40) : offset]}⟨here⟩{text[offset : offset + 40]}"
        could = f"; it takes {', '.join(expected)}" if expected else ""
        super().__init__(f"{problem}, at character {offset + 1}: {shown}{could}")
        self.text = text
        self.offset = offset
        self.expected = tuple(expected)


class InvalidType(UserError, TypeError):
    """An argument of the wrong type; nothing was written."""


class WorkspaceClosed(UserError):
    """A read or write on a workspace after its `close()`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"workspace '{name}' is closed; open it again with Workspace.open(path)")
        self.name = name


class PastIsReadOnly(UserError):
    """A change to a workspace as of a past position, which is read-only."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"this workspace is a view as of position {position} and is read-only; use the live "
            "workspace to change or follow runs"
        )
        self.position = position


class MomentInFuture(UserError, ValueError):
    """A moment that the log's clock has not reached: until then more may be recorded."""

    def __init__(self, asked: int, now: int) -> None:
        super().__init__(
            f"{utc_time(asked).isoformat()} has not passed yet (the clock says "
            f"{utc_time(now).isoformat()}); give a past time or a position of the log"
        )
        self.asked = asked
        self.now = now


class ChangeRefusedError(RunloreError):
    """A change that the run's state refused; the log has a `run.change_refused` for it."""


class PropertyConflict(ChangeRefusedError, UserError):
    """Another value for a property that has one: properties are write-once.

    `held_by` and `held_since` say who set the value that it has, and when; `correction` is the
    reason if that value corrected an earlier one. `held_for` is the actor, if it was not the
    writer's own.
    """

    def __init__(
        self,
        run_id: str,
        key: str,
        held: str | None,
        refused: str | None,
        held_by: str | None,
        held_since: datetime,
        correction: str | None = None,
        held_for: str | None = None,
    ) -> None:
        why = "" if correction is None else f" because {correction!r:.80}"
        super().__init__(
            f"property {key!r:.80} of run {run_id} is already {held!r:.80} "
            f"({'corrected' if why else 'set'} by {held_by or 'an unknown writer'} at "
            f"{held_since.isoformat()}{why}), so it cannot become {refused!r:.80}; properties "
            "never change: use a tag instead, or correct_property() if the held value is wrong"
        )
        self.run_id = run_id
        self.key = key
        self.held = held
        self.refused = refused
        self.held_by = held_by
        self.held_since = held_since
        self.correction = correction
        self.held_for = held_for

    def attributed(self, held_by: str) -> PropertyConflict:
        """The same conflict, with a readable name for the writer that holds the value."""
        return PropertyConflict(
            self.run_id,
            self.key,
            self.held,
            self.refused,
            held_by,
            self.held_since,
            self.correction,
            self.held_for,
        )


class ConfigConflict(ChangeRefusedError, UserError):
    """Another value for a key of the config that has one: config is write-once.

    `held` and `refused` are JSON; `held_key` is the key that stands in the way: the same one, one
    that it would be inside of, or one that it would contain.
    """

    def __init__(self, run_id: str, key: str, refused: str, held_key: str, held: str) -> None:
        what = (
            f"is already {held:.80}" if key == held_key else f"meets {held_key!r:.80} = {held:.80}"
        )
        super().__init__(
            f"config {key!r:.80} of run {run_id} {what}, so it cannot become {refused:.80}; config "
            "never changes: use a tag instead, or correct the held value if it is wrong"
        )
        self.run_id = run_id
        self.key = key
        self.refused = refused
        self.held_key = held_key
        self.held = held


class RunGone(UserError):
    """A change to a run that was erased."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"run {run_id} was erased, so it can neither be changed nor read any more; "
            "start a new run"
        )
        self.run_id = run_id


class NotErasable(UserError):
    """An erasure in a workspace whose append-only log stores payloads unencrypted."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"workspace {name!r} was not created as erasable: its append-only log stores payloads "
            "unencrypted, so nothing can be erased from it; create workspaces for such data with "
            "Workspace.create(name, erasable=True)"
        )


class RunEnded(ChangeRefusedError):
    """A change of status after the run's end; terminal statuses are final."""

    def __init__(self, run_id: str, status: str, asked: str) -> None:
        super().__init__(
            f"run {run_id} has ended as {status}, so it cannot become {asked}; start a new run, or "
            "let this one go on with run.resume(reason=...); tags and properties can be added as "
            "it is"
        )
        self.run_id = run_id
        self.status = status
        self.asked = asked


class TransitionRefused(ChangeRefusedError):
    """A change of status that the status machine does not allow, such as Finalizing to Running."""

    def __init__(self, run_id: str, status: str, asked: str) -> None:
        super().__init__(
            f"run {run_id} is {status} and cannot become {asked} from there; "
            "end it with complete(), fail() or cancel()"
        )
        self.run_id = run_id
        self.status = status
        self.asked = asked


class NotFound(RunloreError, LookupError):
    """A name or an id that the store does not contain."""


class RunNotFound(NotFound):
    """No run of this id in the workspace."""

    def __init__(self, run_id: str, where: str) -> None:
        super().__init__(
            f"no run {run_id!r} in {where}; list the ids with experiment.get_runs() or "
            "`runlore run list`"
        )
        self.run_id = run_id


class ExperimentNotFound(NotFound):
    """No experiment of this name or id in the workspace."""

    def __init__(self, wanted: str, where: str) -> None:
        super().__init__(
            f"no experiment {wanted!r} in {where}; Experiment(workspace, name) creates one"
        )
        self.wanted = wanted


class WorkspaceNotFound(NotFound, UserError):
    """No workspace at this place; the message says where, and how to create one."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class ErasureIncomplete(RunloreError):
    """The run's key was destroyed, but copies remain; `pending` lists them and what to do."""

    def __init__(self, run_ids: Sequence[str], pending: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(run_ids)}: erased in the log, but copies remain: {'; '.join(pending)}. "
            "Erase again to finish"
        )
        self.run_ids = tuple(run_ids)
        self.pending = tuple(pending)


class AlreadyExists(UserError):
    """An id or a folder that is already taken."""

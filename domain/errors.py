"""Every error that runlore raises on purpose, under one root.

    RunloreError
    ├── UserError                    the caller asked for something that cannot be
    │   ├── InvalidInput             (ValueError) an argument that no state would accept
    │   ├── InvalidType              (TypeError) likewise, of the wrong type
    │   ├── PropertyConflict         also a ChangeRefusedError, see below
    │   ├── RunGone                  the run was erased
    │   ├── NotErasable              the workspace was not made so that runs can be erased
    │   ├── WorkspaceClosed          the workspace object was closed
    │   ├── PastIsReadOnly           a change was asked of what as_of() gave
    │   └── MomentInFuture               (ValueError) a time was asked for that has not passed
    ├── ChangeRefusedError           the state of the run refused the change; recorded as an event
    │   ├── PropertyConflict         a property is held with another value
    │   ├── RunEnded                 the run is Completed, Failed or Canceled
    │   └── TransitionRefused        the status machine has no such step
    ├── NotFound                     (LookupError)
    │   ├── RunNotFound
    │   ├── ExperimentNotFound
    │   └── WorkspaceNotFound
    ├── ErasureIncomplete            a run was erased, but other processes have copies
    └── AlreadyExists                an id or a folder that is taken

A message says what was asked, what was found and what to do. The storage and
projection layers add their own leaves, next to the code that raises them.

    >>> try:
    ...     raise RunNotFound("r_42", "workspace 'lab'")
    ... except RunloreError as error:
    ...     print(error)
    no run 'r_42' in workspace 'lab'; list the ids with experiment.get_runs()
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runlore.domain.fact import utc_time


class RunloreError(Exception):
    """Root of all errors that runlore raises on purpose; `message` is the text."""

    def __init__(self, message: str = "", inner_exception: BaseException | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.inner_exception = inner_exception

    def __reduce__(self) -> tuple[object, ...]:
        """Subclasses take facts, not messages: without this they would not come back from a
        worker process.
        """
        return (_restored, (type(self), self.args, self.__dict__.copy()))


def _restored(
    kind: type[RunloreError], args: tuple[object, ...], attributes: dict[str, object]
) -> RunloreError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class UserError(RunloreError):
    """The caller's mistake: another call, not another try, makes it go away."""


class InvalidInput(UserError, ValueError):
    """An argument that no state of the store would accept; nothing was written."""


class InvalidType(UserError, TypeError):
    """An argument of the wrong type; nothing was written."""


class WorkspaceClosed(UserError):
    """A read or write on a workspace after its `close()`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"workspace '{name}' is closed; open it again with Workspace.open(path)")
        self.name = name


class PastIsReadOnly(UserError):
    """A change was asked of a workspace as of a position; what was stays as it was."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"this is what was at position {position} of the log, which nothing changes any more; "
            "ask the workspace itself, and not what as_of() gave, to change or follow a run"
        )
        self.position = position


class MomentInFuture(UserError, ValueError):
    """What was at a time can be asked once it has passed: until then anything may happen."""

    def __init__(self, asked: int, now: int) -> None:
        super().__init__(
            f"{utc_time(asked).isoformat()} has not passed yet (this host's clock says "
            f"{utc_time(now).isoformat()}); ask for a time that has, or for a position of the log"
        )
        self.asked = asked
        self.now = now


class ChangeRefusedError(RunloreError):
    """The state of a run refused a change; `run.change_refused` stands in the log."""


class PropertyConflict(ChangeRefusedError, UserError):
    """A property is write-once and is held with another value.

    `held_by` and `held_since` say who set the held value and when, and `correction` why, if it
    corrected an earlier one.
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

    def attributed(self, held_by: str) -> PropertyConflict:
        """The same conflict, with the holder named as people know them."""
        return PropertyConflict(
            self.run_id,
            self.key,
            self.held,
            self.refused,
            held_by,
            self.held_since,
            self.correction,
        )


class RunGone(UserError):
    """A change of a run that was erased; nothing is left of it that could change."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"run {run_id} was erased, so nothing about it can change or be read any more; "
            "start a new run"
        )
        self.run_id = run_id


class NotErasable(UserError):
    """The workspace keeps payloads in the clear, in a log to which one can only append."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"workspace {name!r} was not made erasable: what was logged stands in the clear in a "
            "log that only grows, so nothing of it can be erased; make workspaces for such data "
            "with Workspace.create(name, erasable=True)"
        )


class RunEnded(ChangeRefusedError):
    """A change of status that came after the run's end; terminal states absorb."""

    def __init__(self, run_id: str, status: str, asked: str) -> None:
        super().__init__(
            f"run {run_id} has ended as {status}, so it cannot become {asked}; "
            "start a new run (tags and properties can still be added to this one)"
        )
        self.run_id = run_id
        self.status = status
        self.asked = asked


class TransitionRefused(ChangeRefusedError):
    """A change of status that the status machine does not know (Finalizing to Running, say)."""

    def __init__(self, run_id: str, status: str, asked: str) -> None:
        super().__init__(
            f"run {run_id} is {status} and cannot become {asked} from there; "
            "end it with complete(), fail() or cancel()"
        )
        self.run_id = run_id
        self.status = status
        self.asked = asked


class NotFound(RunloreError, LookupError):
    """Something was asked for by a name or id that the store does not hold."""


class RunNotFound(NotFound):
    """No run of this id in the workspace."""

    def __init__(self, run_id: str, where: str) -> None:
        super().__init__(f"no run {run_id!r} in {where}; list the ids with experiment.get_runs()")
        self.run_id = run_id


class ExperimentNotFound(NotFound):
    """No experiment of this name or id in the workspace."""

    def __init__(self, wanted: str, where: str) -> None:
        super().__init__(
            f"no experiment {wanted!r} in {where}; Experiment(workspace, name) creates one"
        )
        self.wanted = wanted


class WorkspaceNotFound(NotFound, UserError):
    """No workspace where one was looked for; the message says where and how to create one."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class ErasureIncomplete(RunloreError):
    """The key is gone, but some copy may be left; `pending` says of each where, and what to do."""

    def __init__(self, run_ids: Sequence[str], pending: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(run_ids)}: erased in the log, but copies are left: {'; '.join(pending)}. "
            "Erase again to finish"
        )
        self.run_ids = tuple(run_ids)
        self.pending = tuple(pending)


class AlreadyExists(UserError):
    """An id or a folder that must be fresh is taken."""

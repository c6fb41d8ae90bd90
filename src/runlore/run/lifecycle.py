"""A run's status, its end, and its use in a `with` block."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from runlore.azure.documents import details_of
from runlore.azure.links import way_to_run
from runlore.azure.user_log import FOLDER, NAME, UserLog
from runlore.domain.errors import RunEnded, RunloreError
from runlore.domain.run_errors import error_document
from runlore.domain.status import Status
from runlore.domain.text import check_text
from runlore.engine.caller_warning import warn_caller
from runlore.engine.exits.endings import COMPLETED, Ending, of_exception
from runlore.exceptions import ActivityFailedException, ExperimentExecutionException
from runlore.run.part import RunPart
from runlore.storage.interruptions import deferrable

if TYPE_CHECKING:
    from typing import Self


_WATCHED_BY_DEFAULT: Final = "outputs"


class RunLifecycle(RunPart):
    """The part of `Run` for its status."""

    # One per `with` block that the run is in.
    _user_logs: tuple[UserLog, ...] = ()

    @property
    def status(self) -> str:
        """The status as this object last read it; `get_status()` reads it again."""
        return str(self._handle.state.status)

    def get_status(self) -> str:
        """The run's status now.

        It is `unknown (copied workspace)` for a run that was executing when the workspace's folder
        was copied, in the copy: see `runlore repair`.
        """
        self._handle.fetch()
        return self._handle.shown_status

    def get_detailed_status(self) -> dict[str, str | None]:
        """`{"status", "details"}`; the details say what the run waits for, if anything."""
        self._handle.fetch()
        return {"status": self._handle.shown_status, "details": self._handle.shown_detail}

    def get_details(self) -> dict[str, Any]:
        """The run as Azure ML's document: camelCase keys; keys without a value are absent."""
        from runlore.engine.runs.logs import log_uris

        run = self._handle
        log_files = log_uris(run)  # Reads the newest state as well.
        submitted_by = run.session.journal.name_of(run.state.created_by, run.state.created_for)
        details = details_of(run.state, log_files=log_files, submitted_by=submitted_by)
        return {**details, "status": run.shown_status}

    def get_details_with_logs(self) -> dict[str, Any]:
        """`get_details()` with the text of the log files instead of their addresses."""
        from runlore.engine.runs.logs import read_log

        details = self.get_details()
        for name in details["logFiles"]:
            details["logFiles"][name] = read_log(self._handle, name).decode(errors="replace")
        return details

    def get_portal_url(self) -> str:
        """The address of the run's page while a Studio serves the workspace, else a command.

        The command shows the run in a shell on this machine.
        """
        return way_to_run(self._session, self._id)

    def start(self) -> None:
        """Record that a run is Running that another process created."""
        from runlore.engine.runs.ending import record_status

        record_status(self._handle, Status.RUNNING)

    def start_queued(self) -> None:
        """Let a Queued run execute here, as this user, with this process's environment.

        A run that this user has submitted on this machine starts by itself. After a restart of the
        machine, or in a workspace that was copied, it waits for this call: look first at what it
        executes, `get_details()["runDefinition"]`. It starts now, or when its turn comes.

        Raises UserError if the run is not Queued, ExperimentExecutionException if it is another
        user's, or a secret variable is missing.
        """
        from runlore.execution.explicit_start import queued_work, start_queued

        self._session.writable()
        start_queued(self._handle, queued_work(self._handle))

    def complete(self, _set_status: bool = True) -> None:
        """Write buffered values, keep the watched folders, and end the run as Completed.

        Idempotent. Raises RunEnded if the run failed or was canceled.
        """
        self._end(Status.COMPLETED, None, _set_status)

    def finish(self, exit_code: int | None = None) -> None:
        """End the run as W&B does: as Completed, or as Failed for an exit code other than 0.

        Raises as `complete` and `fail` do.
        """
        if exit_code:
            self.fail(f"exit code {exit_code}")
        else:
            self.complete()

    def fail(
        self,
        error_details: str | BaseException | None = None,
        error_code: str | None = None,
        _set_status: bool = True,
    ) -> None:
        """End the run as Failed, with a message or an exception as the reason.

        Raises InvalidType (a TypeError) for details of another type, RunEnded as `complete` does.
        """
        self._end(Status.FAILED, error_document(error_details, error_code), _set_status)

    def _end(self, status: Status, error: Mapping[str, str] | None, set_status: bool) -> None:
        from runlore.engine.runs.ending import end_run
        from runlore.engine.runs.leaving import leave

        if self._handle.leaves and set_status:
            leave(self._handle, status, error)
        else:
            end_run(self._handle, status, set_status=set_status, error=error)

    @deferrable
    def cancel(self, *, reason: str | None = None) -> None:
        """End the run as Canceled. Raises RunEnded if the run completed or failed.

        If another process executes the run and is alive, it is asked to stop, and sees
        `should_stop`; the status is CancelRequested until it ends the run. A submitted run is asked
        as well; this waits up to 5 s for it, and returns with the status CancelRequested if the
        script takes longer. The history shows the `reason`.
        """
        from runlore.engine.runs.ending import cancel_run

        run = self._handle
        run.session.writable()
        if reason is not None:
            check_text(reason, "reason")
        if not run.owns_status:
            warn_caller(f"run {self._id} can only be canceled by its launcher")
        elif run.fetch().submitted:
            from runlore.execution.cancellation import cancel_submitted

            cancel_submitted(run, reason)
        else:
            cancel_run(run, reason=reason)

    @property
    def should_stop(self) -> bool:
        """Whether the run was asked to stop, or has ended; for loops of training code.

        It costs next to nothing: the log is read at most once a second.

        >>> from runlore import init
        >>> with init("stoppable", workspace=getfixture("tmp_path") / "lab") as run:
        ...     for epoch in range(3):
        ...         if run.should_stop:
        ...             break
        ...         run.log("loss", 1 / (epoch + 1))
        >>> run.get_status()
        'Completed'
        """
        return self._handle.should_stop

    def archive(self, *, reason: str | None = None) -> None:
        """Hide the run from lists; it is found by its id, and below its parent, as before."""
        from runlore.engine.runs.going_on import archive

        archive(self._handle, reason)

    def reactivate(self, *, reason: str | None = None) -> None:
        """Show an archived run in lists again."""
        from runlore.engine.runs.going_on import reactivate

        reactivate(self._handle, reason)

    def resume(self, *, reason: str, end_at_exit: bool = True) -> None:
        """Let a run that has ended go on in this process; does nothing if it is executing.

        Its values and files stay, automatic steps go on after the last ones, and the history shows
        the reason. It ends with this process, or stays Running if `end_at_exit` is False. Raises
        InvalidInput for a submitted run, which would begin again: submit it again.

        >>> from runlore import init
        >>> with init("resumable", workspace=getfixture("tmp_path") / "lab") as run:
        ...     run.log("loss", 0.5)
        >>> run.resume(reason="two more epochs")
        >>> with run:
        ...     run.log("loss", 0.25)
        >>> run.get_status(), run.get_metrics()
        ('Completed', {'loss': [0.5, 0.25]})
        """
        from runlore.engine.runs.going_on import resume

        resume(self._handle, reason)
        self._handle.end_with_process(end_at_exit)

    def rewind(self, step: int) -> None:
        """Go back to a step, as when training goes on from a checkpoint: later steps are void.

        No read shows their values any more, except as of an earlier moment. Values of the step
        itself and of earlier ones stay, and automatic steps go on after the last one that is left.

        >>> from runlore import init
        >>> with init("rewindable", workspace=getfixture("tmp_path") / "lab") as run:
        ...     run.log_batch("loss", [0.5, 0.4, 7.0])
        ...     run.rewind(1)
        ...     run.log("loss", 0.3)
        >>> run.get_metrics()
        {'loss': [0.5, 0.4, 0.3]}
        """
        from runlore.engine.runs.going_on import rewind

        rewind(self._handle, step)

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
    ) -> dict[str, Any]:
        """Return `get_details()` once the run has ended, no matter which process ends it.

        With `show_output` the output of a submitted script is printed here as it appears.
        Finalizing and CancelRequested count as ended unless `wait_post_processing` is set; for a
        submitted run, this always waits until its end. Raises ActivityFailedException if the run
        failed (unless `raise_on_error` is False); ExperimentExecutionException on Ctrl-C, after
        which the run continues.
        """
        from runlore.execution.waiting import wait_for

        try:
            wait_for(
                self._handle,
                show_output=show_output,
                wait_post_processing=wait_post_processing,
                web_view=self.get_portal_url(),
            )
        except KeyboardInterrupt as error:
            raise ExperimentExecutionException(
                f"waiting for run {self._id} was interrupted; the run itself continues, "
                "end it with run.cancel()"
            ) from error
        details = self.get_details()
        if details["status"] == "Failed" and raise_on_error:
            raise ActivityFailedException(
                f"Activity Failed:\n{json.dumps(details['error'], indent=4)}\n"
                f"while waiting for run {self._id}"
            )
        return details

    def __enter__(self) -> Self:
        from runlore.engine.runs.ending import has_ended

        run = self._handle
        run.session.writable()
        if run.owns_status and has_ended(run):
            raise RunEnded(self._id, str(run.state.status), str(Status.RUNNING))
        tee = _WATCHED_BY_DEFAULT in run.state.outputs and not self._user_logs
        self._user_logs = (*self._user_logs, UserLog(tee=tee))
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        from runlore.engine.runs.ending import has_ended
        from runlore.engine.runs.files import keep_watched

        run = self._handle
        *outer, log = self._user_logs
        self._user_logs = tuple(outer)
        printed = log.close()
        if log.folder is not None:
            run.watched = {**run.watched, FOLDER: Path(log.folder)}
        ending = None if error is None else _ending_by(error)
        if ending is not None:
            self._end_with(ending, printed)
            return
        if printed is not None:
            self._try_all(partial(self._keep_printed, printed))
        if has_ended(run):
            keep_watched(run)
            run.session.flush()
        else:
            self.complete()

    def _keep_printed(self, printed: BinaryIO) -> None:
        """Keep what a block has printed; that of a second block of a run gets a number."""
        from runlore.engine.runs.files import free_name, keep_files

        with printed:
            stem, dot, suffix = NAME.rpartition(".")
            keep_files(self._handle, {free_name(self._handle, stem, dot + suffix): printed})

    def _end_with(self, ending: Ending, printed: BinaryIO | None) -> None:
        """End the run without hiding the exception that leaves the block."""
        from runlore.engine.runs.files import keep_watched

        self._try_all(
            *(() if printed is None else (partial(self._keep_printed, printed),)),
            partial(keep_watched, self._handle),
            partial(self._end_if_it_runs, ending),
        )

    def _try_all(self, *steps: Callable[[], None]) -> None:
        """Take the steps, with a warning for each that fails."""
        for step in steps:
            try:
                step()
            except (RunloreError, OSError) as problem:
                warn_caller(
                    f"run {self._id} has ended, but not all of it was recorded: {problem}",
                    RuntimeWarning,
                )

    def _end_if_it_runs(self, ending: Ending) -> None:
        from runlore.engine.runs.ending import has_ended, record_or_keep
        from runlore.engine.runs.leaving import leave

        run = self._handle
        if not run.owns_status or has_ended(run):
            run.session.flush()
            return
        if run.leaves:
            leave(run, *ending)
        else:
            record_or_keep(run, *ending)


def _ending_by(error: BaseException) -> Ending | None:
    """The ending of a block that an exception leaves; None for an exit with status 0."""
    ending = of_exception(error)
    return None if ending is COMPLETED else ending

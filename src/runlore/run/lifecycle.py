"""How a run stands, how it ends, and what `with` makes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from runlore.domain.errors import RunloreError
from runlore.engine.caller_warning import warn_caller
from runlore.engine.run_handle import checked_reason
from runlore.exceptions import ActivityFailedException, ExperimentExecutionException
from runlore.run.metrics import RunMetrics

if TYPE_CHECKING:
    from typing import Self

    from runlore.azure.user_log import UserLog

_POLL_INTERVAL_S: Final = 0.02
_CANCEL_WAIT_S: Final = 5.0
_WATCHED_BY_DEFAULT: Final = "outputs"


class RunLifecycle(RunMetrics):
    """The part of `Run` that is about its status."""

    # A launcher that runs a submitted script owns the run's status.
    _owns_status: bool = True
    # One for each `with` block that the run is in.
    _user_logs: tuple[UserLog, ...] = ()

    @property
    def status(self) -> str:
        """The status as this object last read it; `get_status()` reads it anew."""
        return str(self._held.status)

    def get_status(self) -> str:
        """The run's status now."""
        return str(self._newest().status)

    def get_detailed_status(self) -> dict[str, str | None]:
        """`{"status", "details"}`; the details say what the run waits for, if anything."""
        state = self._newest()
        return {"status": str(state.status), "details": state.status_detail}

    def get_details(self) -> dict[str, Any]:
        """The run as Azure ML's document: camelCase keys, those without a value absent."""
        from runlore.azure.documents import details_of

        session = self._session
        files = {name: path.absolute().as_uri() for name, path in self._log_files().items()}
        state = self._held
        return details_of(
            state, log_files=files, submitted_by=session.journal.name_of(state.created_by)
        )

    def get_details_with_logs(self) -> dict[str, Any]:
        """`get_details()` with the text of the log files instead of their addresses."""
        details = self.get_details()
        for name in details["logFiles"]:
            details["logFiles"][name] = self._log(name).decode(errors="replace")
        return details

    def get_portal_url(self) -> str:
        """The link to the run's page in the Studio."""
        return self._workspace._portal_url(f"runs/{self._id}")

    def start(self) -> None:
        """Makes a run Running that was created by somebody else."""
        self._change_status("Running")

    def complete(self, _set_status: bool = True) -> None:
        """Writes what waits, keeps the watched folders, and ends the run as Completed.

        Again is a no-op. Raises RunEnded on a run that failed or was canceled.
        """
        self._end("Completed", _set_status)

    def fail(
        self,
        error_details: str | BaseException | None = None,
        error_code: str | None = None,
        _set_status: bool = True,
    ) -> None:
        """Ends the run as Failed, with a message or an exception as the reason.

        Raises InvalidType (a TypeError) for details of another type, RunEnded as `complete`.
        """
        from runlore.azure.documents import error_document

        self._end("Failed", _set_status, error_document(error_details, error_code))

    def cancel(self, *, reason: str | None = None) -> None:
        """Ends the run as Canceled. Raises RunEnded on a run that completed or failed.

        A submitted run is asked to stop; this waits up to 5 s for it, and returns with the status
        CancelRequested if the script takes longer. `reason` says why, in the history.
        """
        self._session.check_writable()
        reason = checked_reason(reason)
        if not self._owns_status:
            warn_caller(f"run {self._id} is canceled by its launcher only")
        elif self._newest().submitted:
            self._cancel_submitted(reason)
        else:
            self._end("Canceled", set_status=True, reason=reason)

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
    ) -> dict[str, Any]:
        """Returns `get_details()` once the run has ended, whoever ends it.

        With `show_output` what a submitted script prints is printed here as it appears.
        Finalizing and CancelRequested count as ended unless `wait_post_processing` is set; a
        submitted run is always waited for to its end. Raises ActivityFailedException if it failed
        (unless `raise_on_error` is False), ExperimentExecutionException on Ctrl-C: the run then
        goes on.
        """
        from runlore.execution.waiting import wait_for

        try:
            wait_for(self, show_output, wait_post_processing)
        except KeyboardInterrupt as error:
            raise ExperimentExecutionException(
                f"waiting for run {self._id} was interrupted; the run itself goes on, "
                "end it with run.cancel()"
            ) from error
        details = self.get_details()
        if details["status"] == "Failed" and raise_on_error:
            raise ActivityFailedException(
                f"Activity Failed:\n{json.dumps(details['error'], indent=4)}\n"
                f"while run {self._id} was waited for"
            )
        return details

    def __enter__(self) -> Self:
        from runlore.azure.user_log import UserLog

        self._session.check_writable()
        tee = _WATCHED_BY_DEFAULT in self._held.outputs and not self._user_logs
        self._user_logs = (*self._user_logs, UserLog(tee=tee))
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        *outer, log = self._user_logs
        self._user_logs = tuple(outer)
        log.close()
        if log.folder is not None:
            self._watched = {**self._watched, log.folder.name: log.folder}
        if error is not None and not _exits_well(error):
            self._fail_with(error)
        elif self._ended():
            self._collect()
            self.flush()
        else:
            self.complete()

    def _change_status(
        self, status: str, error: Mapping[str, str] | None = None, reason: str | None = None
    ) -> None:
        from runlore.domain.run import ChangeStatus
        from runlore.domain.status import Status

        command = ChangeStatus(Status(status), error)
        self._change(command, with_values=True, reason=reason)

    def _end(
        self,
        status: str,
        set_status: bool,
        error: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> None:
        self._session.check_writable()
        if self._newest().status == status:
            self.flush()
            return
        self._collect()
        if set_status and self._owns_status:
            self._change_status(status, error, reason)
        else:
            self.flush()

    def _ended(self) -> bool:
        from runlore.domain.status import TERMINAL

        return self._newest().status in TERMINAL

    def _is_over(self, wait_post_processing: bool) -> bool:
        from runlore.domain.status import Status

        if self._ended():
            return True
        ending = (Status.FINALIZING, Status.CANCEL_REQUESTED)
        to_the_end = wait_post_processing or self._held.submitted
        return not to_the_end and self._held.status in ending

    def _cancel_submitted(self, reason: str | None) -> None:
        from runlore.domain.run import RequestCancel
        from runlore.domain.status import Status
        from runlore.execution.targets.target import attached, target_of

        was = self._held.status
        self._change(RequestCancel(), reason=reason)
        target = self._held.target or ""
        # One that was claimed meanwhile has a supervisor, which needs what lies there.
        unclaimed = was is Status.QUEUED and self._newest().status is Status.CANCELED
        if unclaimed and target in attached(self._session):
            target_of(self._session, target).withdraw(self._id)
        deadline = time.monotonic() + _CANCEL_WAIT_S
        while not self._ended() and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL_S)

    def _fail_with(self, error: BaseException) -> None:
        """Fails the run without standing in the way of the exception that leaves the block."""
        for step in (self._collect, lambda: self._fail_if_it_runs(error)):
            try:
                step()
            except (RunloreError, OSError) as problem:
                warn_caller(
                    f"run {self._id} failed, but not all of it was recorded: {problem}",
                    RuntimeWarning,
                )

    def _fail_if_it_runs(self, error: BaseException) -> None:
        from runlore.azure.documents import error_document

        if self._owns_status and not self._ended():
            self._change_status("Failed", error_document(error, None))
        else:
            self.flush()


def _exits_well(error: BaseException) -> bool:
    """Whether the interpreter, left by this exception, would exit with status 0."""
    if not isinstance(error, SystemExit):
        return False
    return error.code is None or (isinstance(error.code, int) and error.code == 0)

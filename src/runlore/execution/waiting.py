"""Waiting for a run's end, and showing meanwhile what its script prints."""

from __future__ import annotations

import codecs
import sys
import time
from typing import TYPE_CHECKING, BinaryIO, Final

from runlore.domain.status import TERMINAL, Status
from runlore.engine.caller_warning import warn_caller
from runlore.engine.runs.logs import log_files, open_log

if TYPE_CHECKING:
    from runlore.engine.runs.handle import RunHandle

_POLL_INTERVAL_S: Final = 0.02
_CHUNK_NBYTES: Final = 2**16
_STUCK_INTERVAL_S: Final = 1.0  # Looking for a deadlock reads the whole queue.


def wait_for(
    run: RunHandle, *, show_output: bool, wait_post_processing: bool, web_view: str
) -> None:
    """Returns when the run is over; with `show_output` prints its log and a summary.

    The log of a distributed script is that of its first process.
    """
    where = f"RunId: {run.id}\nWeb View: {web_view}\n"
    if show_output:
        _show(f"{where}\n")
    log = ShownLog(run) if show_output else None
    try:
        _wait(run, log, wait_post_processing)
    finally:
        if log is not None:
            log.close()
    if show_output:
        warnings = "".join(f"Warning: {one.message}\n" for one in run.state.warnings)
        _show(f"{warnings}Execution Summary\n=================\n{where}\n")


def _is_over(run: RunHandle, wait_post_processing: bool) -> bool:
    status = run.fetch().status
    if status in TERMINAL:
        return True
    to_the_end = wait_post_processing or run.state.submitted
    return not to_the_end and status in (Status.FINALIZING, Status.CANCEL_REQUESTED)


def _wait(run: RunHandle, log: ShownLog | None, wait_post_processing: bool) -> None:
    look_at: float | None = time.monotonic()
    while True:
        over = _is_over(run, wait_post_processing)
        if log is not None:
            log.show()
        if over:
            return
        run.session.writable()  # What was at a position does not go on.
        if look_at is not None and time.monotonic() >= look_at:
            look_at = None if _warn_if_stuck(run) else time.monotonic() + _STUCK_INTERVAL_S
        time.sleep(_POLL_INTERVAL_S)


class ShownLog:
    """The log of a submitted run, printed as far as it has come each time."""

    def __init__(self, run: RunHandle) -> None:
        self._run = run
        self._file: BinaryIO | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = False

    def show(self) -> None:
        """Prints what is new."""
        if self._file is None:
            self._file = self._open()
        while self._file is not None and (chunk := self._file.read(_CHUNK_NBYTES)):
            _show(self._decoder.decode(chunk))

    def close(self) -> None:
        """Prints the end of what the decoder holds back."""
        _show(self._decoder.decode(b"", final=True))
        if self._file is not None:
            self._file.close()
            _show("\n")

    def _open(self) -> BinaryIO | None:
        """The file while the script writes it, which stays readable when it has gone."""
        definition = self._run.state.definition
        if definition is None:
            return None
        name = primary_log(definition)
        path = log_files(self._run).get(name)
        # None, too, if the run has just ended: the file is elsewhere now.
        file = None if path is None else open_log(self._run, path)
        if file is not None and not self._begun:
            self._begun = True
            heading = f"Streaming {name}"
            _show(f"{heading}\n{'=' * len(heading)}\n")
        return file


def primary_log(definition: object) -> str:
    """The name of the log that stands for the run: that of the first process."""
    from runlore.domain.definition import Definition

    return Definition.model_validate(definition).log_name()


def _show(text: str) -> None:
    """Prints, also what the terminal has no characters for."""
    if text:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()


def _warn_if_stuck(run: RunHandle) -> bool:
    """Says so, once, if the run waits for a slot that it will never get while we wait for it."""
    import os

    from runlore.execution.targets.target import attached, target_of

    ours = os.environ.get("RUNLORE_RUN_ID")
    state = run.state
    if not ours or state.status is not Status.QUEUED or state.target not in attached(run.session):
        return False
    why = target_of(run.session.writable(), state.target).why_stuck(run.id, ours)
    if why is not None:
        warn_caller(f"run {run.id} is waited for and may never start: {why}", RuntimeWarning)
    return why is not None

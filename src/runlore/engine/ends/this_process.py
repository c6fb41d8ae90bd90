"""The end of this process is the end of the runs that it executes.

It leaves each of them, as `runlore.engine.runs.leaving` says: the last process that leaves a run
ends it. Of a run that this process only logged into, and that no other one executed, nothing is
said.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from runlore.domain.visible_text import visible
from runlore.engine.exits.at_exit import at_end
from runlore.engine.exits.endings import Ending, forget_program, how_it_ends
from runlore.engine.participants.others import others_in
from runlore.engine.runs.ending import keep_end
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.leaving import leave
from runlore.engine.session import LiveSession
from runlore.engine.shared_log import open_logs, rest_all
from runlore.storage import interruptions
from runlore.storage.patience import OF_AN_EXIT, Patience, patience

_MAX_S: Final = OF_AN_EXIT.at_most_s


def _end_process(ending: Ending | None) -> None:
    """Leave all runs, within 5 s, and let the logs rest."""
    deadline = time.monotonic() + _MAX_S
    with patience(Patience(_MAX_S, is_over=lambda: time.monotonic() >= deadline)):
        if not interruptions.interrupts():
            interruptions.catch_up()
        runs = list(_runs())
        try:
            if runs and ending is None:
                ending = how_it_ends()
            while runs and ending is not None and time.monotonic() < deadline:
                _leave(*runs[-1], ending)
                runs.pop()
        finally:  # Also if Ctrl-C interrupts it.
            for run, _ in runs:
                _keep(run, ending or how_it_ends())
            if interruptions.interrupts():
                interruptions.put_off(rest_all)
            else:
                rest_all()
                forget_program()


at_end(_end_process)


def _runs() -> Iterator[tuple[RunHandle, bool]]:
    """The runs that this process takes part in, and whether they end with it, the oldest first."""
    for shared in open_logs():
        sessions = [one for one in shared.sessions if isinstance(one, LiveSession)]
        session = next((one for one in sessions if not one.closed), None)
        if session is None or shared.held is None or shared.held.folder.is_removed:
            continue  # Nobody will see them, or the program has closed the workspace.
        for run_id, ends, holder in shared.participation.parts():
            run = holder if isinstance(holder, RunHandle) else RunHandle(session, run_id)
            if not run.is_closed:
                yield run, ends


def leave_open() -> None:
    """Let the end of this process say nothing about the runs that it takes part in so far."""
    for shared in open_logs():
        for run_id, _, _ in shared.participation.parts():
            shared.participation.end_with_process(run_id, None)


def _leave(run: RunHandle, ends: bool, ending: Ending) -> None:
    try:
        if ends:
            leave(run, *ending)
        else:
            _leave_others(run, ending)
    except Exception as error:
        _say(run, error)


def _leave_others(run: RunHandle, ending: Ending) -> None:
    """Leave a run that others execute, if any of them is known to have done so."""
    if interruptions.interrupts():
        interruptions.put_off(partial(_leave_others, run, ending))
        return
    session = run.session.writable()
    others = others_in(session.held, session.journal, run.fetch())
    if any(other.may_be_alive or other.died or other.outcome for other in others):
        leave(run, *ending)


def _keep(run: RunHandle, ending: Ending) -> None:
    try:
        keep_end(run, *ending)
    except Exception as error:
        _say(run, error)


def _say(run: RunHandle, error: Exception) -> None:
    sys.stderr.write(f"{visible(f'runlore: the end of run {run.id} is not recorded: {error}')}\n")

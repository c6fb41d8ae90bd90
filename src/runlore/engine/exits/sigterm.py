"""SIGTERM in a program that has no handler of its own: its runs are canceled, then it dies of it.

Slurm, Kubernetes and torchrun send it before they kill. The exit status stays the signal's. A
forked child, such as a data loader, has the default action as ever; so has the first process of a
container, which the kernel never ends by a default action.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Final

from runlore.engine.exits.at_exit import end
from runlore.engine.exits.endings import canceled
from runlore.storage import interruptions
from runlore.storage.handler_errors import handler_of

_DIES_AFTER_S: Final = 5.5
"""After the signal, whatever keeps the runs from ending; then their ends wait in the spool."""


def end_at_sigterm() -> None:
    """End the process's runs at SIGTERM, then die of the signal, unless the program handles it.

    Idempotent. Of Python's threads only the main one can set handlers: in another one nothing is
    done.
    """
    if threading.current_thread() is not threading.main_thread() or os.getpid() == 1:
        return
    if handler_of(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end_and_die)


def _end_and_die(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # A second one kills at once.
    interruptions.beside(_die_late)
    end(canceled("SIGTERM"))
    if interruptions.interrupts():
        interruptions.put_off(_die)  # The ends were put off as well: after them.
    else:
        _die()


def _die_late() -> None:
    time.sleep(_DIES_AFTER_S)
    _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


# --- forks ----------------------------------------------------------------------------------------
#
# What is sent to a forked child is not meant for its parent's runs. Python forgets a signal that
# comes before the child has its default action back, so it is held up until then.

_fork = threading.local()


def _hold_up() -> None:
    if handler_of(signal.SIGTERM) is _end_and_die:
        _fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _go_on() -> None:
    mask, _fork.mask = getattr(_fork, "mask", None), None
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _as_ever() -> None:
    if handler_of(signal.SIGTERM) is _end_and_die:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _go_on()


os.register_at_fork(before=_hold_up, after_in_parent=_go_on, after_in_child=_as_ever)

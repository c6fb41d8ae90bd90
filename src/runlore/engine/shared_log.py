"""One log for all openings of a workspace in this process: one writer, one spool, its tables.

A thousand open runs take no more descriptors and threads than one. Each session holds a `LogUse`;
the log is closed with the last of them. A session that is garbage may be finalized between any two
bytecodes of any thread, also of one that holds locks of this or another log: it is then let go of,
and the log closed, when these locks are free.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from runlore.domain.errors import WorkspaceClosed
from runlore.domain.visible_text import visible
from runlore.engine.caller_warning import warn_caller
from runlore.engine.capture.beside import Captures
from runlore.engine.capture.samples import Samples
from runlore.engine.console.consoles import Consoles
from runlore.engine.introduction import introduction
from runlore.engine.lanes import Lanes
from runlore.engine.participants.dropped_values import record_dropped
from runlore.engine.participants.heartbeat import Heartbeat
from runlore.engine.participants.own import Participation
from runlore.engine.participants.waiting_ends import WaitingEnds
from runlore.storage import fork_guard, interruptions
from runlore.storage.damage import DamageReport
from runlore.storage.errors import LogReadOnly
from runlore.storage.event_log import EventLog
from runlore.storage.held_folder import FolderMoved
from runlore.storage.held_path import hold
from runlore.storage.interruptions import AFTERWARDS, deferrable, is_owned
from runlore.storage.journal import Journal
from runlore.storage.spool import FILES_MAX, FILES_OF_AWAY
from runlore.storage.spool_folder import SPOOLS
from runlore.storage.value_buffer import ValueBuffer
from runlore.storage.writers import WriterLock

if TYPE_CHECKING:
    from runlore.storage.run_values import RunValues
    from runlore.storage.spool import Spool


class SharedLog:
    """A log that is open in this process, with its journal, logged values and projections.

    `files` is the workspace's folder, which is held open, or None for memory. `actor` is the
    writer's own, that of the first opening. `is_checked` says that the file system was found to be
    safe for a log. `sessions` are those that use it.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        files: Path | None,
        actor: str,
        is_checked: bool = False,
    ) -> None:
        self.log = log
        self.actor = actor
        self.is_checked = is_checked
        self.held = held = log.folder or (None if files is None else hold(files))
        self.writer_lock = None if held is None else WriterLock(held)
        damage = DamageReport(warn_caller)
        self.journal = Journal(
            log, lambda: introduction(actor), announce=self._announce, damage=damage
        )
        self.spools = None if held is None else held / SPOOLS
        self.heartbeat = Heartbeat(
            log.presence, lambda: self.journal.writer_id, lambda: self.participation.told()
        )
        self.participation = Participation(
            self.journal, held, self.writer_lock, self.heartbeat.begin
        )
        self.waiting_ends = WaitingEnds(self.journal, held, self.spools, self.participation)
        self.values = ValueBuffer(
            self.journal,
            self.spools,
            warn=warn_caller,
            wipes=log.erasable,
            max_files=FILES_OF_AWAY if log.may_be_away else FILES_MAX,
            record_dropped=partial(record_dropped, self.journal),
            record_ends=self.waiting_ends.record,
            beside=self.participation.beside,
        )
        self.lanes = Lanes(log, self.held, damage)
        self.captures = Captures()
        self.samples = Samples()
        self.consoles = Consoles()
        self.uses: set[LogUse] = set()
        self.sessions: WeakSet[object] = WeakSet()

    def _announce(self, writer_id: str) -> None:
        if self.writer_lock is not None:
            self.writer_lock.make(writer_id)
        self.heartbeat.begin()

    @property
    def is_in_place(self) -> bool:
        """Whether the workspace's folder is where it was opened."""
        return self.held is None or self.held.folder.is_in_place

    def rest(self) -> None:
        """Write buffered values and let go of all, as the process ends; raises the log's error.

        Handlers that come later, and threads that go on, may use it: each of their calls writes all
        that it brings. Nothing is left behind that says that this process was killed.
        """
        self.captures.settle()
        self.samples.close()
        self.consoles.close_all()
        self.lanes.close()
        try:
            self.values.rest()
            self.participation.rest()
        finally:
            self.heartbeat.close()
            self.log.close()
            if self.writer_lock is not None:
                self.writer_lock.close()

    def close(self, workspace: str) -> None:
        """Write buffered values and close all parts; raises as `ValueBuffer.close` does."""
        self.samples.close()
        self.consoles.close_all()
        # First: it ends the thread that publishes tables, which must not live on in DuckDB when the
        # process ends because the values could not be written. The next query opens them again.
        self.lanes.close()
        self.values.close(workspace)
        self.heartbeat.close()
        self.log.close()
        self.participation.close()
        if self.writer_lock is not None:
            self.writer_lock.close()
        if self.held is not None:
            self.held.folder.close()


class LogUse:
    """One session's use of a shared log, from its opening to its close.

    `name` is the workspace's name, for messages.
    """

    def __init__(self, shared: SharedLog, name: str) -> None:
        self.shared = shared
        self.name = name
        self.is_closed = False
        self._runs: dict[str, RunValues] = {}

    def another(self) -> LogUse:
        """A further use of the log. Raises WorkspaceClosed after `close()`."""
        if self.is_closed:
            raise WorkspaceClosed(self.name)
        return _used(self.shared, self.name)

    def spool(self) -> Spool:
        """This process's spool. Raises WorkspaceClosed after `close()`."""
        if self.is_closed:
            raise WorkspaceClosed(self.name)
        return self.shared.values.spool()

    def values_of(self, run_id: str, *, fresh: bool, actor: str | None) -> RunValues:
        """The values that this user logs into a run, for an actor other than the writer's own."""
        values = self._runs.get(run_id)
        if values is None:
            made = self.shared.values.of_run(run_id, fresh=fresh, spool=self.spool, actor=actor)
            values = self._runs.setdefault(run_id, made)
        return values

    def close(self) -> None:
        """Write buffered values, and close the log if nobody else uses it. Idempotent.

        If the values cannot be written, raises the log's error and stays open. A user that logged
        nothing leaves those of others waiting, and all that a log of a newer runlore does not take
        is left to that one, in the spool; so is what belongs in a folder that was moved. Values
        for a log that may only be read are given up, with a warning.
        """
        if self.is_closed:
            return
        if self._runs:
            with suppress(LogReadOnly, FolderMoved):
                self.shared.values.flush()
        self._end()
        self.shared.lanes.leave(self)
        if _open_logs.leave(self):
            try:
                self.shared.close(self.name)
            except BaseException:
                self.is_closed = False
                self.shared.uses.add(self)
                raise

    def abandon(self) -> None:
        """Close after the session is gone; values that cannot be written are reported as lost.

        Writes nothing while others use the log: it may interrupt them, and they write.
        """
        if not self.is_closed:
            self._end()
            self.shared.lanes.forget(self)
            _open_logs.abandon(self)

    def _end(self) -> None:
        self.is_closed = True
        for values in list(self._runs.values()):
            values.close()


class _OpenLogs:
    """The logs that this process has open, by their identity; a forked child begins anew."""

    fork_order = fork_guard.ForkOrder.OPEN_LOGS

    def __init__(self) -> None:
        self._lock = interruptions.new_lock(self)
        self._pid = os.getpid()
        self._logs: dict[Hashable, SharedLog] = {}
        self._all: set[SharedLog] = set()  # Also those that are not shared, or are a parent's.
        self._abandoned: deque[LogUse] = deque()
        fork_guard.guard(self)

    def join(self, key: Hashable, name: str) -> LogUse | None:
        """A use of the log that is open under a key; None if there is none.

        One that was opened where it is no more goes on there, if it is put back: it is not shared.
        """
        with self._locked():
            shared = self._logs.get(key)
            return _used(shared, name) if shared is not None and shared.is_in_place else None

    def add(self, key: Hashable | None, made: SharedLog, name: str) -> LogUse:
        """A use of a log that was just opened, or of one that another thread opened before."""
        with self._locked():
            shared = None if key is None else self._logs.get(key)
            if shared is None or not shared.is_in_place:
                shared = made
            if key is not None:
                self._logs[key] = shared
            self._all.add(shared)
            use = _used(shared, name)
        if shared is not made:
            made.close(name)
        return use

    def leave(self, use: LogUse) -> bool:
        """End a use; returns whether it was the last, so that the caller must close the log.

        From then on the log is opened anew, even while it is being closed.
        """
        with self._locked():
            return self._left_last(use)

    def abandon(self, use: LogUse) -> None:
        """End a use in a finalizer: at once, or when the lock's holder lets go of it.

        It never waits: the holder may be interrupted by it, or be about to fork and wait for the
        thread that it interrupts.
        """
        self._abandoned.append(use)
        self._let_go()

    def all(self) -> list[SharedLog]:
        """The logs that this process has open."""
        return list(self._all)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with AFTERWARDS, self._lock:
            if self._pid != os.getpid():  # A fork that bypassed our hooks.
                self._logs, self._pid = {}, os.getpid()
            yield
        self._let_go()

    def _let_go(self) -> None:
        while self._abandoned and not is_owned(self._lock) and self._lock.acquire(blocking=False):
            try:
                last = [use for use in self._taken() if self._left_last(use)]
            finally:
                self._lock.release()
            for use in last:
                _close_abandoned(use)

    def _taken(self) -> Iterator[LogUse]:
        while self._abandoned:
            yield self._abandoned.popleft()

    def _left_last(self, use: LogUse) -> bool:
        shared = use.shared
        shared.uses.discard(use)
        if shared.uses:
            return False
        self._all.discard(shared)
        for key in [key for key, log in self._logs.items() if log is shared]:
            del self._logs[key]
        return True

    # --- forks ------------------------------------------------------------------------------

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()
        self._let_go()

    def after_fork_in_child(self) -> None:
        # The sessions of the parent keep their logs here, each made ready by its own hooks.
        self._lock = interruptions.new_lock(self)
        self._logs, self._pid = {}, os.getpid()


def use_log(
    identity: Callable[[], Hashable | None], opened: Callable[[], SharedLog], name: str
) -> LogUse:
    """A use of the log of an identity: the one that this process has open, or one opened now.

    `identity` returns None if there is no such log yet, and for one that is not to be shared.
    Raises Interrupting.
    """
    interruptions.check()
    key = identity()
    joined = None if key is None else _open_logs.join(key, name)
    if joined is not None:
        return joined
    made = opened()
    return _open_logs.add(made.log.identity or identity(), made, name)


_open_logs: Final = _OpenLogs()


def open_logs() -> list[SharedLog]:
    """The logs that this process has open."""
    return _open_logs.all()


def rest_all() -> None:
    """Let all logs rest, as the process ends; says on stderr what is lost."""
    interruptions.catch_up()
    for shared in open_logs():
        name = next((use.name for use in shared.uses), "")
        try:
            shared.rest()
        except Exception as error:
            _say_lost(name, error)


def _used(shared: SharedLog, name: str) -> LogUse:
    use = LogUse(shared, name)
    shared.uses.add(use)
    return use


@deferrable
def _close_abandoned(use: LogUse) -> None:
    # Put off, also for another log's locks: its close may wait for a thread that waits for these,
    # such as one that is about to fork.
    try:
        use.shared.close(use.name)
    except Exception as error:
        _say_lost(use.name, error)


def _say_lost(workspace: str, error: Exception) -> None:
    text = visible(f"runlore: values logged into {workspace!r} were lost: {error}")
    sys.stderr.write(f"{text}\n")

"""An open workspace: its reads, its changes, and its lifetime in this process."""

from __future__ import annotations

import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from runlore.domain import workspace as workspaces
from runlore.domain.decision import Decision
from runlore.domain.errors import InvalidInput, RunGone, RunloreError, WorkspaceClosed
from runlore.domain.fact import Fact
from runlore.domain.ids import WORKSPACE_STREAM
from runlore.domain.topics import END_TOPICS
from runlore.engine.caller_warning import warn_caller
from runlore.engine.capture.samples import is_first_on_host
from runlore.engine.introduction import actor_named
from runlore.engine.lanes import DEFAULT_LANE
from runlore.engine.settled_writers import remove_settled_locks
from runlore.engine.shared_log import LogUse
from runlore.storage import fork_guard, interruptions
from runlore.storage.artifact_backend import ArtifactBackend
from runlore.storage.artifact_places import (
    WAITING,
    ArtifactPlace,
    backend_of,
    how_to_set,
    place_of_artifacts,
    uri_of,
)
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.errors import DiskFull, LogBusy, LogReadOnly, LogTooNew, TooManyOpenFiles
from runlore.storage.event_log import EventLog
from runlore.storage.held_path import HeldPath
from runlore.storage.journal import Journal, StreamState
from runlore.storage.patience import OF_A_READ, patience
from runlore.storage.sealed_artifacts import sealed_artifacts
from runlore.storage.spool_folder import (
    NOTHING_LIVE,
    LiveValues,
    Recovery,
    ended_writers,
    holds_copied_spools,
    live_values_of,
)
from runlore.storage.writers import Life, states_in

if TYPE_CHECKING:
    from runlore.projections.reader import RunsReader
    from runlore.projections.sql_process.parent import IsolatedReader
    from runlore.storage.run_values import RunValues
    from runlore.storage.spool_format import EndIntent

S = TypeVar("S")

_LOOK_INTERVAL_S: Final = 1.0
_TIDY_INTERVAL_S: Final = 60.0
_SETTLE_INTERVAL_S: Final = 10.0
_ELSEWHERE_INTERVAL_S: Final = 60.0


class Caretaker(Protocol):
    """The service that looks after runs whose processes or supervisors were killed."""

    def settle(self, session: LiveSession, dead: Collection[str]) -> None:
        """End the interactive runs of writers that died. Raises the log's error."""

    def look_after(self, session: LiveSession) -> Mapping[str, str]:
        """Look after all submitted runs.

        Returns, by run id, the reason of each loss that could not be recorded.
        """

    def why_lost(self, session: LiveSession, run_id: str) -> str | None:
        """The reason why a submitted run is lost, if the loss could not be recorded."""

    def why_queued(self, session: LiveSession, run_id: str) -> str | None:
        """The reason why a queued run may never start; None if it will."""


class Session(ABC):
    """A workspace that can be read: as it is now (`LiveSession`) or as it was (`PastSession`).

    `files` is the workspace's folder, or None if its log is elsewhere; `held` is the folder on this
    machine that its processes share, held open: the workspace's own, or one beside its log.
    `executing` is the folder below which runs execute, or None if the session shows the past.
    """

    uri: str
    log: EventLog
    journal: Journal
    files: Path | None
    held: HeldPath | None
    executing: HeldPath | None
    erasable: bool
    is_memory: bool
    closed: bool = False

    @property
    @abstractmethod
    def workspace(self) -> workspaces.WorkspaceState:
        """The workspace's identity."""

    @property
    @abstractmethod
    def opening(self) -> dict[str, Any]:
        """The options of `Workspace.open` with which another process opens the workspace alike."""

    @property
    def is_copy(self) -> bool:
        """Whether the folder is a copy, in which nothing is recorded of processes and their runs.

        See `runlore.engine.repair`.
        """
        return False

    @abstractmethod
    def check_open(self) -> None:
        """Raise WorkspaceClosed after `close()`, and Interrupting in a call that may not read."""

    @abstractmethod
    def writable(self) -> LiveSession:
        """The session as one that can change the workspace. Raises PastIsReadOnly."""

    @abstractmethod
    def flush(self) -> None:
        """Write this process's buffered values to the log."""

    @abstractmethod
    def before_read(self, *, of_spools: bool = False) -> None:
        """Write this process's buffered values to the log, unless that must wait for others.

        Those that are not written are in the answers of reads `of_spools` (see `live_values`). For
        other reads a warning says that they are missing.
        """

    @abstractmethod
    def reader(self, lane: str = DEFAULT_LANE) -> RunsReader:
        """A lane's projection, for queries over all runs; queries of other lanes do not wait."""

    @abstractmethod
    def isolated(self, lane: str = DEFAULT_LANE) -> IsolatedReader:
        """A lane's process for SQL under limits. Raises InvalidInput for a workspace in memory."""

    @abstractmethod
    def artifacts_of(self, run_id: str) -> ArtifactStore:
        """The store of a run's files. Raises RunGone if the run was erased."""

    @property
    @abstractmethod
    def shared_artifacts(self) -> ArtifactStore:
        """The one store of all runs' files. Raises InvalidInput in an erasable workspace."""

    @abstractmethod
    def recover_values(self, *, waits: bool = False) -> None:
        """Write the values that ended processes left in their spools. Never raises.

        Part of a read, unless it `waits` for other writers as a write does.
        """

    def live_values(self, run_id: str) -> LiveValues:
        """The values that processes of this host have logged, but not written to the log."""
        return self.live_values_of((run_id,))[run_id]

    @abstractmethod
    def live_values_of(self, run_ids: Collection[str]) -> dict[str, LiveValues]:
        """The same of many runs; each spool is read once."""

    def takes_part(self, run_id: str) -> bool:
        """Whether this process takes part in the run, which is not lost then."""
        return False

    @abstractmethod
    def may_be_lost(self, run_id: str) -> bool:
        """Whether a run may be lost without a record of it, as the log cannot be written now.

        Looks at the writers at most once a second, and records the losses if that is possible.
        """

    @abstractmethod
    def why_lost(self, run_id: str) -> str | None:
        """The reason why a submitted run is lost, if the loss could not be recorded."""

    @abstractmethod
    def close(self) -> None:
        """Write buffered values, and close all parts that no other session uses. Idempotent.

        If the values cannot be written, raises the log's error and stays open.
        """

    @abstractmethod
    def why_queued(self, run_id: str) -> str | None:
        """The reason why a queued run may never start; None if it will."""

    def require_files(self) -> Path:
        """The workspace's folder on this machine. Raises InvalidInput if it has none."""
        if self.files is None:
            raise InvalidInput(
                f"workspace {self.workspace.name!r} has no folder on this machine; create one in "
                "a folder with Workspace.create('my-workspace')"
            )
        return self.files

    def require_held(self) -> HeldPath:
        """The workspace's folder on this machine, held open. Raises InvalidInput if it has none."""
        if self.held is None:
            self.require_files()
            raise AssertionError("a folder is held as long as its session is open")
        return self.held


class LiveSession(Session):
    """One opening of a workspace: its identity, files and care, on a log that openings share.

    `close()` writes buffered values; other sessions of the workspace stay open. A session is closed
    when its last reference is gone, or when the process exits. `actor` is the user or service for
    which this session writes. `at_run_end` is called after a run has ended, and returns a problem
    to warn about, or None. `is_memory` says that no other process can open the workspace.
    `runlore.entry.wiring` creates sessions.
    """

    fork_order = fork_guard.ForkOrder.SESSION

    def __init__(
        self,
        use: LogUse,
        *,
        uri: str,
        files: Path | None,
        artifacts: ArtifactPlace | None = None,
        actor: str,
        is_memory: bool = False,
        caretaker: Caretaker | None = None,
        at_run_end: Callable[[LiveSession], str | None] | None = None,
    ) -> None:
        shared = use.shared
        self.uri = uri
        self.log = shared.log
        self.files = files
        self.held = self.executing = shared.held
        self.is_memory = is_memory
        self._actor = actor
        self.journal = shared.journal.acting_as(None if actor == shared.actor else actor)
        self.participation = shared.participation
        self.captures = shared.captures
        self.samples = shared.samples
        self.consoles = shared.consoles
        self.heartbeat = shared.heartbeat
        self._waiting_ends = shared.waiting_ends
        self.spools = shared.spools
        self.erasable = self.log.erasable
        self.warned_of_no_snapshot = False
        self._told_artifacts = artifacts
        self._artifact_backend: ArtifactBackend | None = None
        self._artifacts: ArtifactStore | None = None
        self._caretaker = caretaker
        self._at_run_end = at_run_end
        self._warned_of_run_end = False
        self._look_at = 0.0
        self._writers_at = 0.0
        self._is_copy = False
        self._dead: list[str] = []
        self._settled: set[str] = set()
        self._settle_at = 0.0
        self._settles = False
        self._look_at_parts_at = 0.0
        self._tidy_at = 0.0
        self._elsewhere: list[str] = []
        self._elsewhere_at = 0.0
        self._tried: frozenset[str] = frozenset()
        self._try_at = 0.0
        self._has_unwritten = False
        self._told_unwritten = False
        self._lost: Mapping[str, str] = {}
        self._workspace: workspaces.WorkspaceState | None = None
        self._use = use
        self._origin: LiveSession | None = None  # A temporary folder of files lives with it.
        self._values = shared.values
        self._lanes = shared.lanes
        self._abandoned = weakref.finalize(self, use.abandon)
        self._abandoned.atexit = False  # Then `SharedLog.rest` is called.
        self._lock = threading.RLock()
        shared.sessions.add(self)
        fork_guard.guard(self)

    # --- the workspace's identity -----------------------------------------------------------

    @property
    def workspace(self) -> workspaces.WorkspaceState:
        """The workspace's identity."""
        self.has_workspace()
        assert self._workspace is not None, "the wiring returns only sessions with a workspace"
        return self._workspace

    def has_workspace(self) -> bool:
        """Whether the log holds the workspace's identity."""
        if self._workspace is None:
            self._workspace = workspaces.fold(None, self.journal.facts(WORKSPACE_STREAM))
            if self._workspace is None and self.journal.has_damaged_beginning():
                self._workspace = workspaces.UNKNOWN
        if self._workspace is not None:
            self._use.name = self._workspace.name
        return self._workspace is not None

    def create_workspace(self, command: workspaces.CreateWorkspace) -> None:
        """Write the workspace's identity to the log, unless another process already has."""
        stream: StreamState[workspaces.WorkspaceState | None] = StreamState(
            WORKSPACE_STREAM, workspaces.fold, None
        )
        self.journal.change(stream, lambda state: workspaces.decide(state, command))

    def adopt_workspace(self, command: workspaces.AdoptWorkspace) -> None:
        """Give a copied workspace an identity of its own."""
        stream: StreamState[workspaces.WorkspaceState | None] = StreamState(
            WORKSPACE_STREAM, workspaces.fold, None
        )
        self.change(stream, lambda state: workspaces.decide(state, command))
        self._workspace = None

    @property
    def is_copy(self) -> bool:
        """Whether the folder is a copy, as it was when it was last looked at; records nothing."""
        if time.monotonic() >= self._writers_at:
            self._look_at_writers()
        return self._is_copy

    def check_open(self) -> None:
        """Raise WorkspaceClosed after `close()`, and Interrupting in a call that may not read."""
        if self.closed:
            raise WorkspaceClosed(self.workspace.name)
        interruptions.check()

    # --- changes ----------------------------------------------------------------------------

    def writable(self) -> LiveSession:
        """The session itself. Raises WorkspaceClosed after `close()`."""
        if self.closed:
            raise WorkspaceClosed(self.workspace.name)
        return self

    @property
    def opening(self) -> dict[str, Any]:
        """The actor, the folder of artifacts, and whether the file system was not checked."""
        told = self._told_artifacts
        return {
            "actor": self._actor,
            "allow_network_file_system": not self._use.shared.is_checked,
            "artifacts": None if told is None else str(told),
        }

    def acting_as(self, actor: str) -> LiveSession:
        """Another session of this workspace, whose changes are recorded as those of the actor.

        Cheap: it shares the log and its tables. Close both; each stays open without the other.
        """
        self.check_open()
        own = actor_named(actor)
        session = LiveSession(
            self._use.another(),
            uri=self.uri,
            files=self.files,
            artifacts=self._told_artifacts,
            actor=own,
            is_memory=self.is_memory,
            caretaker=self._caretaker,
            at_run_end=self._at_run_end,
        )
        session._origin = self
        return session

    def change(
        self,
        stream: StreamState[S],
        decide: Callable[[S], Decision],
        *,
        flush_values: bool = False,
        reason: str | None = None,
    ) -> tuple[Fact, ...]:
        """Decide on a stream's newest state, and append the decided events.

        `flush_values` writes buffered values in the same commit. `reason` goes into the events'
        envelopes. Returns the facts that were appended. Raises the decision's refusal, after its
        events are written.

        A change that interrupts another call is put off, and returns nothing.
        """
        self.writable()
        if interruptions.interrupts():
            interruptions.put_off(
                partial(self.change, stream, decide, flush_values=flush_values, reason=reason)
            )
            return ()
        interruptions.catch_up()
        if not flush_values:
            facts = self.journal.change(stream, decide, reason=reason)
        else:
            with self._values.taken() as batch:
                facts = self.journal.change(stream, decide, values=batch, reason=reason)
        if self._at_run_end is not None and any(fact.topic in END_TOPICS for fact in facts):
            self._warn_once(self._at_run_end(self))
        return facts

    def _warn_once(self, problem: str | None) -> None:
        if problem is not None and not self._warned_of_run_end:
            self._warned_of_run_end = True
            warn_caller(problem, RuntimeWarning)

    # --- files ------------------------------------------------------------------------------

    @property
    def artifact_backend(self) -> ArtifactBackend:
        """The place of all files of all runs; it may be elsewhere if this user says so.

        Raises ArtifactFolderMissing, and ArtifactsLinked if it is a symbolic link.
        """
        if self._artifact_backend is None:
            told = self._told_artifacts
            place = self._usual_artifact_place() if told is None else told
            self._artifact_backend = self._backend_of(place)
        return self._artifact_backend

    def deliver_files(self) -> int:
        """Bring files that wait on this machine to their store; return how many.

        In an erasable workspace those of each run: what waits of an erased one was removed.
        """
        backend = self.artifact_backend
        if self.held is None or not self.erasable:
            return backend.deliver()
        waiting = self.held / WAITING
        runs = waiting.names() if waiting.is_folder() else []
        return sum(backend.below(run_id).deliver() for run_id in runs)

    def check_artifacts_found(self) -> None:
        """Raise InvalidInput if another process of this user would not find the artifacts.

        It knows the user's settings, and not the place that this session was told.
        """
        told = self._told_artifacts
        if told is None or self.held is None:
            return
        usual = self._backend_of(self._usual_artifact_place())
        if not usual.is_same_as(self.artifact_backend):
            raise InvalidInput(
                f"the artifacts of {self.held} are in {told} by an argument, which the processes "
                f"of submitted runs do not know; {how_to_set(self.held, str(told))}"
            )

    def _usual_artifact_place(self) -> ArtifactPlace:
        workspace = self.workspace
        return place_of_artifacts(
            self.require_held(),
            workspace.workspace_id,
            erasable=self.erasable,
            in_log=workspace.files_uri,
        )

    def place_files(self, place: ArtifactPlace) -> int:
        """Say in the log where the files of runs are from now on; return how many were copied.

        First, all that are here go there. Others who have the workspace open see the new place when
        they next open it. Raises InvalidInput in an erasable workspace, StoreUnavailable.
        """
        self.writable()
        command = workspaces.PlaceFiles(uri=uri_of(place))
        decision = workspaces.decide(self.workspace, command)
        self.deliver_files()
        source, backend = ArtifactStore(self.artifact_backend), self._backend_of(place)
        target = ArtifactStore(backend)
        _, count = target.take_all(source)
        target.deliver()
        if decision.events:
            stream: StreamState[workspaces.WorkspaceState | None] = StreamState(
                WORKSPACE_STREAM, workspaces.fold, None
            )
            self.change(stream, lambda state: workspaces.decide(state, command))
        self._workspace = self._artifacts = None
        self._told_artifacts, self._artifact_backend = None, backend
        return count

    def _backend_of(self, place: ArtifactPlace) -> ArtifactBackend:
        return backend_of(place, self.held, partial(warn_caller, category=RuntimeWarning))

    @property
    def shared_artifacts(self) -> ArtifactStore:
        """The one store of all runs' files. Raises InvalidInput in an erasable workspace."""
        if self.erasable:
            raise InvalidInput(
                f"in the erasable workspace {self.workspace.name!r} each run's events and files "
                "are sealed under a key of its own, so bundles can neither be made of them nor "
                "imported; export JSON Lines or Parquet, or use a workspace that is not erasable"
            )
        return self._store

    def artifacts_of(self, run_id: str) -> ArtifactStore:
        """The store of a run's files: one for all, or one under the run's own key.

        Raises RunGone if the run was erased.
        """
        if not self.erasable:
            return self._store
        key = self.log.key_of(run_id)
        if key is None:
            raise RunGone(run_id)
        return sealed_artifacts(self.artifact_backend.below(run_id), key)

    @property
    def _store(self) -> ArtifactStore:
        if self._artifacts is None:
            self._artifacts = ArtifactStore(self.artifact_backend)
        return self._artifacts

    # --- reads ------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write this process's buffered values to the log, unless it is of a newer runlore."""
        try:
            self.write_values()
        except LogTooNew:
            self._has_unwritten = True

    def before_read(self, *, of_spools: bool = False) -> None:
        """Write this process's buffered values to the log, unless that must wait for others."""
        self.check_open()
        try:
            with patience(OF_A_READ):
                self.write_values()
            self._has_unwritten = self._told_unwritten = False
        except (LogBusy, LogReadOnly, DiskFull, TooManyOpenFiles) as error:
            self._has_unwritten = True
            if not of_spools and not self._told_unwritten:
                self._told_unwritten = True
                warn_caller(
                    f"the answer lacks values that this process has logged: {error}", RuntimeWarning
                )

    def write_values(self) -> None:
        """Write this process's buffered values to the log. Raises what the log raises.

        A call that interrupts another one is put off.
        """
        self.writable()
        if interruptions.interrupts():
            interruptions.put_off(self.write_values)
        else:
            interruptions.catch_up()
            self._values.flush()

    def reader(self, lane: str = DEFAULT_LANE) -> RunsReader:
        """A lane's projection, after buffered values were written and lost runs were found."""
        self.before_read()
        self.recover_values()
        self.look_after()
        tables = self.tables(lane)
        self._forget_dead_writers(tables)
        return tables

    def isolated(self, lane: str = DEFAULT_LANE) -> IsolatedReader:
        """A lane's process for SQL, after the same; it brings its tables up to date itself."""
        self.before_read()
        self.recover_values()
        self.look_after()
        return self.process(lane)

    def process(self, lane: str = DEFAULT_LANE) -> IsolatedReader:
        """A lane's process for SQL of the log as it is, without preparation."""
        if self.is_memory:
            raise InvalidInput(
                f"workspace {self.workspace.name!r} is in this process's memory, which no other "
                "process can read; ask with isolated=False, where a query has no hard limits"
            )
        return self._lanes.process(lane, self._use, self.uri)

    def tables(self, lane: str = DEFAULT_LANE) -> RunsReader:
        """A lane's projection of the log as it is, without preparation."""
        return self._lanes.reader(lane, self._use)

    def drop_projection(self) -> None:
        """Close the projections of all lanes; the next queries open them again."""
        self._lanes.close()

    def values_of(self, run_id: str, *, fresh: bool = False) -> RunValues:
        """The values that this process logs into a run; `fresh` if it has just created it."""
        return self._use.values_of(run_id, fresh=fresh, actor=self.journal.actor)

    def sample_system(
        self, run_id: str, *, pid: int | None = None, host: str | None = None
    ) -> None:
        """Sample this machine and a process, by default this one, into a run until it ends.

        The names of the metrics begin with `host`, if it is given. Does nothing in all but the
        first of a job's processes on this host.
        """
        if is_first_on_host(os.environ):
            folder = None if self.held is None else str(self.held)
            self.samples.follow(self, run_id, pid=pid, folder=folder, host=host)

    def settle_capture(self, run_id: str) -> None:
        """Record what is left to record of a run that is about to end."""
        self.samples.leave(run_id)
        self.captures.settle(run_id)

    def open_console(self, run_id: str) -> None:
        """Keep what this process prints; not in memory, nor where runs can be erased.

        There its file would not be sealed while it grows.
        """
        if self.held is not None and not self.erasable:
            self.consoles.open(self.held, run_id)

    def go_on(self, run_id: str) -> None:
        """Let automatic steps of a run go on after the last values that are not void."""
        self._values.go_on(run_id)

    def put_end(self, intent: EndIntent) -> bool:
        """Keep in the spool how this process left a run, until it can be recorded.

        Returns whether it survives this process.
        """
        return self._values.put_end(intent)

    def drop_value(self, error: Exception) -> None:
        """Count a logged value that the error keeps from being stored; see `ValueBuffer.drop`."""
        self._values.drop(error)

    def note_end(self, intent: EndIntent) -> None:
        """Note in the spool an end that is put off, in case this process is killed before."""
        self._values.note_end(intent)

    def live_values_of(self, run_ids: Collection[str]) -> dict[str, LiveValues]:
        """The values that processes of this host have logged, but not written to the log.

        Those of this process are only read if the last attempt to write them failed.
        """
        if self.spools is None:
            return dict.fromkeys(run_ids, NOTHING_LIVE)
        own = self.journal.writer_id
        if self._has_unwritten and self._values.is_on_disk:
            return live_values_of(self.spools, self.log, run_ids)
        found = live_values_of(self.spools, self.log, run_ids, excluding_writer=own)
        if self._has_unwritten:
            for run_id, live in found.items():
                mark, pieces = self._values.waiting_of(run_id)
                found[run_id] = LiveValues(live.pieces | {own: pieces}, live.marks | {own: mark})
        return found

    # --- other processes --------------------------------------------------------------------

    def recover_values(self, *, waits: bool = False) -> None:
        """Write the values that ended processes left in their spools. Never raises.

        Values that cannot be written stay there, where reads of single runs find them; it is tried
        again after a second, or when another process has ended.
        """
        if self.spools is None:
            return
        with self._lock:  # Another thread may be about to write what this one wants to read.
            left = frozenset(ended_writers(self.spools, excluding=self.journal.writer_id))
            now = time.monotonic()
            if not left or (not waits and left <= self._tried and now < self._try_at):
                return
            self._tried, self._try_at = left, now + _LOOK_INTERVAL_S
            with suppress(RunloreError, OSError), nullcontext() if waits else patience(OF_A_READ):
                self.recovery(self.spools).run()
                self._waiting_ends.finish()

    def take_over(self, spools: HeldPath) -> int:
        """Write what ended processes left in the spools from which this workspace was moved away.

        Returns the number of values. Raises as the log does; nothing is lost then.
        """
        values = self.recovery(spools).run()
        self._waiting_ends.finish()
        return values

    def recovery(self, spools: HeldPath, *, from_copies: bool = False) -> Recovery:
        """The recovery of what dead processes left in the workspace's spools."""
        return Recovery(
            spools,
            self.journal,
            wipe=self.erasable,
            record=self._waiting_ends.record,
            warn=warn_caller,
            from_copies=from_copies,
        )

    def look_after(self, *, at_once: bool = False) -> Mapping[str, str]:
        """Look after submitted runs whose supervisors were killed, at most once a second.

        Part of a read, unless it is to be done `at_once`. Not in a copy of the folder: the
        supervisors may be alive in the original. Returns, by run id, the reason of each loss that
        could not be recorded.
        """
        now = time.monotonic()
        if at_once or now >= self._look_at:
            self._look_at = now + _LOOK_INTERVAL_S
            self._look_at_writers()
            self._settle_dead_writers()
            if self._caretaker is not None:
                with nullcontext() if at_once else patience(OF_A_READ):
                    self._lost = {} if self._is_copy else self._caretaker.look_after(self)
        return self._lost

    def _look_at_writers(self) -> None:
        if self.held is None:
            return
        self._writers_at = time.monotonic() + _LOOK_INTERVAL_S
        states = states_in(self.held)
        self._is_copy = any(state.in_copy for state in states.values()) or holds_copied_spools(
            self.held
        )
        self._dead = [one for one, state in states.items() if state.life is Life.DEAD]
        self._dead += self._dead_elsewhere(set(states))

    def _dead_elsewhere(self, here: Collection[str]) -> list[str]:
        """The writers of other machines that count as dead; asked for once a minute."""
        presence, now = self.log.presence, time.monotonic()
        if presence is not None and now >= self._elsewhere_at:
            self._elsewhere_at = now + _ELSEWHERE_INTERVAL_S
            with suppress(RunloreError), patience(OF_A_READ):
                self._elsewhere = [
                    one.writer_id
                    for one in presence.heard()
                    if one.state.life is Life.DEAD and one.writer_id not in here
                ]
        return self._elsewhere

    def takes_part(self, run_id: str) -> bool:
        """Whether this process takes part in the run, which is not lost then."""
        return self.participation.since(run_id) is not None

    def may_be_lost(self, run_id: str) -> bool:
        """Whether a run may be lost without a record of it, as the log cannot be written now."""
        if self.takes_part(run_id) or self._settles:
            return False
        if time.monotonic() >= self._writers_at:
            self._look_at_writers()
            self._settle_dead_writers()
        return not (self._is_copy or self._settled.issuperset(self._dead))

    def _settle_dead_writers(self) -> None:
        now, new = time.monotonic(), set(self._dead) - self._settled
        if self._is_copy or self._caretaker is None or now < self._settle_at:
            return
        if not new and now < self._look_at_parts_at:
            return
        self._look_at_parts_at = now + _TIDY_INTERVAL_S
        self._settle_at = now + _SETTLE_INTERVAL_S
        self._settles = True
        try:
            with suppress(RunloreError, OSError), patience(OF_A_READ):
                self._caretaker.settle(self, new)
                self._settled |= new
                self._settle_at = 0.0
        finally:
            self._settles = False

    def _forget_dead_writers(self, tables: RunsReader) -> None:
        now = time.monotonic()
        if self._dead and self.held is not None and now >= self._tidy_at:
            self._tidy_at = now + _TIDY_INTERVAL_S
            remove_settled_locks(self.held, self._dead, tables)

    def why_lost(self, run_id: str) -> str | None:
        """The reason why a submitted run is lost, if the loss could not be recorded."""
        lost = self.look_after().get(run_id)
        if lost is None and self._caretaker is not None and not self._is_copy:
            with patience(OF_A_READ):
                return self._caretaker.why_lost(self, run_id)
        return lost

    def why_queued(self, run_id: str) -> str | None:
        """The reason why a queued run may never start; None if it will."""
        if self._caretaker is None:
            return None
        return self._caretaker.why_queued(self, run_id)

    # --- life -------------------------------------------------------------------------------

    def close(self) -> None:
        """Write buffered values, and close all parts that no other session uses. Idempotent.

        If the values cannot be written, raises the log's error and stays open. A call that
        interrupts another one is put off.
        """
        if interruptions.interrupts():
            # Another thread: what is put off must not wait for one that closes the session.
            interruptions.put_off(partial(interruptions.beside, self.close))
            return
        self.captures.settle()
        with self._lock:
            if not self.closed:
                self._use.close()
                self.closed = True
                self._abandoned.detach()

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()

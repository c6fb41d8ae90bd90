"""An open workspace in this process: the one place where its parts are wired."""

from __future__ import annotations

import getpass
import os
import socket
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from runlore.domain import compute_target as targets
from runlore.domain import experiment as names
from runlore.domain import run as runs
from runlore.domain import run_state
from runlore.domain import workspace as workspaces
from runlore.domain.decision import Decision
from runlore.domain.errors import InvalidInput, RunGone, RunloreError, RunNotFound, WorkspaceClosed
from runlore.domain.events import Event, WriterOpened
from runlore.domain.fact import Fact
from runlore.domain.ids import (
    WORKSPACE_STREAM,
    check_run_id,
    compute_target_stream,
    experiment_stream,
    owner_of,
    run_stream,
)
from runlore.domain.run_state import RunState
from runlore.domain.topics import END_TOPICS
from runlore.engine.caller_warning import warn_caller
from runlore.storage import fork_guard
from runlore.storage.artifacts import ArtifactStore, artifacts_below
from runlore.storage.event_log import EventLog
from runlore.storage.filesystem import check_file_system
from runlore.storage.journal import Journal, Pending, StreamState
from runlore.storage.log_opener import LogLocation
from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_log import open_log
from runlore.storage.run_folder import boot_id
from runlore.storage.sealed_artifacts import sealed_artifacts_below
from runlore.storage.spool_folder import NOTHING_LIVE, LiveValues, live_values, recover
from runlore.storage.value_buffer import ValueBuffer
from runlore.version import VERSION

if TYPE_CHECKING:
    from runlore.projections.reader import RunsReader

_SWEEP_INTERVAL_S: Final = 1.0

RunStream = StreamState[RunState | None]
TargetStream = StreamState[targets.TargetState | None]
ExperimentStream = StreamState[names.NameState]


class Session:
    """Log, journal, values, artifacts and projection of one workspace, and their life.

    `folder` is None for a workspace in memory. Everything opens lazily; `close()` writes what
    waits. A session that nobody refers to any more is closed, and all are at the process's exit.
    """

    fork_order = fork_guard.ForkOrder.SESSION

    def __init__(
        self, log: EventLog, *, folder: Path | None, artifacts: Path, actor: str | None
    ) -> None:
        self.folder = folder
        self.log = log
        self.journal = Journal(log, lambda: _introduce(actor))
        self.spools = folder and folder / "spools"
        # Where submitted runs execute, and their logs are as long as they do.
        self.executing = folder
        self._audit_settings = folder and folder / "audit" / "settings.json"
        self.erasable = log.erasable
        self.values = ValueBuffer(self.journal, self.spools, warn=warn_caller, wipes=self.erasable)
        self._artifact_folder = artifacts
        self._artifacts = artifacts_below(artifacts)
        self.closed = False
        self.warned_of_no_snapshot = False
        self._warned_of_no_checkpoint = False
        self._sweep_at = 0.0
        self._recover_at = 0.0
        self._lost: Mapping[str, str] = {}
        self._workspace: workspaces.WorkspaceState | None = None
        self._parts = _Parts(str(folder), log, self.values)
        self._abandoned = weakref.finalize(self, _close_abandoned, self._parts)
        self._lock = threading.RLock()
        fork_guard.guard(self)

    @property
    def workspace(self) -> workspaces.WorkspaceState:
        """Who the workspace is."""
        self.has_workspace()
        assert self._workspace is not None, "only a session that has one is given away"
        return self._workspace

    def has_workspace(self) -> bool:
        """Whether the log has its identity already."""
        if self._workspace is None:
            self._workspace = workspaces.fold(None, self.journal.facts(WORKSPACE_STREAM))
        if self._workspace is not None:
            self._parts.name = self._workspace.name
        return self._workspace is not None

    def create_workspace(self, command: workspaces.CreateWorkspace) -> None:
        """Gives the log its identity; if another process was faster, takes that one."""
        folded: StreamState[workspaces.WorkspaceState | None] = StreamState(
            WORKSPACE_STREAM, workspaces.fold, None
        )
        self.journal.change(folded, lambda state: workspaces.decide(state, command))

    def check_open(self) -> None:
        """Raises WorkspaceClosed after `close()`."""
        if self.closed:
            raise WorkspaceClosed(self.workspace.name)

    def check_writable(self) -> None:
        """Raises what whoever wants to change something is to be told before anything is done."""
        self.check_open()

    def run(self, run_id: str) -> RunStream:
        """A run's stream, not read yet."""
        return StreamState(run_stream(run_id), run_state.fold, None)

    def existing_run(self, run_id: str) -> RunStream:
        """A run's stream, read. Raises RunNotFound if there is none of this id."""
        self.check_open()
        folded = self.run(check_run_id(run_id))
        if self.journal.refresh(folded) is None:
            raise RunNotFound(run_id, f"workspace {self.workspace.name!r}")
        return folded

    def change_run(
        self,
        folded: RunStream,
        command: runs.Command,
        *,
        with_values: bool = False,
        reason: str | None = None,
    ) -> Sequence[Fact]:
        """Runs a command on a run; `with_values` writes its waiting values in the same commit.

        `reason` stands in the envelope of the events.
        """
        self.check_writable()

        def decide(state: RunState | None) -> Decision:
            return runs.decide(state, command, self.journal.writer_id)

        if not with_values:
            facts = self.journal.change(folded, decide, reason=reason)
        else:
            with self.values.taken() as batch:
                facts = self.journal.change(folded, decide, values=batch, reason=reason)
        if any(fact.topic in END_TOPICS for fact in facts):
            self._make_checkpoint()
        return facts

    def _make_checkpoint(self) -> None:
        """Signs the log where the workspace is set so: a run has reached its end."""
        if self._audit_settings is None or not self._audit_settings.exists():
            return
        from runlore.audit.audited import AuditedLog
        from runlore.audit.checkpoints import at_run_end

        problem = at_run_end(AuditedLog.of_session(self))
        if problem is not None and not self._warned_of_no_checkpoint:
            self._warned_of_no_checkpoint = True
            warn_caller(f"no checkpoint was made at the run's end: {problem}", RuntimeWarning)

    def check_change(self, folded: RunStream, command: runs.Command) -> None:
        """Raises what the command would, on the state as it was read; changes nothing."""
        refused = runs.decide(folded.state, command, None).refused
        if refused is not None:
            raise refused

    def create_run(
        self, folded: RunStream, command: runs.CreateRun, events: Sequence[Event] = ()
    ) -> None:
        """Creates a run, with more events of its stream in the same commit."""
        self.check_writable()

        def decide(state: RunState | None) -> Decision:
            created = runs.decide(state, command, self.journal.writer_id)
            return Decision((*created.events, *events))

        self.journal.change(folded, decide)

    def create_runs(self, folded: Sequence[RunStream], commands: Sequence[runs.CreateRun]) -> None:
        """Creates many runs with fresh ids in one commit."""
        self.check_writable()
        pending = [
            Pending(one.stream, 1, event)
            for one, command in zip(folded, commands, strict=True)
            for event in runs.decide(None, command, None).events
        ]
        self.journal.append(pending)

    @property
    def artifact_folder(self) -> Path:
        """Below which all files of all runs are kept."""
        return self._artifact_folder

    @property
    def shared_artifacts(self) -> ArtifactStore:
        """The one store of all runs' files. Raises InvalidInput in an erasable workspace."""
        if self.erasable:
            raise InvalidInput(
                f"in the erasable workspace {self.workspace.name!r} each run's events and files "
                "are sealed under a key of its own, so no bundle is made of them or goes into it; "
                "export JSON Lines or Parquet, or use a workspace that is not erasable"
            )
        return self._artifacts

    def artifacts_of(self, run_id: str) -> ArtifactStore:
        """Where the files of a run are: in one store for all, or each run's under its own key.

        Raises RunGone if the run was erased.
        """
        if not self.erasable:
            return self._artifacts
        key = self.log.key_of(run_id)
        if key is None:
            raise RunGone(run_id)
        return sealed_artifacts_below(self._artifact_folder / run_id, key)

    def name(self, name: str) -> ExperimentStream:
        """The stream of an experiment name, not read yet."""
        return StreamState(experiment_stream(name), names.fold, names.NameState())

    def change_name(self, folded: ExperimentStream, command: names.Command) -> None:
        """Runs a command on the experiments of a name."""
        self.check_writable()
        self.journal.change(folded, lambda state: names.decide(state, command))

    def target(self, name: str) -> TargetStream:
        """The stream of a compute target's name, not read yet."""
        return StreamState(compute_target_stream(name), targets.fold, None)

    def change_target(self, folded: TargetStream, command: targets.Command) -> None:
        """Runs a command on a compute target."""
        self.check_writable()
        self.journal.change(folded, lambda state: targets.decide(state, command))

    def reader(self) -> RunsReader:
        """The questions over all runs, with this process's waiting values written first."""
        self.check_open()
        self.values.flush()
        self.recover_values()
        self.sweep()
        return self.tables()

    def tables(self) -> RunsReader:
        """The questions over all runs, as the log has them."""
        with self._lock:
            if self._parts.reader is None:
                # Imported here: duckdb takes longer to import than all the rest of runlore.
                from runlore.projections.own_projection import OwnProjection
                from runlore.projections.reader import RunsReader

                folder = self.folder and self.folder / "projections"
                self._parts.reader = RunsReader(OwnProjection(self.log, folder))
            return self._parts.reader

    def drop_projection(self) -> None:
        """Closes what queries read; the next one opens it again."""
        with self._lock:
            reader, self._parts.reader = self._parts.reader, None
        if reader is not None:
            reader.projection.close()

    def recover_values(self, *, at_once: bool = False) -> None:
        """Writes the values that killed processes left in their spools, at most once a second.

        Where that cannot be done, they stay there, and reads of named runs find them.
        """
        now = time.monotonic()
        if self.spools is not None and (at_once or now >= self._recover_at):
            self._recover_at = now + _SWEEP_INTERVAL_S
            # A read must not fail, nor wait long, for what others left behind.
            with suppress(RunloreError, OSError):
                recover(self.spools, self.journal, wipe=self.erasable)

    def live_values(self, run_id: str) -> LiveValues:
        """What other processes of this host have logged into a run and not written yet."""
        if self.spools is None:
            return NOTHING_LIVE
        own = self.journal.writer_id
        return live_values(self.spools, self.log, run_id, excluding_writer=own)

    def sweep(self) -> Mapping[str, str]:
        """Looks after submitted runs whose supervisors were killed, at most once a second.

        Returns why runs are lost that could not be recorded as such, by id.
        """
        now = time.monotonic()
        if now >= self._sweep_at and self.folder and (self.folder / "runs").is_dir():
            self._sweep_at = now + _SWEEP_INTERVAL_S
            # Imported here: most workspaces have no submitted runs.
            from runlore.execution.caretaker import sweep

            self._lost = sweep(self)
        return self._lost

    def why_lost(self, folded: RunStream) -> str | None:
        """Looks after a submitted run that has not ended, and all others.

        Returns why it is lost if that could not be recorded.
        """
        from runlore.execution.caretaker import lose_without_folder

        run_id = owner_of(folded.stream)
        return self.sweep().get(run_id) or lose_without_folder(self, folded, run_id)

    def close(self) -> None:
        """Writes what waits and lets go of everything; twice is once.

        If the values cannot be written, raises what the log raises, and stays open.
        """
        with self._lock:
            if not self.closed:
                self._parts.close()
                self.closed = True
                self._abandoned.detach()

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()


class _Parts:
    """What a session has open, apart from it, so that it can be let go of without it."""

    def __init__(self, name: str, log: EventLog, values: ValueBuffer) -> None:
        self.name = name
        self.log = log
        self.values = values
        self.reader: RunsReader | None = None

    def close(self) -> None:
        self.values.close(self.name)
        if self.reader is not None:
            self.reader.projection.close()
        self.log.close()


def _close_abandoned(parts: _Parts) -> None:
    try:
        parts.close()
    except Exception as error:
        sys.stderr.write(f"runlore: values logged into {parts.name!r} were lost: {error}\n")


def open_session(
    place: LogLocation,
    *,
    actor: str | None = None,
    allow_network_file_system: bool = False,
    erasable: bool = False,
) -> Session:
    """The session of a workspace, whose folder must exist; the log is created if it is missing.

    A new log can be `erasable`, that is, keep payloads sealed.

    Raises UnsafeFileSystem on network mounts, NotALog, LogReadOnly, DiskFull as they say;
    InvalidInput for a place without a folder, which artifacts and live values need.
    """
    folder = place.folder
    if folder is None:
        raise InvalidInput(f"{place} has no folder on this machine, which a workspace needs")
    if not allow_network_file_system:
        check_file_system(folder)
    log = open_log(place, erasable=erasable)
    session = Session(log, folder=folder, artifacts=folder / "artifacts", actor=actor)
    session.recover_values()
    return session


def memory_session(name: str, *, actor: str | None = None) -> Session:
    """A session that lives in this process's memory; its files go to a temporary folder."""
    folder = tempfile.TemporaryDirectory(prefix="runlore-", ignore_cleanup_errors=True)
    session = Session(MemoryLog(), folder=None, artifacts=Path(folder.name), actor=actor)
    # The folder must go when the session does; whoever comes first, its exit or its collection.
    weakref.finalize(session, _remove, folder, os.getpid())
    session.create_workspace(
        workspaces.CreateWorkspace(
            workspace_id=str(uuid4()),
            name=name,
            subscription_id="",
            resource_group="",
            location="memory",
        )
    )
    return session


def _remove(folder: tempfile.TemporaryDirectory[str], owner: int) -> None:
    if os.getpid() == owner:  # A forked child must not take its parent's files away.
        folder.cleanup()


def _introduce(actor: str | None) -> WriterOpened:
    return WriterOpened(
        actor=_utf8(actor or os.environ.get("RUNLORE_ACTOR") or _user()),
        host=_utf8(socket.gethostname()),
        boot_id=boot_id(),
        pid=os.getpid(),
        process=_utf8(Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"),
        client_version=VERSION,
    )


def _utf8(text: str) -> str:
    """What the system gives may hold bytes that are not UTF-8; the log may not."""
    return text.encode("utf-8", "replace").decode()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container's user id often has no name.
        return f"uid {os.getuid()}"

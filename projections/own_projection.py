"""A reading process's own projection: caught up before each question, mended, and published."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from runlore.domain.errors import RunloreError
from runlore.domain.ids import WORKSPACE_STREAM
from runlore.domain.workspace import WorkspaceState, fold
from runlore.projections import generations
from runlore.projections.cached_tables import GENERATIONS, remove_from_before, tidy_at_times
from runlore.projections.connection import MEMORY_NBYTES
from runlore.projections.driver import duckdb, stop
from runlore.projections.generations import PUBLISHING, Publishing
from runlore.projections.open_tables import OpenTables
from runlore.projections.progress import Shown, nowhere
from runlore.projections.projection import DataErased
from runlore.projections.projection_of_runs import RunsProjection, tables_version
from runlore.projections.runner import APPLICATION, catch_up
from runlore.projections.segment_files import BOUNDS, Bounds
from runlore.projections.slots import DatabasePlace, ReaderSlot, Stamp, place_below
from runlore.projections.system_faults import fault_in
from runlore.projections.table_order import cluster
from runlore.storage import fork_guard, interruptions
from runlore.storage.artifact_places import backend_of, place_of_artifacts
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.codec import fact_of
from runlore.storage.damage import DamageReport
from runlore.storage.errors import told
from runlore.storage.event_log import EventLog
from runlore.storage.handler_errors import raising_what_handlers_raise
from runlore.storage.held_path import HeldPath
from runlore.storage.interruptions import AFTERWARDS
from runlore.storage.log_opener import file_of_log
from runlore.storage.system_errors import NO_ROOM, TOO_MANY_FILES, Fault, advice_on, fault_of
from runlore.storage.user_cache import Origin, find_cache, folder_of_log

if TYPE_CHECKING:
    from runlore.projections.shared_tables import SharedTables

T = TypeVar("T")

_abandoned: Final[list[OpenTables]] = []
"""Those of a parent process: to close them would wait for threads that do not exist here."""


class ProjectionFailed(RunloreError):
    """The tables could be made neither in a file nor in memory; the log is unaffected."""

    def __init__(self, reason: str, fault: Fault | None = None) -> None:
        advice = "free memory or disk space and ask again" if fault is None else advice_on(fault)
        super().__init__(
            f"could not bring the tables that queries read up to the log's head: {reason}; the "
            f"log itself is unaffected: {advice}"
        )
        self.reason = reason


class TablesChanged(RunloreError):
    """A query changed the tables, which no query may. They are dropped, and made again."""

    def __init__(self) -> None:
        super().__init__(
            "the query changed the tables that it reads, which no query may: its result is not "
            "given, and the tables are made again from the log, which is unaffected"
        )


class _NotReached(Exception):
    """The tables' files cannot be opened or read, for a fault of the system."""

    def __init__(self, error: Exception, fault: Fault) -> None:
        super().__init__(str(error))
        self.fault = fault


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except RunloreError:
        raise
    except (OSError, duckdb.IOException) as error:
        fault = fault_of(error) if isinstance(error, OSError) else fault_in(error)
        if fault is None or (isinstance(error, duckdb.Error) and fault in NO_ROOM):
            raise
        raise _NotReached(error, fault) from error


class OwnProjection:
    """The tables that one process asks. Any thread may; a forked child gets its own.

    Every answer sees all events that were committed, by any process, before the question. The
    projection lives in a slot below `folder`, where nobody else may be able to write: whatever is
    there is believed. Where that is None or cannot be written, it lives in memory. A file that is
    damaged, or of another log or version, is rebuilt silently. A long catch-up is published, so
    that others start from there: in the background, or by `close()`. `tidy` is called after both.
    `damage` is told of the events that no answer can show, and `shown` how far a catch-up is.
    `shared` are tables that other machines have published.
    """

    fork_order = fork_guard.ForkOrder.PROJECTION

    def __init__(
        self,
        log: EventLog,
        folder: Path | None,
        bounds: Bounds = BOUNDS,
        publishing: Publishing = PUBLISHING,
        *,
        tidy: Callable[[], None] | None = None,
        damage: DamageReport | None = None,
        shown: Shown = nowhere,
        shared: SharedTables | None = None,
    ) -> None:
        self.events_read = 0
        self._shared = shared
        self._shown = shown
        self._damage = damage or DamageReport()
        self._has_told = False
        self._lock = interruptions.new_lock(self)
        self.log = log
        self._bounds = bounds
        self._memory_nbytes = MEMORY_NBYTES
        self._publishing = publishing
        self._folder = folder and folder / self.tables_version
        self._tidy = tidy
        self._place: DatabasePlace | None = None
        self._tables: OpenTables | None = None
        self._publisher: threading.Thread | None = None
        self._publish_now = threading.Event()
        self._distrusts_generations = False
        fork_guard.guard(self)

    @classmethod
    def in_cache(
        cls,
        log: EventLog,
        workspace: HeldPath | None,
        damage: DamageReport | None = None,
        shown: Shown = nowhere,
    ) -> OwnProjection:
        """The projection of a log in a workspace's folder, with its tables in the user's cache.

        They are in memory if there is no folder, or if there can be no cache.
        """
        state = None
        if workspace is not None:
            state = fold(None, map(fact_of, log.read_stream(WORKSPACE_STREAM)))
        cache = find_cache().folder
        if workspace is None or state is None or cache is None:
            return cls(log, None, damage=damage, shown=shown)
        origin = Origin(state.workspace_id, state.name, str(workspace))
        try:
            kept = folder_of_log(cache, file_of_log(workspace), origin)
        except OSError:
            return cls(log, None, damage=damage, shown=shown)
        tidy = partial(tidy_at_times, cache)
        shared = None
        if log.may_be_away and not log.erasable:
            # Imported here: most logs are in folders.
            from runlore.projections.shared_tables import SharedTables

            shared = SharedTables(log, partial(_artifacts_of, workspace, state))
        return cls(log, kept, tidy=tidy, damage=damage, shown=shown, shared=shared)

    def refresh(self) -> int:
        """Catches up to the log's head; returns the applied position."""
        return self.ask(lambda tables: tables.position)

    def ask(self, question: Callable[[OpenTables], T]) -> T:
        """Catches up and answers; a broken file is rebuilt, the last time in memory."""
        with AFTERWARDS, self._lock:
            for folder, is_last in ((self._folder, False), (self._folder, False), (None, True)):
                try:
                    with raising_what_handlers_raise():
                        return self._answer(question, folder)
                except DataErased as erased:
                    # The tables, and perhaps generations, hold erased data: both must go.
                    self._discard()
                    self._distrusts_generations = True
                    if is_last:
                        raise ProjectionFailed("runs are erased all the time") from erased
                except _NotReached as error:  # They are fine, and can be used another time.
                    self._let_go()
                    if is_last:
                        raise ProjectionFailed(str(error), error.fault) from error
                except duckdb.OutOfMemoryException as error:
                    raise ProjectionFailed(str(error)) from error
                except duckdb.Error as error:
                    # Our own SQL cannot fail: the file is damaged, or cannot grow.
                    self._discard()
                    self._distrusts_generations = True  # It may have come from one.
                    if is_last:
                        raise ProjectionFailed(str(error), fault_in(error)) from error
            raise AssertionError("the last attempt answers or raises")

    def _answer(self, question: Callable[[OpenTables], T], folder: Path | None) -> T:
        with _reached():
            tables = self._still_there() or self._open(folder)
            began = time.monotonic()
            read = catch_up(tables.projection, self.log, shown=self._shown)
            self.events_read += read
            if read or not self._has_told:
                self._damage.tell(tables.projection.damaged())
                self._has_told = True
        took_s = time.monotonic() - began
        try:
            answer = question(tables)
        except BaseException:
            stop(tables.connection)
            raise
        if took_s > self._publishing.after_s:
            self._publish_soon()
        return answer

    def ask_in_doubt(
        self, question: Callable[[OpenTables], T], may_be_damage: Callable[[Exception], bool]
    ) -> T:
        """The answer to a question that hides the database's errors in its own.

        After an error that may be damage, all tables are read, so that damaged ones are rebuilt,
        and the question is asked again.
        """
        with AFTERWARDS, self._lock:
            try:
                return self.ask(question)
            except Exception as error:
                if not may_be_damage(error):
                    raise
            try:
                self._close_database()
                self.ask(OpenTables.read_all)
                return self.ask(question)
            except Exception:
                self._close_database()  # An internal error leaves a dead connection behind.
                raise

    def limit_memory(self, nbytes: int) -> None:
        """Let DuckDB fill this much memory, from the next question on, before it spills."""
        with AFTERWARDS, self._lock:
            if nbytes != self._memory_nbytes:
                self._memory_nbytes = nbytes
                self._close_database()  # Its settings are locked.

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Inside the block, which is within a question, the tables' files may not be written to.

        If they are, they are dropped, and TablesChanged is raised: the wall behind the fence of
        users' SQL, for a function that writes in a transaction of its own.
        """
        place = self._place
        before = _stamp_of(place)
        try:
            yield
        finally:
            if place is not None and _stamp_of(place) - before:
                self._discard()
                self._distrusts_generations = True  # They may share a segment.
                raise TablesChanged

    def published(self) -> list[generations.Generation]:
        """The generations that new processes would start from, newest first."""
        self.finish_publishing()
        return [] if self._folder is None else generations.finished(self._folder / GENERATIONS)

    @property
    def tables_version(self) -> str:
        """The version of the tables; those of another one are of no use here."""
        return f"{tables_version()}-duckdb{duckdb.__version__}"

    def publish(self) -> None:
        """Makes the tables, if they are in a slot, a generation that others start from."""
        # No space or no permission is not an error: nothing waits for a generation.
        with AFTERWARDS, self._lock, suppress(OSError, duckdb.Error):
            tables, slot = self._tables, self._place
            if tables is None or not isinstance(slot, ReaderSlot):
                return
            cluster(tables.projection.view, self._bounds.cluster_rows)
            tables.connection.execute("CHECKPOINT")
            position, leaf = tables.projection.view.applied(APPLICATION)
            if generations.publish(
                _generations(slot),
                slot.folder,
                position,
                leaf,
                self.log.last_erasure,
                replace=self._distrusts_generations,
                worth_positions=self._publishing.worth_positions,
            ):
                self._distrusts_generations = False

    @property
    def is_publishing(self) -> bool:
        """Whether a thread is going to publish, or does."""
        return self._publisher is not None

    def finish_publishing(self) -> None:
        """Returns when no thread publishes any more. Call it without the lock."""
        publisher = self._publisher
        if publisher is not None:
            self._publish_now.set()
            publisher.join()

    def close(self) -> None:
        """Closes the database and releases its slot. Idempotent."""
        self.finish_publishing()
        with AFTERWARDS, self._lock:
            used = self._place is not None
            self._let_go()
        if used and self._tidy is not None:
            self._tidy()

    # --- forks ----------------------------------------------------------------------------

    def before_fork(self) -> None:
        # Closed, because DuckDB's threads do not go along: a child could neither use nor destroy
        # its copy, and its DuckDB would hand it that copy whenever it opened the same file.
        while True:
            self.finish_publishing()
            self._lock.acquire()
            if self._publisher is None:
                break
            self._lock.release()
        self._close_database()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = interruptions.new_lock(self)
        self._publish_now = threading.Event()
        if self._tables is not None:  # A signal handler forked within a question.
            _abandoned.append(self._tables)
            self._tables = None
        if self._place is not None:
            self._place.forget()
            self._place = None

    # --- inside ---------------------------------------------------------------------------

    def _still_there(self) -> OpenTables | None:
        """The open tables, unless an erasure removed their file.

        The erasure waits until this process drops it, whether or not it had read the run.
        """
        if isinstance(self._place, ReaderSlot) and not self._place.holds_database():
            self._discard()
        return self._tables

    def _open(self, folder: Path | None) -> OpenTables:
        place = self._place = self._place or place_below(folder)
        if isinstance(place, ReaderSlot):
            projection = self._opened_slot(place)
        else:
            projection = self._opened_empty(place)
        self._tables = OpenTables(projection, self.log)
        return self._tables

    def _opened_slot(self, slot: ReaderSlot) -> RunsProjection:
        """The slot's tables, those of a generation that is further ahead, or empty ones."""
        self._drop_erased(slot)
        held = self._opened_as_it_is(slot) if slot.holds_database() else None
        position = 0 if held is None else held.view.applied(APPLICATION)[0]
        if not self._distrusts_generations:
            self._fetch_shared(slot, position)
            for generation in generations.usable(
                _generations(slot),
                self.log,
                after_position=position,
                worth_positions=self._publishing.worth_positions,
            ):
                if held is not None:
                    held.view.close()
                    held = None
                slot.clear()
                with suppress(OSError):
                    slot.begin(generation.position)
                    generation.copy_to(slot.folder)
                    opened = self._opened_as_it_is(slot)
                    if opened is not None:
                        return opened
        if held is None and generations.finished(_generations(slot)):
            self._distrusts_generations = True  # None of the existing ones was usable.
        return held or self._opened_empty(slot)

    def _fetch_shared(self, slot: ReaderSlot, position: int) -> None:
        """Fetch what another machine has published, if this one is far behind it."""
        if self._shared is not None:
            folder = _generations(slot)
            held = [position, *(one.position for one in generations.finished(folder))]
            self._shared.fetch(folder, self.tables_version, position=max(held))

    def _drop_erased(self, slot: ReaderSlot) -> None:
        """Removes all tables from before the last erasure, which another user may have ordered.

        An erasure cannot see into other users' caches.
        """
        erasure = self.log.last_erasure()
        if slot.begun_after < erasure:
            slot.clear()
            slot.begin(erasure)
            with suppress(OSError):
                remove_from_before(slot.folder.parents[1], erasure)

    def _opened_as_it_is(self, place: DatabasePlace) -> RunsProjection | None:
        """The tables in a place; None if they are damaged or of another log."""
        try:
            projection = RunsProjection.open(place, self._bounds, self._memory_nbytes)
            try:
                position, leaf = projection.view.applied(APPLICATION)
                if position == 0 or generations.belongs(self.log, position, leaf):
                    return projection
            except BaseException:
                projection.view.close()
                raise
            projection.view.close()
        except duckdb.Error as error:
            if fault_in(error) in TOO_MANY_FILES:  # Nothing is known of the tables.
                raise
        return None

    def _opened_empty(self, place: DatabasePlace) -> RunsProjection:
        place.clear()
        if isinstance(place, ReaderSlot):
            place.begin(self.log.last_erasure())
        return RunsProjection.open(place, self._bounds, self._memory_nbytes)

    def _publish_soon(self) -> None:
        if self._publisher is None and isinstance(self._place, ReaderSlot):
            self._publish_now.clear()
            publisher = threading.Thread(
                target=interruptions.as_helper,
                args=(self._publish_later,),
                name="runlore-publish",
                daemon=True,
            )
            with suppress(RuntimeError):  # No room for its stack: another process will publish.
                publisher.start()
                self._publisher = publisher

    def _publish_later(self) -> None:
        self._publish_now.wait(self._publishing.pause_s)
        with AFTERWARDS, self._lock:
            try:
                self.publish()
            finally:
                self._publisher = None
        if self._tidy is not None:
            self._tidy()

    def _discard(self) -> None:
        """Drops a database that turned out to be broken, and its place with it."""
        self._close_database()
        if self._place is not None:
            with suppress(OSError):
                self._place.clear()
        self._let_go()

    def _close_database(self) -> None:
        if self._tables is not None:
            with suppress(duckdb.Error):
                self._tables.projection.view.close()
            self._tables = None

    def _let_go(self) -> None:
        self._close_database()
        if self._place is not None:
            self._place.release()
            self._place = None


def _stamp_of(place: DatabasePlace | None) -> Stamp:
    with told("the tables that queries read"):
        return frozenset() if place is None else place.stamp()


def _artifacts_of(workspace: HeldPath, state: WorkspaceState) -> ArtifactStore:
    place = place_of_artifacts(
        workspace, state.workspace_id, erasable=False, in_log=state.files_uri
    )
    return ArtifactStore(backend_of(place, workspace, warnings.warn))


def _generations(slot: ReaderSlot) -> Path:
    return slot.folder.parent / GENERATIONS

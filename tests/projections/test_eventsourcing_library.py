"""The `eventsourcing` library's own test cases on DuckDB, and its runner on our projection."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar
from unittest import TestCase

import duckdb
import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import InfrastructureFactory, Tracking, TrackingRecorder
from eventsourcing.projection import ProjectionRunner
from eventsourcing.tests import persistence, projection
from eventsourcing.utils import get_topic

from runlore.domain import events as ev
from runlore.domain.decision import Decision
from runlore.domain.events import Event, WriterOpened
from runlore.projections.duckdb_recorder import DuckDBRecorder, Factory
from runlore.projections.projection_of_runs import RunsProjection
from runlore.storage.journal import Journal, Pending, StreamState
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.value_codec import Series
from tests.logged_values import Record, batch_of
from tests.projections.histories import History, rebuilt, run_created, tables

DUCKDB = "runlore.projections.duckdb_recorder"
SQLITE = "runlore.storage.sqlite"


class EventCounters(DuckDBRecorder, projection.EventCountersView):
    """What a user of the library would write: counters in a table, moved with the position."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(connection)
        with self.transaction() as transaction:
            transaction.execute("CREATE TABLE IF NOT EXISTS counters (kind VARCHAR)")

    def get_created_event_counter(self) -> int:
        return self._count("created")

    def get_subsequent_event_counter(self) -> int:
        return self._count("subsequent")

    def incr_created_event_counter(self, tracking: Tracking) -> None:
        self._increase("created", tracking)

    def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
        self._increase("subsequent", tracking)

    def _count(self, kind: str) -> int:
        with self.lock:
            rows = self.connection.execute(
                "SELECT count(*) FROM counters WHERE kind = ?", [kind]
            ).fetchall()
        count: int = rows[0][0]
        return count

    def _increase(self, kind: str, tracking: Tracking) -> None:
        with self.transaction() as connection:
            connection.execute("INSERT INTO counters VALUES (?)", [kind])
            self.track(connection, tracking)


class TestTrackingRecorder(persistence.TrackingRecorderTestCase):
    def create_recorder(self) -> TrackingRecorder:
        view = DuckDBRecorder(duckdb.connect())
        self.addCleanup(view.close)
        return view


class TestEventCountersView(projection.EventCountersViewTestCase):
    def construct_event_counters_view(self) -> projection.EventCountersView:
        view = EventCounters(duckdb.connect())
        self.addCleanup(view.close)
        return view


class WithFolder(TestCase):
    """A log in a file, a view in another."""

    env: ClassVar[dict[str, str]] = {}

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        type(self).env = {
            "PERSISTENCE_MODULE": SQLITE,
            "SQLITE_DBNAME": str(Path(folder.name) / "log.sqlite"),
            "EVENTCOUNTERS_PERSISTENCE_MODULE": DUCKDB,
            "EVENTCOUNTERS_DUCKDB_DBNAME": str(Path(folder.name) / "view.duckdb"),
        }
        super().setUp()


class TestEventCountersProjection(WithFolder, projection.AggregateEventCountersProjectionTestCase):
    view_class = EventCounters


def test_a_view_goes_on_from_its_file_where_it_stopped(tmp_path: Path) -> None:
    env = {"PERSISTENCE_MODULE": DUCKDB, "DUCKDB_DBNAME": str(tmp_path / "view.duckdb")}
    env["TRACKING_RECORDER_TOPIC"] = get_topic(EventCounters)
    for position in (1, 2):
        factory: InfrastructureFactory[DuckDBRecorder] = InfrastructureFactory.construct(env)
        view = factory.tracking_recorder()
        assert isinstance(view, EventCounters)
        assert (view.max_tracking_id("upstream") or 0) == position - 1
        view.incr_created_event_counter(Tracking("upstream", position))
        assert view.get_created_event_counter() == position
        factory.close()


def test_events_are_not_kept_in_duckdb() -> None:
    factory = Factory({"PERSISTENCE_MODULE": DUCKDB})
    for make in (
        factory.aggregate_recorder,
        factory.application_recorder,
        factory.process_recorder,
    ):
        with pytest.raises(NotImplementedError, match="runlore.storage.sqlite"):
            make()
    factory.close()


# --- our projection under the library's runner ------------------------------------------------


def write_with_a_journal(log: SqliteLog) -> None:
    """A little of everything that a workspace's log holds."""
    journal = Journal(
        log,
        lambda: WriterOpened(
            actor="me", host="here", boot_id="", pid=1, process="test", client_version="0"
        ),
    )

    def append(stream: str, version: int, *events: Event) -> None:
        journal.append([Pending(stream, version + n, event) for n, event in enumerate(events)])

    append("experiment/lab", 1, ev.ExperimentCreated(experiment_id="e1", name="lab"))
    append("run/r0", 1, run_created("r0", tags={"a": "x"}), ev.TagSet(key="a", value=None))
    append("run/r1", 1, run_created("r1", parent_id="r0", properties={"b": "y"}))
    batch = batch_of(journal.writer_id, 0, [Record(Series("loss"), 0, 1, 0.5)])
    append(f"run/r0/values/{journal.writer_id}", 1, batch)
    folded: StreamState[None] = StreamState("run/r0", lambda state, _: state, None)
    ended = (ev.TagRemoved(key="a"), ev.RunFailed(error={"code": "UserError"}))
    journal.change(folded, lambda _: Decision(ended), reason="a test")
    history = History(log)
    history.say("run/r2", run_created("r2"))


def test_the_librarys_runner_makes_the_tables_of_our_own(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = open_sqlite(path)
    write_with_a_journal(log)
    env = {
        "PERSISTENCE_MODULE": SQLITE,
        "SQLITE_DBNAME": str(path),
        "MAPPER_TOPIC": "runlore.storage.mapper:PydanticMsgpackMapper",
        "ORIGINATOR_ID_TYPE": "text",
        "RUNS_PERSISTENCE_MODULE": DUCKDB,
    }

    with ProjectionRunner(
        application_class=Application[str],
        projection_class=RunsProjection,  # type: ignore[arg-type]  # it has what a runner calls
        view_class=DuckDBRecorder,
        env=env,
    ) as runner:
        runner.wait(log.head().position, timeout=60)
        history = History(log)
        history.run("r3")  # Live, while the runner waits for more.
        runner.wait(log.head().position, timeout=60)
        found = tables(runner.projection.view.connection)
        tracked = found.pop("main.tracking")

    expected = rebuilt(log)
    expected.pop("main.tracking")
    assert found == expected
    assert tracked == [repr(("Application", log.head().position, b""))]
    log.close()

"""Subscriptions on a log in PostgreSQL: by positions, with hints that shorten the wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.storage.event_log import EventLog
from runlore.storage.postgresql import hints
from runlore.storage.postgresql.connections import Connection
from runlore.storage.recorder import LogRecorder
from runlore.testing.children import in_child
from runlore.testing.logs import new_event, new_events
from runlore.testing.waiting import LIMIT_S, wait_until
from tests.fresh_python import run_python
from tests.postgres.logs import log_at
from tests.postgres.server import Server, running_server

pytestmark = [pytest.mark.long, pytest.mark.processes]


@pytest.fixture
def log(server: Server, schema: str) -> Iterator[EventLog]:
    log = log_at(server.uri(schema))
    yield log
    log.close()


class Following:
    """A thread that follows a log."""

    def __init__(self, log: EventLog) -> None:
        self.versions: list[int] = []
        self._subscription = LogRecorder(log).subscribe(gt=0)
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        self.versions.extend(one.originator_version for one in self._subscription)

    def stop(self) -> None:
        self._subscription.stop()
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()


@pytest.fixture
def following(log: EventLog) -> Iterator[Following]:
    following = Following(log)
    yield following
    following.stop()


def listeners(server: Server, schema: str) -> list[int]:
    """The server's processes that tell of commits to a log."""
    rows = server.execute(
        "SELECT pid FROM pg_stat_activity WHERE query = %s AND state = 'idle'",
        f"LISTEN {hints.channel_of(schema)}",
    )
    return [pid for (pid,) in rows]


def test_a_commit_of_another_process_wakes_a_reader_before_it_looks(
    log: EventLog,
    following: Following,
    server: Server,
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hints, "LOOK_INTERVAL_S", 2 * LIMIT_S)
    log.append([new_event("run/a", 1)])
    wait_until(lambda: following.versions == [1], "the first event")
    wait_until(lambda: listeners(server, schema) != [], "the reader to listen")

    appending = f"""
import time
from runlore.testing.logs import new_events
from tests.postgres.logs import log_at
log = log_at({server.uri(schema)!r})
log.append(new_events("run/a", [2, 3]))
time.sleep(0.3)
log.close()
"""
    run_python(appending, cwd=Path(__file__).parents[2])

    wait_until(lambda: following.versions == [1, 2, 3], "the events of another process")


def test_a_reader_whose_connection_is_cut_listens_again_and_misses_nothing(
    log: EventLog, following: Following, server: Server, schema: str
) -> None:
    wait_until(lambda: listeners(server, schema) != [], "the reader to listen")
    [first] = listeners(server, schema)

    server.execute("SELECT pg_terminate_backend(%s)", first)
    log.append(new_events("run/a", [1, 2]))

    wait_until(lambda: following.versions == [1, 2], "the events")
    wait_until(lambda: listeners(server, schema) not in ([], [first]), "the reader to listen again")


def test_a_feed_goes_on_after_a_restart_of_the_server(tmp_path: Path) -> None:
    with (
        running_server() as own,
        Workspace.create("team", path=own.uri("team")) as ws,
        ws.subscribe(after=ws.position, timeout_s=LIMIT_S) as feed,
    ):
        seen = []
        reader = threading.Thread(target=lambda: seen.append(next(feed).topic))
        reader.start()
        wait_until(lambda: listeners(own, "team") != [], "the feed to listen")
        own.stop()
        own.start()
        run = Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None)
        reader.join(LIMIT_S)

        assert seen == ["experiment.created"]
        run.complete()


def test_a_pooler_that_swallows_hints_is_named_and_events_come_all_the_same(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(self: Connection, **_: object) -> Iterator[object]:
        time.sleep(0.05)
        return iter(())

    monkeypatch.setattr(hints, "_OWN_HINT_S", 0.1)
    monkeypatch.setattr(hints.HintedWaker, "_is_told", False)
    monkeypatch.setattr(Connection, "notifies", deaf)
    subscription = LogRecorder(log).subscribe(gt=0)
    ending = threading.Timer(1.5, lambda: log.append([new_event("run/a", 1)]))
    ending.start()

    with pytest.warns(RuntimeWarning, match="gets no notifications, as behind a pooler"):
        assert next(subscription).originator_version == 1
    ending.join()


def test_nobody_listens_any_more_when_the_last_reader_is_gone(
    log: EventLog, following: Following, server: Server, schema: str
) -> None:
    wait_until(lambda: listeners(server, schema) != [], "the reader to listen")

    following.stop()

    wait_until(lambda: listeners(server, schema) == [], "the connection to be closed")


def test_a_forked_reader_listens_with_a_connection_of_its_own(
    log: EventLog, following: Following, server: Server, schema: str
) -> None:
    wait_until(lambda: listeners(server, schema) != [], "the reader to listen")

    def child() -> int:
        own = Following(log)
        wait_until(lambda: len(listeners(server, schema)) == 2, "the child to listen")
        log.append([new_event("run/a", 1)])
        wait_until(lambda: own.versions == [1], "the event")
        own.stop()
        return 1

    assert in_child(child) == 1
    wait_until(lambda: following.versions == [1], "the event of the child")

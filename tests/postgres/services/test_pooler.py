"""Workspaces behind a real pooler: PgBouncer, in both of its modes."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.audit.verify import verify_folder
from runlore.storage.event_log import EventLog
from runlore.storage.postgresql import hints
from runlore.storage.postgresql.errors import ServerRefused
from runlore.storage.recorder import LogRecorder
from runlore.testing.logs import new_event
from runlore.testing.waiting import LIMIT_S, wait_until
from runlore.workspace import session_of
from tests.postgres.logs import log_at
from tests.postgres.server import Server
from tests.postgres.services.pooler import Pooler, pooled
from tests.postgres.writing import check_stored, writing
from tests.workspaces import start

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def by_transaction(server: Server) -> Iterator[Pooler]:
    """A pooler in transaction mode, of four connections."""
    with pooled(server, "transaction") as pooler:
        yield pooler


@pytest.fixture(scope="module")
def by_session(server: Server) -> Iterator[Pooler]:
    with pooled(server, "session") as pooler:
        yield pooler


@pytest.fixture(params=["transaction", "session"])
def pooler(request: pytest.FixtureRequest) -> Pooler:
    pooler: Pooler = request.getfixturevalue(f"by_{request.param}")
    return pooler


def test_many_writers_share_few_connections_and_lose_nothing(
    by_transaction: Pooler, server: Server, schema: str
) -> None:
    with (
        closing(log_at(server.uri(schema))) as log,
        writing(by_transaction.uri(schema), writers=12, changes=20) as writers,
    ):
        pass
    with closing(log):
        assert check_stored(log, writers) >= 12 * 20


def test_a_setting_that_a_pooler_refuses_is_told_at_once(pooler: Pooler, schema: str) -> None:
    with pytest.raises(ServerRefused, match="startup parameter.*correct the settings"):
        Workspace.open(f"{pooler.uri(schema)}&options=-c%20work_mem%3D8MB")


def wait_for_events(log: EventLog, count: int) -> None:
    done = log.last_position()
    wait_until(lambda: log.last_position() > done + count, "some events")


def test_a_pooler_that_restarts_loses_and_repeats_nothing(server: Server, schema: str) -> None:
    with pooled(server, "transaction") as pooler, closing(log_at(server.uri(schema))) as log:
        with writing(pooler.uri(schema), writers=4) as writers:
            for _ in range(3):
                wait_for_events(log, 20)
                pooler.stop()
                pooler.start()
            wait_for_events(log, 20)

        assert check_stored(log, writers) > 80


_TRAINS = """
import sys, runlore
run = runlore.init(experiment="e", workspace=sys.argv[1], quiet=True)
for step in range(50):
    run.log("loss", step)
run.tag("a", "b")
run.add_properties({"c": "d"})
print(run.id)
"""


def test_all_of_a_workspace_works_through_a_pooler(
    pooler: Pooler, schema: str, tmp_path: Path
) -> None:
    uri = pooler.uri(schema)
    with Workspace.create("team", path=uri, erasable=True) as ws:
        trainings = [
            subprocess.Popen(
                [sys.executable, "-c", _TRAINS, uri], stdout=subprocess.PIPE, text=True
            )
            for _ in range(4)
        ]
        run_ids = [training.communicate(timeout=LIMIT_S)[0].strip() for training in trainings]

        assert [training.returncode for training in trainings] == [0, 0, 0, 0]
        for run_id in run_ids:
            run = ws.get_run(run_id)
            assert run.get_status() == "Completed"
            assert run.get_metrics()["loss"] == list(range(50))
            assert (run.get_tags(), run.get_properties()["c"]) == ({"a": "b"}, "d")
        assert ws.sql("SELECT count(*) FROM metric_points").fetchall() == [(200,)]
        ws.erase_run(run_ids[0], reason="consent withdrawn")
        assert verify_folder(uri).holds
        copied = ws.copy_to(tmp_path / "lab")
    with Workspace.open(tmp_path / "lab") as lab:
        assert lab.position == copied.events
        assert lab.get_run(run_ids[1]).get_tags() == {"a": "b"}


def test_readers_and_subscribers_are_told_that_a_pooler_swallows_hints(
    by_transaction: Pooler, server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "_OWN_HINT_S", 0.5)
    monkeypatch.setattr(hints.HintedWaker, "_is_told", False)
    with (
        closing(log_at(by_transaction.uri(schema))) as pooled_log,
        closing(log_at(server.uri(schema))) as log,
    ):
        subscription = LogRecorder(pooled_log).subscribe(gt=0)
        later = threading.Timer(2.5, lambda: log.append([new_event("run/a", 1)]))
        later.start()

        with pytest.warns(RuntimeWarning, match="gets no notifications, as behind a pooler"):
            assert next(subscription).originator_version == 1
        later.join()
        log.append([new_event("run/a", 2)])
        assert next(subscription).originator_version == 2
        subscription.stop()


def test_session_mode_brings_hints(
    by_session: Pooler, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "_OWN_HINT_S", 0.5)
    monkeypatch.setattr(hints, "LOOK_INTERVAL_S", 2 * LIMIT_S)
    monkeypatch.setattr(hints.HintedWaker, "_is_told", False)
    with Workspace.create("team", path=by_session.uri(schema)) as ws, warnings.catch_warnings():
        warnings.simplefilter("error")
        with ws.subscribe(after=ws.position, timeout_s=LIMIT_S) as feed:
            seen: list[str] = []
            reader = threading.Thread(target=lambda: seen.extend(next(feed).topic for _ in "ab"))
            reader.start()
            code = f"import runlore; runlore.Workspace.open({ws.uri!r}).experiments"
            subprocess.run([sys.executable, "-c", code], check=True, timeout=LIMIT_S)
            start(Experiment(ws, "e")).complete()
            reader.join(LIMIT_S)

        assert seen[0] == "experiment.created"
        log = session_of(ws).log
        assert log._hints.problem is None  # type: ignore[attr-defined]  # of PostgreSQL


def test_no_setting_of_ours_outlives_its_transaction(
    by_transaction: Pooler, server: Server, schema: str
) -> None:
    """Clients of other applications get the same connections afterwards."""
    names = ("lock_timeout", "idle_in_transaction_session_timeout", "synchronous_commit")
    usual = [server.execute(f"SHOW {name}") for name in names]
    with closing(log_at(by_transaction.uri(schema), erasable=True)) as log:
        log.append([new_event("run/a", 1)])
        assert log.scrub(LIMIT_S)
        log.append_decided(lambda read: [new_event("run/a", 2)])
        log.append_all(lambda: [new_event("run/a", 3)])
        log.settle(log.head().recorded_at - 1)
        waker = log.waker()
        wait_until(lambda: log._hints._is_telling is False, "the hints to be told")
        for _ in range(8):
            shown = log.connections.read(
                lambda c: [c.execute(f"SHOW {name}".encode()).fetchall() for name in names]
            )
            assert shown == usual
        waker.end()

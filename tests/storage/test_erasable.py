"""The log of an erasable workspace: what is stored is sealed, run by run."""

from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path

import pytest

from runlore.domain import events as ev
from runlore.domain.run_state import fold
from runlore.domain.status import Status
from runlore.storage.codec import decode_event, encode_event, fact_of
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import EventLog, NewEvent
from runlore.storage.log_as_of import LogAsOf
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sealed_artifacts import sealed_artifacts_below
from tests.event_logs import all_rows, check_head

SECRET = b"the patient is Ann"


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return open_sqlite(tmp_path / "log.sqlite", erasable=True)


def append(log: EventLog, stream: str, version: int, event: ev.Event) -> None:
    state = encode_event(event)
    log.append([NewEvent(stream, version, event.topic, state, os.urandom(16), {"writer": "w"})])


def create(log: EventLog, run_id: str = "r") -> None:
    append(log, f"run/{run_id}", 1, created(run_id))


def created(run_id: str = "r") -> ev.RunCreated:
    return ev.RunCreated(
        run_id=run_id,
        experiment_id="e",
        experiment_name="lab",
        status=Status.RUNNING,
        root_id=run_id,
        description=SECRET.decode(),
    )


def erased(run_id: str = "r") -> ev.RunErased:
    return ev.RunErased(
        run_id=run_id,
        experiment_id="e",
        experiment_name="lab",
        parent_id=None,
        root_id=run_id,
        status=Status.COMPLETED,
        started_at=1,
        ended_at=2,
    )


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def key_of(path: Path, run_id: str) -> bytes:
    """A run's key as another program finds it; the log must be closed."""
    connection = sqlite3.connect(path)
    try:
        (key,) = connection.execute(
            "SELECT key FROM run_keys WHERE run_id = ?", (run_id,)
        ).fetchone()
    finally:
        connection.close()
    assert isinstance(key, bytes)
    return key


def test_payloads_of_runs_are_stored_sealed_and_read_in_the_clear(
    log: EventLog, tmp_path: Path
) -> None:
    create(log)

    [row] = log.read_stream("run/r")
    assert decode_event(row.topic, row.state) == created().__dict__ | {"outputs": []}
    [stored] = log.as_stored().read_stream("run/r")
    assert (stored.position, stored.leaf) == (row.position, row.leaf)
    assert SECRET in row.state and SECRET not in stored.state
    assert SECRET not in bytes_of(tmp_path)


def test_what_is_of_no_run_is_stored_as_it_is(log: EventLog) -> None:
    append(log, "experiment/lab", 1, ev.ExperimentCreated(experiment_id="e", name="lab"))

    assert all_rows(log) == all_rows(log.as_stored())


def test_the_head_is_made_over_what_is_stored_and_holds_after_an_erasure(log: EventLog) -> None:
    create(log)
    before = check_head(log)
    append(log, "run/r", 2, erased())

    after = check_head(log)
    assert after.size == before.size + 1


def test_an_erased_run_reads_as_what_its_erasure_says(log: EventLog) -> None:
    create(log)
    append(log, "run/r", 2, ev.TagSet(key="k", value="v"))
    append(log, "run/r", 3, erased())

    rows = log.read_stream("run/r")
    left, tag, end = [fact_of(row) for row in rows]
    assert left.data == ev.remains_of(erased().__dict__) | {"outputs": []}
    assert tag.data is None
    assert end.data == erased().__dict__


def test_who_had_read_a_run_has_the_same_state_after_its_erasure_as_who_had_not(
    log: EventLog,
) -> None:
    create(log)
    append(log, "run/r", 2, ev.TagSet(key="k", value="v"))
    append(log, "run/r", 3, ev.RunCompleted())
    had = fold(None, map(fact_of, log.read_stream("run/r")))
    append(log, "run/r", 4, erased())

    new = map(fact_of, log.read_stream("run/r", after_version=3))
    assert fold(had, new) == fold(None, map(fact_of, log.read_stream("run/r")))


def test_what_is_appended_to_an_erased_run_is_gone_at_once(log: EventLog) -> None:
    create(log)
    append(log, "run/r", 2, erased())
    append(log, "run/r/values/w", 1, ev.TagSet(key="k", value="late"))

    [late] = log.read_stream("run/r/values/w")
    assert fact_of(late).data is None
    check_head(log)


def test_no_key_of_an_erased_run_is_left_among_those_of_many(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = open_sqlite(path, erasable=True)
    ids = [f"r{number}" for number in range(1_000)]
    random.Random(7).shuffle(ids)
    events = [created(run_id) for run_id in ids]
    log.append(
        [
            NewEvent(
                f"run/{e.run_id}", 1, e.topic, encode_event(e), os.urandom(16), {"writer": "w"}
            )
            for e in events
        ]
    )
    log.close()
    gone = ids[::17]
    keys = [key_of(path, run_id) for run_id in gone]
    kept = key_of(path, ids[1])
    for run_id in gone:
        append(log, f"run/{run_id}", 2, erased(run_id))

    assert log.scrub(1.0)

    left = bytes_of(tmp_path)
    assert [key for key in keys if key in left] == []
    assert kept in left
    log.close()


def test_a_log_as_of_a_position_knows_of_later_erasures(log: EventLog) -> None:
    create(log)
    append(log, "run/r", 2, erased())

    assert LogAsOf(log, 1).last_erasure() == log.last_erasure() == 2


def test_a_payload_that_was_moved_to_another_version_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = open_sqlite(path, erasable=True)
    create(log)
    append(log, "run/r", 2, ev.TagSet(key="k", value="first"))
    append(log, "run/r", 3, ev.TagSet(key="k", value="second"))
    log.close()
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE stored_events SET state = (SELECT state FROM stored_events "
        "WHERE originator_version = 2) WHERE originator_version = 3"
    )
    connection.commit()
    connection.close()

    with pytest.raises(LogCorrupt, match="position 3 .* do not open with the key"):
        log.read_stream("run/r")
    log.close()


def test_a_log_stays_of_the_kind_that_it_was_made_as(tmp_path: Path) -> None:
    plain = open_sqlite(tmp_path / "plain.sqlite")
    assert not open_sqlite(tmp_path / "plain.sqlite", erasable=True).erasable
    sealed = open_sqlite(tmp_path / "sealed.sqlite", erasable=True)
    assert open_sqlite(tmp_path / "sealed.sqlite").erasable
    plain.close()
    sealed.close()


def test_equal_files_of_two_runs_have_nothing_in_common(tmp_path: Path) -> None:
    content = SECRET * 100_000  # Two pieces.
    stores = [sealed_artifacts_below(tmp_path / name, os.urandom(32)) for name in ("a", "b")]
    (tmp_path / "given").write_bytes(content)

    kept = [store.put_path(tmp_path / "given") for store in stores]

    assert kept[0] == kept[1]
    assert b"".join(stores[1].verified_chunks(kept[1].sha256)) == content
    files = [path for store in stores if (path := store.path(kept[0].sha256))]
    assert files[0].name != files[1].name
    assert SECRET not in bytes_of(tmp_path / "a") + bytes_of(tmp_path / "b")
    assert files[0].read_bytes()[:64] != files[1].read_bytes()[:64]

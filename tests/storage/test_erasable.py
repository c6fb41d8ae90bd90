"""The log of an erasable workspace: what is stored is sealed, run by run."""

from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path

import pytest

from runlore.domain import events as ev
from runlore.storage.artifact_folder import ArtifactFolder
from runlore.storage.codec import encode_event, fact_of
from runlore.storage.event_log import EventLog, NewEvent
from runlore.storage.held_path import hold
from runlore.storage.log_as_of import LogAsOf
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sealed_artifacts import sealed_artifacts
from runlore.testing.erasable_recorders import SECRET, append, create, created, erased


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return open_sqlite(tmp_path / "log.sqlite", erasable=True)


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

    facts = list(map(fact_of, log.read_stream("run/r")))
    assert [fact.damage is None for fact in facts] == [True, True, False]
    assert "do not open with the key" in str(facts[2].damage)
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
    stores = [
        sealed_artifacts(ArtifactFolder(hold(tmp_path) / name), os.urandom(32))
        for name in ("a", "b")
    ]
    (tmp_path / "given").write_bytes(content)

    kept = [store.put_path(tmp_path / "given") for store in stores]

    assert kept[0] == kept[1]
    assert b"".join(stores[1].verified_chunks(kept[1].sha256)) == content
    files = [path for store in stores if (path := store.path(kept[0].sha256))]
    assert files[0].name != files[1].name
    assert SECRET not in bytes_of(tmp_path / "a") + bytes_of(tmp_path / "b")
    assert files[0].read_bytes()[:64] != files[1].read_bytes()[:64]

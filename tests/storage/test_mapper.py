"""Our events through an `Application` of the library, chosen by environment variables alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import JSONTranscoder, MapperDeserialisationError, StoredEvent
from hypothesis import given

from runlore.domain.events import Event, RunCompleted, RunFailed, RunStarted, TagSet
from runlore.storage.codec import fact_of
from runlore.storage.log_query import LogQuery
from runlore.storage.mapper import Envelope, PydanticMsgpackMapper, UnknownEvent
from runlore.storage.sqlite import SqliteApplicationRecorder
from tests.strategies import events

MAPPER = PydanticMsgpackMapper(JSONTranscoder())  # It must be given one, and leaves it alone.


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application[str]]:
    with Application[str](
        env={
            "PERSISTENCE_MODULE": "runlore.storage.sqlite",
            "SQLITE_DBNAME": str(tmp_path / "log.db"),
            "MAPPER_TOPIC": "runlore.storage.mapper:PydanticMsgpackMapper",
            "ORIGINATOR_ID_TYPE": "text",
            "COMPRESSOR_TOPIC": "zlib",
        }
    ) as application:
        yield application


@given(events)
def test_every_event_comes_back_in_its_envelope(event: Event) -> None:
    envelope = Envelope("run/r", 7, event)
    stored = MAPPER.to_stored_event(envelope)
    assert (stored.originator_id, stored.originator_version) == ("run/r", 7)
    assert stored.topic == event.topic
    assert MAPPER.to_domain_event(stored) == envelope


def test_an_application_of_the_library_writes_and_reads_our_events(
    application: Application[str],
) -> None:
    story = [RunStarted(), TagSet(key="k", value=None), RunCompleted()]
    application.save(*[Envelope("run/r", n, event) for n, event in enumerate(story, 1)])

    found = list(application.events.get("run/r"))

    assert found == [Envelope("run/r", n, event) for n, event in enumerate(story, 1)]
    assert isinstance(application.recorder, SqliteApplicationRecorder)
    assert [n.topic for n in application.notification_log.select(1, 10)] == [
        "run.started",
        "run.tag_set",
        "run.completed",
    ]


def test_old_versions_are_read_in_the_newest_shape() -> None:
    old = b"\x83\xa1v\x01\xa4code\xa9UserError\xa7message\xa4boom"
    envelope = MAPPER.to_domain_event(StoredEvent("run/r", 1, "run.failed", old))
    error = {"code": "UserError", "message": "boom"}
    assert envelope == Envelope("run/r", 1, RunFailed(error=error))


@pytest.mark.parametrize(
    ("topic", "state"),
    [
        ("run.of_tomorrow", b"\x81\xa1v\x01"),
        ("run.of_tomorrow", b"in no format that we know"),
        ("run.started", b"\x82\xa1v\x63\xa3new\xc0"),
    ],
    ids=["unknown-topic", "unknown-format", "newer-version"],
)
def test_what_a_newer_runlore_wrote_is_kept_as_bytes(topic: str, state: bytes) -> None:
    stored = StoredEvent("run/r", 1, topic, state)
    envelope = MAPPER.to_domain_event(stored)
    assert envelope == Envelope("run/r", 1, UnknownEvent(topic, state))
    assert MAPPER.to_stored_event(envelope) == stored


def test_text_from_a_log_is_never_imported_as_a_module(application: Application[str]) -> None:
    """The library's own `resolve_topic` imports, and so runs, whatever a row names."""
    assert "this" not in sys.modules
    forged = StoredEvent("run/r", 1, "this:d", b"\x81\xa1v\x01")
    application.recorder.insert_events([forged])

    plain = MAPPER.to_domain_event(forged)
    [row] = application.recorder.select_notifications(1, 10)

    assert plain == Envelope("run/r", 1, UnknownEvent("this:d", forged.state))
    assert row.topic == "this:d"
    assert isinstance(application.recorder, SqliteApplicationRecorder)
    assert fact_of(application.recorder.log.read_log(LogQuery(limit=1))[0]).data is None
    assert "this" not in sys.modules


@pytest.mark.parametrize("state", [b"", b"\xc1", b"\x82\xa1v\x01\xa3key\x03"], ids=repr)
def test_damaged_bytes_of_a_known_topic_are_named(state: bytes) -> None:
    with pytest.raises(MapperDeserialisationError, match="version 3 of run/r .topic 'run.tag_set"):
        MAPPER.to_domain_event(StoredEvent("run/r", 3, "run.tag_set", state))

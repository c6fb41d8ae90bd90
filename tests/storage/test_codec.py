"""Events to bytes and back; what is unknown is passed over, what is damaged is named."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.domain import run_state, view
from runlore.domain.config import DEPTH_MAX
from runlore.domain.errors import InvalidInput
from runlore.domain.events import (
    EVENT_TYPES,
    REGISTRY,
    Event,
    RunCreated,
    RunFailed,
    RunResumed,
    RunStarted,
    TagSet,
)
from runlore.domain.fact import Fact, utc_time
from runlore.domain.status import Status
from runlore.storage.codec import decode_event, encode_event, fact_of, facts_of
from runlore.storage.event_log import StoredRow
from runlore.storage.journal import StreamState
from tests.strategies import events, events_of

METADATA = msgpack.packb({"writer": "w", "reason": "tidying", "actor": "ann"})


def row(
    topic: str = "run.started",
    state: bytes = b"\x81\xa1v\x01",
    event_id: bytes | None = b"i" * 16,
    metadata: bytes | None = METADATA,
) -> StoredRow:
    return StoredRow(7, "run/r", 3, topic, state, event_id, 1_000, metadata, b"l" * 32)


def as_stored(value: Any) -> Any:
    """A payload as msgpack gives it back: lists for tuples."""
    return msgpack.unpackb(msgpack.packb(value), strict_map_key=False)


@given(events)
def test_every_event_comes_back_as_it_was(event: Event) -> None:
    data = decode_event(event.topic, encode_event(event))
    assert data == as_stored(vars(event))
    assert REGISTRY[event.topic].of_stored(data or {}) == event


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.topic)
@given(data=st.data())
def test_each_type_of_event_comes_back_as_it_was(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(events_of(kind))
    decoded = decode_event(event.topic, encode_event(event))
    assert kind.of_stored(decoded or {}) == event


def test_a_status_is_stored_as_plain_text() -> None:
    created = RunCreated(
        run_id="r", experiment_id="e", experiment_name="lab", status=Status.RUNNING, root_id="r"
    )
    data = decode_event("run.created", encode_event(created))
    assert data is not None
    assert data["status"] == "Running"


def test_the_state_is_a_map_that_begins_with_the_schema_version() -> None:
    assert encode_event(TagSet(key="k", value=None)) == b"\x83\xa1v\x01\xa3key\xa1k\xa5value\xc0"
    assert encode_event(RunResumed()) == b"\x81\xa1v\x01"
    assert encode_event(RunFailed(error={})).startswith(b"\x82\xa1v\x02")


# --- what is not known --------------------------------------------------------------------


@given(st.binary(max_size=50))
def test_any_bytes_of_an_unknown_topic_are_passed_over(state: bytes) -> None:
    assert decode_event("run.of_tomorrow", state) is None
    assert fact_of(row("run.of_tomorrow", state)).data is None


@pytest.mark.parametrize("version", [2, 99, 0, -1])
def test_a_newer_version_of_a_known_topic_is_passed_over(version: int) -> None:
    state = msgpack.packb({"v": version, "anything": ["new"]})
    assert decode_event("run.completed", state) is None


def test_version_1_of_a_failure_is_read_as_version_2() -> None:
    state = msgpack.packb({"v": 1, "code": "UserError", "message": "boom"})
    expected = {"error": {"code": "UserError", "message": "boom"}}
    assert decode_event("run.failed", state) == expected
    assert fact_of(row("run.failed", state)).data == expected


# --- what is damaged ----------------------------------------------------------------------


def arrays(count: int) -> bytes:
    """Arrays in each other."""
    return b"\x91" * count + b"\xc0"


DAMAGED = {
    "empty": b"",
    "no-msgpack": b"\xc1",
    "cut-off": encode_event(TagSet(key="k", value="v"))[:-1],
    "something-behind": encode_event(RunStarted()) + b"\x00",
    "no-map": msgpack.packb([1, 2]),
    "a-number": msgpack.packb(1),
    "no-version": msgpack.packb({"key": "k"}),
    "text-version": msgpack.packb({"v": "1"}),
    "no-utf-8": b"\x82\xa1v\x01\xa3key\xa1\xff",
    "nested-too-deep": b"\x81\xa1v" + b"\x91" * 2_000,
    "nested-a-level-too-deep": b"\x83\xa1v\x01\xa3key\xa1k\xa5value" + arrays(128),
    "nested-too-deep-in-maps": b"\x83\xa1v\x01\xa3key\xa1k\xa5value" + b"\x81\xa1a" * 900 + b"\xc0",
}


@pytest.mark.parametrize("state", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_bytes_of_a_known_topic_are_no_event(state: bytes) -> None:
    with pytest.raises(ValueError, match="are not the state of a 'run.tag_set' event"):
        decode_event("run.tag_set", state)
    fact = fact_of(row("run.tag_set", state))
    assert fact.data is None
    assert "not the state of a 'run.tag_set' event" in str(fact.damage)


def test_the_deepest_view_that_can_be_saved_is_read() -> None:
    definition: dict[str, Any] = {}
    for _ in range(DEPTH_MAX):
        definition = {"in": definition}
    [saved] = view.decide(None, view.SaveView("deep", definition)).events
    with pytest.raises(InvalidInput):
        view.decide(None, view.SaveView("deeper", {"in": definition}))
    data = decode_event(saved.topic, encode_event(saved))
    assert data == {"name": "deep", "definition": definition}


def test_a_fold_passes_over_an_event_that_is_nested_deeply() -> None:
    found = fact_of(row("run.found", b"\x82\xa1v\x01\xa6status" + b"\x81\xa1a" * 1_000 + b"\xc0"))
    known = StreamState("run/r", run_state.fold, None)
    assert "nested more than 128 deep" in str(known.advance([found]).damage)


@given(events, st.data())
def test_damage_is_either_named_or_read_as_some_state(event: Event, data: st.DataObject) -> None:
    state = bytearray(encode_event(event))
    state[data.draw(st.integers(0, len(state) - 1))] ^= data.draw(st.integers(1, 255))
    fact = fact_of(row(event.topic, bytes(state)))
    assert fact.data is None or fact.damage is None


@pytest.mark.parametrize(
    "metadata",
    [
        b"\xc1",
        b"\x81",
        *map(msgpack.packb, ([1], "w", 3)),
        *(msgpack.packb({"observed_at": time}) for time in (-1, 2**63, True, 1.5, "noon")),
        *(b"\x81" + msgpack.packb(name) + arrays(1_000) for name in ("observed_at", "actor", "x")),
    ],
    ids=lambda metadata: repr(metadata[:20]),
)
def test_damaged_metadata_is_named(metadata: bytes) -> None:
    fact = fact_of(row(metadata=metadata))
    assert fact.damage is not None
    assert (fact.position, fact.data, fact.writer_id) == (7, None, None)


@pytest.mark.parametrize("name", ["writer", "reason", "actor"])
def test_metadata_of_another_type_is_damaged(name: str) -> None:
    assert fact_of(row(metadata=msgpack.packb({name: 5}))).damage is not None


# --- facts --------------------------------------------------------------------------------


def test_a_fact_holds_the_payload_and_the_envelope() -> None:
    assert fact_of(row()) == Fact(
        7,
        "run/r",
        3,
        "run.started",
        {"began_at": None},
        b"i" * 16,
        1_000,
        1_000,
        "w",
        "tidying",
        "ann",
    )


def test_a_fact_is_observed_when_its_writers_clock_says_so() -> None:
    fact = fact_of(row(metadata=msgpack.packb({"writer": "w", "observed_at": 400})))
    assert (fact.recorded_at, fact.observed_at, fact.time) == (1_000, 400, utc_time(400))


def test_an_event_that_lacks_a_field_is_damaged() -> None:
    """One flipped bit may have renamed it."""
    state = encode_event(TagSet(key="quality", value="good")).replace(b"value", b"valve")

    fact = fact_of(row("run.tag_set", state))
    assert "it lacks ['value']" in str(fact.damage)


@pytest.mark.parametrize("metadata", [None, b"", msgpack.packb({})], ids=repr)
def test_a_fact_without_metadata_has_no_writer(metadata: bytes | None) -> None:
    fact = fact_of(row(metadata=metadata))
    assert (fact.writer_id, fact.reason, fact.actor) == (None, None, None)


def test_a_foreign_event_has_no_data_for_us_even_under_our_topic() -> None:
    fact = fact_of(row("run.tag_set", b"not ours", event_id=None, metadata=None))
    assert fact == Fact(7, "run/r", 3, "run.tag_set", None, None, 1_000, 1_000, None)


@given(st.lists(events | events_of(RunStarted) | events_of(TagSet), max_size=6), st.data())
def test_facts_of_many_rows_are_those_of_each(several: list[Event], data: st.DataObject) -> None:
    packed = [None, b"\x80", msgpack.packb({"writer": "w"}), msgpack.packb({"observed_at": 3})]
    rows = [
        StoredRow(
            position,
            "run/r",
            position,
            event.topic,
            encode_event(event),
            data.draw(st.sampled_from([None, b"1" * 16])),
            position * 7,
            data.draw(st.sampled_from(packed)),
            b"",
        )
        for position, event in enumerate(several * 2, 1)
    ]
    assert facts_of(row[:-1] for row in rows) == list(map(fact_of, rows))
    for fact, row in zip(facts_of(row[:-1] for row in rows), rows, strict=True):
        if row.event_id is not None and fact.damage is None:
            assert fact.data == decode_event(row.topic, row.state)


def test_the_damaged_one_of_many_rows_is_named() -> None:
    good = StoredRow(1, "run/r", 1, "run.started", b"\x81\xa1v\x01", b"1" * 16, 0, None, b"")
    torn = good._replace(position=2, version=2, state=b"\x81\xa1v")
    facts = facts_of([good[:-1], torn[:-1]])
    assert [(fact.position, fact.damage is not None) for fact in facts] == [(1, False), (2, True)]


@pytest.mark.parametrize("column", [1, 2, 3, 6])
def test_a_column_of_another_type_is_damaged_and_has_a_plain_value(column: int) -> None:
    """SQLite lets any column hold anything."""
    good = StoredRow(1, "run/r", 1, "run.started", b"\x81\xa1v\x01", b"1" * 16, 9, None, b"")
    columns: list[Any] = list(good._replace(position=2))
    columns[column] = b"\xff"
    damaged = facts_of([good[:-1], tuple(columns)[:-1]])[1]
    assert damaged.damage is not None
    assert (type(damaged.stream), type(damaged.version), type(damaged.topic)) == (str, int, str)
    assert damaged.recorded_at == 9


def test_a_creation_in_the_stream_of_another_run_is_damaged() -> None:
    created = RunCreated(
        run_id="other",
        experiment_id="e",
        experiment_name="e",
        status=Status.RUNNING,
        root_id="other",
    )
    fact = fact_of(row(created.topic, encode_event(created)))
    assert fact.damage == "it belongs in the stream 'run/other'"


def test_an_event_without_a_time_has_that_of_the_event_before_it_or_none() -> None:
    good = StoredRow(1, "run/r", 1, "run.started", b"\x81\xa1v\x01", b"1" * 16, 9, None, b"")
    timeless: Any = tuple(good._replace(recorded_at=-1))[:-1]
    assert [fact.recorded_at for fact in facts_of([timeless])] == [0]
    assert [fact.recorded_at for fact in facts_of([good[:-1], timeless])] == [9, 9]

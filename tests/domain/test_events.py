"""The list of events, and the reading of old versions."""

from __future__ import annotations

import re
from typing import get_type_hints

import pytest
from hypothesis import given

from runlore.domain import events as ev
from runlore.domain.event import InvalidEvent
from tests.strategies import events, events_of


def subclasses(kind: type[ev.Event]) -> set[type[ev.Event]]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_every_event_type_is_registered_under_a_topic_of_its_own() -> None:
    shipped = {kind for kind in subclasses(ev.Event) if kind.__module__ == ev.__name__}
    assert shipped - {ev.Event} == set(ev.EVENT_TYPES)
    assert len(ev.REGISTRY) == len(ev.EVENT_TYPES)
    for topic, kind in ev.REGISTRY.items():
        assert kind.topic == topic
        assert re.fullmatch(
            r"(workspace|writer|experiment|compute_target|view|run)\.[a-z_]+", topic
        )


def test_the_registry_is_closed() -> None:
    with pytest.raises(TypeError):
        ev.REGISTRY["run.mine"] = ev.RunStarted  # type: ignore[index]  # the test's point


@pytest.mark.parametrize("kind", ev.EVENT_TYPES, ids=lambda kind: kind.topic)
def test_every_event_type_says_what_happened(kind: type[ev.Event]) -> None:
    assert kind.__doc__
    assert "v" not in get_type_hints(kind)  # The stored map keeps the schema version there.
    assert len(kind.log_versions) == kind.schema_version
    assert list(kind.log_versions) == sorted(kind.log_versions)
    assert kind.log_versions[-1] <= ev.LOG_VERSION
    for version in range(1, kind.schema_version):
        assert hasattr(kind, f"upcast_v{version}_v{version + 1}")


@pytest.mark.parametrize("kind", ev.EVENT_TYPES, ids=lambda kind: kind.topic)
def test_every_event_type_has_a_strategy(kind: type[ev.Event]) -> None:
    events_of(kind).validate()


@given(events)
def test_events_never_change(event: ev.Event) -> None:
    for field in type(event).field_names:
        with pytest.raises(AttributeError, match="frozen"):
            setattr(event, field, None)
        with pytest.raises(AttributeError, match="frozen"):
            delattr(event, field)


@given(events)
def test_an_event_refuses_unknown_fields(event: ev.Event) -> None:
    with pytest.raises(InvalidEvent, match="surprise: Extra inputs"):
        type(event).of_stored({**vars(event), "surprise": 1})


def test_values_are_not_converted_to_other_types() -> None:
    with pytest.raises(InvalidEvent, match="'run.tag_set': value: "):
        ev.TagSet.of_stored({"key": "k", "value": 3})
    with pytest.raises(InvalidEvent, match="nbytes: "):
        ev.ArtifactAdded(name="a", sha256="0", nbytes="5")  # type: ignore[arg-type]  # the point


# --- versions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"code": "UserError", "message": "boom"}, {"code": "UserError", "message": "boom"}),
        ({"code": "UserError"}, {"code": "UserError"}),
        ({"code": "UserError", "message": None}, {"code": "UserError"}),
        ({}, {}),
    ],
)
def test_version_1_of_a_failure_becomes_the_error_document_of_version_2(
    old: dict[str, str | None], new: dict[str, str]
) -> None:
    state = ev.upcast("run.failed", 1, dict(old))
    assert state == {"error": new}
    assert ev.RunFailed.of_stored(state or {}) == ev.RunFailed(error=new)


def test_the_newest_version_stays_unchanged() -> None:
    state = {"error": {"code": "UserError"}}
    assert ev.upcast("run.failed", 2, state) is state
    assert state == {"error": {"code": "UserError"}}


@pytest.mark.parametrize(
    ("topic", "version"),
    [("run.failed", 3), ("run.failed", 0), ("run.failed", -1), ("run.of_tomorrow", 1), ("", 1)],
)
def test_events_of_a_newer_runlore_are_skipped(topic: str, version: int) -> None:
    assert ev.upcast(topic, version, {"error": {}}) is None

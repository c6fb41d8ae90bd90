"""Stored bytes of every topic and version stay readable, to the letter, for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from runlore.domain.events import EVENT_TYPES, REGISTRY, Event
from runlore.storage.codec import decode_event, encode_event
from tests.golden import make

FILES = sorted(make.FOLDER.glob("*.bin"))


def test_every_topic_and_version_has_its_bytes() -> None:
    expected = {
        f"{kind.topic}.v{version}.bin"
        for kind in EVENT_TYPES
        for version in range(1, kind.schema_version + 1)
    }
    assert {file.name for file in FILES} == expected
    assert {f"{topic}.v{version}.bin" for topic, version in make.EXPECTED} == expected


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_old_bytes_are_read_as_the_same_event(file: Path) -> None:
    topic, version = make.parse_name(file.name)
    data = decode_event(topic, file.read_bytes())
    assert data is not None
    event = REGISTRY[topic].of_stored(data)
    assert event == make.EXPECTED[topic, version]


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.topic)
def test_the_newest_version_is_written_as_ever(kind: type[Event]) -> None:
    event = make.EXPECTED[kind.topic, kind.schema_version]
    assert encode_event(event) == make.path_of(kind.topic, kind.schema_version).read_bytes()


def test_bytes_that_stand_are_not_overwritten(tmp_path: Path) -> None:
    made = make.write_missing(tmp_path)
    assert len(made) == len(EVENT_TYPES)  # Old versions cannot be made anew, only kept.
    (tmp_path / made[0]).write_bytes(b"kept")
    (tmp_path / made[1]).unlink()

    assert make.write_missing(tmp_path) == [made[1]]
    assert (tmp_path / made[0]).read_bytes() == b"kept"

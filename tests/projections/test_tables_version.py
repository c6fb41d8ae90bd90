"""When tables are made anew: if another runlore would have folded other rows, and only then."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from runlore.domain.events import REGISTRY, Event, RunCreated, TagSet
from runlore.projections.fold import FOLDED
from runlore.projections.projection_of_runs import tables_version, version_of_tables


class RunPromoted(Event):
    """A topic of a newer runlore."""

    topic = "run.promoted"


class TagSetAnew(TagSet):
    """A newer version of a topic that is folded."""

    schema_version = TagSet.schema_version + 1


def test_the_version_is_that_of_the_known_events() -> None:
    assert tables_version() == version_of_tables(REGISTRY)
    assert REGISTRY.keys() >= FOLDED


def test_a_topic_that_adds_no_rows_makes_nobody_rebuild() -> None:
    more: Mapping[str, type[Event]] = {**REGISTRY, RunPromoted.topic: RunPromoted}

    assert version_of_tables(more) == tables_version()


@pytest.mark.parametrize("topic", sorted(REGISTRY.keys() - FOLDED))
def test_no_version_of_such_a_topic_does_either(topic: str) -> None:
    fewer = {other: event for other, event in REGISTRY.items() if other != topic}

    assert version_of_tables(fewer) == tables_version()


def test_a_topic_or_version_that_is_folded_gives_other_tables() -> None:
    older = {topic: event for topic, event in REGISTRY.items() if topic != RunCreated.topic}
    newer: Mapping[str, type[Event]] = {**REGISTRY, TagSet.topic: TagSetAnew}

    versions = {tables_version(), version_of_tables(older), version_of_tables(newer)}

    assert len(versions) == 3

"""Our events through the `eventsourcing` library's own machinery.

    MAPPER_TOPIC=runlore.storage.mapper:PydanticMsgpackMapper

lets an `Application`, a `Projection` or a `Repository` of the library read and write our events,
each in an `Envelope`. The mapper handles schema versions itself and looks topics up in the closed
registry: text from a log is never imported as a module, as the library's `resolve_topic` would do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, MapperDeserialisationError, StoredEvent

from runlore.domain.events import REGISTRY, Event
from runlore.domain.fact import Fact
from runlore.storage.codec import decode_event, encode_event, fact_of
from runlore.storage.recorder import RecordedNotification


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of an unknown topic or schema version, kept as bytes."""

    topic: str
    state: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event with its place in a stream: the library's domain event."""

    originator_id: str
    originator_version: int
    event: Event | UnknownEvent
    fact: Fact | None = None
    """The recorded event, if it was read from one of our logs in log order."""


class PydanticMsgpackMapper(Mapper[str]):
    """Between `Envelope`s and the library's `StoredEvent`s. Takes no transcoder."""

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        envelope = cast(Envelope, domain_event)
        event = envelope.event
        state = event.state if isinstance(event, UnknownEvent) else encode_event(event)
        if self.compressor:
            state = self.compressor.compress(state)
        if self.cipher:
            state = self.cipher.encrypt(state)
        return StoredEvent(envelope.originator_id, envelope.originator_version, event.topic, state)

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[str]:
        """The event in its envelope; an `UnknownEvent` if it is not in the registry.

        Raises MapperDeserialisationError if the state of a known topic cannot be read.
        """
        topic = stored_event.topic
        try:
            state = stored_event.state
            if self.cipher:
                state = self.cipher.decrypt(state)
            if self.compressor:
                state = self.compressor.decompress(state)
            data = decode_event(topic, state)
            event = UnknownEvent(topic, state) if data is None else _model(topic, data)
        except Exception as error:
            raise MapperDeserialisationError(
                f"cannot read version {stored_event.originator_version} of "
                f"{stored_event.originator_id} (topic {topic!r}): {error}"
            ) from error
        fact = fact_of(stored_event.row) if isinstance(stored_event, RecordedNotification) else None
        return Envelope(
            str(stored_event.originator_id), stored_event.originator_version, event, fact
        )


def _model(topic: str, data: dict[str, Any]) -> Event:
    return REGISTRY[topic].of_stored(data)

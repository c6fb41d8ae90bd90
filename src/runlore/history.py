"""A run's history: every change, when, by whom, from what to what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from runlore.domain.fact import Fact


class Change(NamedTuple):
    """One change of a run.

    `what` is the event's topic without `run.` (`tag_set`, `completed`, `values_logged` ...),
    `key` the tag, property, file or metrics concerned, `old` and `new` what it was and became
    (None where there is nothing). A refused change has the held value as `old` and the refused
    one as `new`. `who` is `actor@host (pid)`, `time` is aware UTC, `position` the place in the log.
    """

    time: datetime
    who: str
    what: str
    key: str | None
    old: Any
    new: Any
    reason: str | None
    position: int

    def __str__(self) -> str:
        change = f"{self.old!r} → {self.new!r}" if self.old is not None else f"{self.new!r}"
        parts = (f"{self.time:%Y-%m-%d %H:%M:%S.%f}", self.who, self.what, self.key, change)
        return "  ".join(part for part in parts if part)


def history_of(facts: Iterable[Fact], name_of: Callable[[str | None], str]) -> Iterator[Change]:
    """The changes that a run's facts are, in their order; `name_of` names a writer id.

    Events that this runlore does not know are there, with nothing but their topic.
    """
    held: dict[tuple[str, str | None], Any] = {}
    for fact in facts:
        key, old, new = _changed(fact, held)
        yield Change(
            fact.time,
            fact.actor or name_of(fact.writer_id),
            fact.topic.removeprefix("run."),
            key,
            old,
            new,
            fact.reason,
            fact.position,
        )


_STATUSES = {
    "run.started": "Running",
    "run.cancel_requested": "CancelRequested",
    "run.completed": "Completed",
    "run.failed": "Failed",
    "run.canceled": "Canceled",
}


def _changed(fact: Fact, held: dict[tuple[str, str | None], Any]) -> tuple[str | None, Any, Any]:
    data = fact.data or {}

    def replaced(what: str, key: str | None, new: Any) -> tuple[str | None, Any, Any]:
        old = held.get((what, key))
        held[what, key] = new
        return key, old, new

    match fact.topic:
        case "run.created":
            held.update({("tag", key): value for key, value in data["tags"].items()})
            held["display_name", None] = data["display_name"]
            held["description", None] = data["description"]
            return replaced("status", None, data["status"])
        case "run.status_changed":
            return replaced("status", None, data["status"])
        case topic if topic in _STATUSES:
            return replaced("status", None, _STATUSES[topic])
        case "run.tag_set":
            return replaced("tag", data["key"], data["value"])
        case "run.tag_removed":
            return replaced("tag", data["key"], None)
        case "run.property_added":
            return data["key"], None, data["value"]
        case "run.display_name_set":
            return replaced("display_name", None, data["display_name"])
        case "run.description_set":
            return replaced("description", None, data["description"])
        case "run.artifact_added":
            return data["name"], None, data["sha256"]
        case "run.snapshot_taken":
            return None, None, data["snapshot_id"]
        case "run.change_refused":
            return data["key"] or data["change"], data["held"], data["refused"]
        case "run.values_logged":
            names = ", ".join(dict.fromkeys(series["name"] for series in data["series"]))
            return names, None, f"{data['count']} values"
    return None, None, None

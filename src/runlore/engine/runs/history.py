"""A run's history: every change, with its time, its writer, and the old and new values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runlore.domain.config import flattened, json_text
from runlore.domain.events import (
    ArtifactAdded,
    ArtifactPruned,
    ChangeRefused,
    ConfigAdded,
    ConfigCorrected,
    DescriptionSet,
    DisplayNameSet,
    EnvironmentRecorded,
    PropertyAdded,
    PropertyCorrected,
    RunAlerted,
    RunCreated,
    RunFound,
    RunPlaced,
    RunRewound,
    RunStarted,
    RunStatusChanged,
    RunSubmitted,
    ScriptExited,
    SnapshotTaken,
    TagRemoved,
    TagSet,
    ValuesLogged,
    WarningAdded,
)
from runlore.domain.ids import values_prefix
from runlore.domain.status import Status
from runlore.domain.topics import STATUS_AFTER
from runlore.domain.visible_text import visible
from runlore.shown.tables import ROWS_MAX, shown_table
from runlore.storage.codec import fact_of
from runlore.storage.damage import examined
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from runlore.domain.fact import Fact
    from runlore.engine.runs.handle import RunHandle


class Change(NamedTuple):
    """One change of a run.

    `what` is the event's topic without `run.` (`tag_set`, `completed`, `values_logged` ...),
    `key` the name of the tag, property, file or metrics, `old` and `new` are its values before and
    after (None if it has none). A refused change has the current value as `old`, the refused one as
    `new`, and a `reason`. `who` is `actor@host (pid)`, `time` is aware UTC, `position` is the
    event's in the log. Initial tags and the like are changes at the position of the creation.
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
        return "  ".join(visible(part) for part in parts if part)


_SHOWN: Final = len(Change._fields) - 1  # Without the position.


class Changes(tuple[Change, ...]):
    """Changes in the order of the log; a notebook shows them as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        rows = [change[:_SHOWN] for change in self[:ROWS_MAX]]
        return shown_table(Change._fields[:_SHOWN], rows, total=len(self))


def changes_of(run: RunHandle, upto_position: int | None = None) -> Changes:
    """Every change of a run in the order of the log; buffered values are written first."""
    session = run.session
    session.before_read()
    facts = session.journal.facts(run.stream.stream, upto_position=upto_position)
    query = LogQuery(prefix=values_prefix(run.id), upto_position=upto_position)
    values = [fact_of(row) for row in session.log.read_log(query)]
    in_order = sorted([*facts, *examined(session.log, values)], key=lambda fact: fact.position)
    return Changes(history_of(in_order, session.journal.name_of))


def history_of(
    facts: Iterable[Fact], name_of: Callable[[str | None, str | None], str]
) -> Iterator[Change]:
    """The changes that a run's facts made, in order; `name_of` is that of a `Journal`.

    Events that this runlore does not know are included, with only their topic; damaged ones as
    "damaged", with their topic as the key and the problem as the reason.
    """
    current: dict[tuple[str, str | None], Any] = {}
    for fact in facts:
        who = name_of(fact.writer_id, fact.actor)
        reason = fact.damage or fact.reason or (fact.data or {}).get("reason")
        for what, key, old, new in _changes(fact, current):
            yield Change(fact.time, who, what, key, old, new, reason, fact.position)


_Values = tuple[str, str | None, Any, Any]


def _changes(fact: Fact, current: dict[tuple[str, str | None], Any]) -> Iterator[_Values]:
    """The (what, key, old, new) of each change; updates `current`, the values so far."""
    if fact.damage is not None:
        yield "damaged", fact.topic or None, None, None
        return
    data = fact.data or {}
    what = fact.topic.removeprefix("run.")

    def replaced(kind: str, key: str | None, new: Any, what: str = what) -> _Values:
        old = current.get((kind, key))
        current[kind, key] = new
        return what, key, old, new

    match fact.topic if fact.data is not None else "unknown":
        case RunCreated.topic:
            yield replaced("status", None, data["status"])
            for kind in ("display_name", "description"):
                if data[kind] is not None:
                    yield replaced(kind, None, data[kind], f"{kind}_set")
            for key, value in data["tags"].items():
                yield replaced("tag", key, value, "tag_set")
            for key, value in data["properties"].items():
                yield "property_added", key, None, value
            for key, value in flattened(json.loads(data["config"])).items():
                yield "config_added", key, None, value
        case RunStatusChanged.topic | RunFound.topic:
            yield replaced("status", None, data["status"])
        case RunStarted.topic if current.get(("status", None)) == Status.RUNNING:
            yield "begun", None, None, None
        case topic if topic in STATUS_AFTER:
            yield replaced("status", None, str(STATUS_AFTER[topic]))
        case TagSet.topic:
            yield replaced("tag", data["key"], data["value"])
        case TagRemoved.topic:
            yield replaced("tag", data["key"], None)
        case PropertyAdded.topic:
            yield what, data["key"], None, data["value"]
        case PropertyCorrected.topic:
            yield what, data["key"], data["superseded"], data["value"]
        case ConfigAdded.topic:
            for key, value in flattened(json.loads(data["config"])).items():
                yield what, key, None, value
        case ConfigCorrected.topic:
            yield what, data["key"], data["superseded"], data["value"]
        case RunRewound.topic:
            yield what, None, None, f"step {data['step']}"
        case RunAlerted.topic:
            yield what, data["title"], None, f"{data['level']}: {data['text']}"
        case EnvironmentRecorded.topic:
            known = {key: json_text(value) for key, value in data["environment"].items()}
            fresh = [key for key in known if ("environment", key) not in current]
            for key, value in known.items():
                if key not in fresh and current["environment", key] != value:
                    yield replaced("environment", key, value)
            current.update({("environment", key): known[key] for key in fresh})
            if fresh:
                only = known[fresh[0]] if len(fresh) == 1 else None
                yield what, ", ".join(fresh), None, only
        case DisplayNameSet.topic:
            yield replaced("display_name", None, data["display_name"])
        case DescriptionSet.topic:
            yield replaced("description", None, data["description"])
        case RunSubmitted.topic:
            yield what, None, data["repeats"], data["definition"]["script"]
        case RunPlaced.topic:
            yield what, None, None, data["handle"]
        case ScriptExited.topic:
            yield what, f"process {data['rank']}", None, data["signal"] or data["exit_code"]
        case WarningAdded.topic:
            yield what, data["source"], None, data["message"]
        case ArtifactAdded.topic:
            yield what, data["name"], data["replaces"], data["sha256"] or data["uri"]
        case ArtifactPruned.topic:
            yield what, data["name"], data["sha256"], None
        case SnapshotTaken.topic:
            yield what, None, None, data["snapshot_id"]
        case ChangeRefused.topic:
            yield what, data["key"] or data["change"], data["held"], data["refused"]
        case ValuesLogged.topic:
            names = ", ".join(dict.fromkeys(series["name"] for series in data["series"]))
            yield what, names, None, f"{data['count']} values"
        case _:
            yield what, None, None, None

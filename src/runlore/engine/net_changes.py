"""What is not the same at two moments of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from runlore.domain.errors import InvalidInput
from runlore.domain.fact import utc_time

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.projections.net_changes import NetChangeRow

What = Literal[
    "experiment",
    "experiment_tag",
    "run",
    "status",
    "display_name",
    "description",
    "tag",
    "property",
    "artifact",
    "metric",
]
Kind = Literal["created", "changed", "removed"]


@dataclass(frozen=True, slots=True)
class NetChange:
    """A thing that was created, changed or removed between two moments, net of all in between.

    `key` is the tag, property, file or metric (`name`, or `name.column`) concerned. `old` and
    `new` are what it was and is: text, or None where it has no value; of an experiment `active`
    or `archived`, of an artifact its SHA-256, of a metric `MetricSummary(n, last)`. `position`,
    `time` (aware UTC), `who` and `reason` are those of the last event that made it so.
    """

    what: What
    kind: Kind
    experiment: str
    experiment_id: str
    run_id: str | None
    key: str | None
    old: Any
    new: Any
    position: int
    time: datetime
    who: str
    reason: str | None

    def __str__(self) -> str:
        change = f"{self.old!r} → {self.new!r}" if self.kind == "changed" else ""
        value = {"created": self.new, "removed": self.old}.get(self.kind)
        parts = (
            f"{self.time:%Y-%m-%d %H:%M:%S.%f}",
            self.who,
            f"{self.what} {self.kind}",
            self.run_id or self.experiment,
            self.key,
            change or (None if value is None else repr(value)),
        )
        return "  ".join(part for part in parts if part)


def net_changes(
    session: Session, a: int, b: int, *, run_id: str | None = None
) -> Sequence[NetChange]:
    """What differs at position `b` from `a`, in order of position; of one run or of all."""
    if a > b:
        raise InvalidInput(
            f"position {a} is later than {b}; give the earlier moment first: diff(a, b) tells what "
            "came after a"
        )
    rows = session.reader().net_changes(a, b, run_id=run_id)
    return [_net_change(row, session.journal.name_of(row.writer_id)) for row in rows]


def _net_change(row: NetChangeRow, who: str) -> NetChange:
    kind: Kind = "changed" if row.had and row.has else "created" if row.has else "removed"
    what: Any = row.what  # One of the literals.
    return NetChange(
        what,
        kind,
        row.experiment,
        row.experiment_id,
        row.run_id,
        row.key,
        row.old,
        row.new,
        row.position,
        utc_time(row.recorded_at),
        who,
        row.reason,
    )

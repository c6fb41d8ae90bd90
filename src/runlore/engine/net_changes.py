"""The net changes of a workspace between two moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from runlore.domain.errors import InvalidInput
from runlore.domain.fact import utc_time
from runlore.domain.visible_text import visible
from runlore.projections.net_changes import NetChangeRow
from runlore.shown.tables import ROWS_MAX, shown_table

if TYPE_CHECKING:
    from runlore.engine.session import Session

What = Literal[
    "experiment",
    "experiment_name",
    "experiment_tag",
    "run",
    "status",
    "archive",
    "display_name",
    "description",
    "tag",
    "property",
    "config",
    "artifact",
    "metric",
]
ChangeKind = Literal["created", "changed", "removed"]


@dataclass(frozen=True, slots=True)
class NetChange:
    """A creation, change or removal between two moments; changes that were undone are left out.

    `key` is the name of the tag, property, file or metric (`name`, or `name.column`). `old` and
    `new` are its values at the two moments: text, or None for no value; `active` or `archived` for
    an experiment and in a run's `archive`, JSON for a config, the SHA-256 or the URI for an
    artifact, `MetricSummary(n, last)` for a metric. `position`,
    `time` (aware UTC), `who` and `reason` are those of the event that set `new`.
    """

    what: What
    kind: ChangeKind
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
            self.reason and f"({self.reason})",
        )
        return "  ".join(visible(part) for part in parts if part)


# fmt: off
_SHOWN: Final = (
    "time", "who", "what", "kind", "experiment", "run_id", "key", "old", "new", "reason",
)
# fmt: on


class NetChanges(list[NetChange]):
    """Net changes in the order of the log; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        rows = [[getattr(change, name) for name in _SHOWN] for change in self[:ROWS_MAX]]
        return shown_table(_SHOWN, rows, total=len(self))


def net_changes(session: Session, a: int, b: int, *, run_id: str | None = None) -> NetChanges:
    """The net changes from position `a` to `b`, of one run or of all, in order of position."""
    if a > b:
        raise InvalidInput(
            f"position {a} is later than {b}; pass the earlier moment first: diff(a, b) lists the "
            "changes after a"
        )
    rows = session.reader().net_changes(a, b, run_id=run_id)
    name_of = session.journal.name_of
    return NetChanges(_net_change(row, name_of(row.writer_id, row.actor)) for row in rows)


def _net_change(row: NetChangeRow, who: str) -> NetChange:
    kind: ChangeKind = "changed" if row.had and row.has else "created" if row.has else "removed"
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
        utc_time(row.observed_at),
        who,
        row.reason,
    )

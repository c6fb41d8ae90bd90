"""What a verification finds wrong with a log: typed, placed, and in words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

_MOST: Final = 1000


class Kind(StrEnum):
    """How something is wrong."""

    CHANGED = "changed"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    MISLED = "misled"
    """The event is there, but a read through an index does not come to it, or to another one."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    `first` and `last` are the positions that it is about, None if it is about none; they differ
    where only a range is known. Stream, version and topic are what a row there says now.
    """

    kind: Kind
    message: str
    first: int | None = None
    last: int | None = None
    stream: str | None = None
    version: int | None = None
    topic: str | None = None


@dataclass
class Findings:
    """The first thousand findings, and how many more there were: a bounded memory of damage."""

    kept: list[Finding] = field(default_factory=list)
    more: int = 0

    @property
    def full(self) -> bool:
        """Whether further ones are only counted."""
        return len(self.kept) >= _MOST

    def add(self, finding: Finding) -> None:
        """Keeps it, or counts it."""
        if self.full:
            self.more += 1
        else:
            # What somebody wrote into the file must not hide itself on a terminal.
            self.kept.append(replace(finding, message=_printable(finding.message)))

    def about_log(self, kind: Kind, what: str) -> None:
        """Something that is about no position."""
        self.add(Finding(kind, what))

    def about_range(self, kind: Kind, first: int, last: int, what: str) -> None:
        """Something about the positions from `first` to `last`."""
        which = f"position {first}" if first == last else f"positions {first} to {last}"
        self.add(Finding(kind, f"{which}: {what}", first, last))

    def about_row(self, kind: Kind, row: tuple[Any, ...], what: str) -> None:
        """Something about the event that stands in a row; the row may hold anything."""
        position, stream, version, topic = row[:4]
        named = f"{stream!s:.200} version {version!s:.20}, {topic!s:.80}"
        self.add(
            Finding(
                kind,
                f"position {position} ({named}): {what}",
                position,
                position,
                stream if isinstance(stream, str) else None,
                version if isinstance(version, int) else None,
                topic if isinstance(topic, str) else None,
            )
        )

    def about_stream(self, kind: Kind, stream: object, version: object, what: str) -> None:
        """Something about a place in a stream."""
        self.add(
            Finding(
                kind,
                f"{stream!s:.200} version {version!s:.20}: {what}",
                stream=stream if isinstance(stream, str) else None,
                version=version if isinstance(version, int) else None,
            )
        )

    def within(self, first: int, last: int) -> bool:
        """Whether something was found about one row, or a hole, from `first` to `last`."""
        return any(
            one.first is not None
            and one.last is not None
            and one.first <= last
            and one.last >= first
            for one in self.kept
        )


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)

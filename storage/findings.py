"""Findings of a verification: a kind, a place in the log, and a message."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

MAX_FINDINGS: Final = 1000


class Kind(StrEnum):
    """The kind of damage."""

    CHANGED = "changed"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    MISLED = "misled"
    """The event exists, but an index does not lead to it, or leads to another one."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Finding:
    """One problem.

    `first` and `last` are the positions concerned, or None; they differ if only a range is known.
    Stream, version and topic are those of the row as it is now.
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
    """The first findings, and the number of further ones."""

    kept: list[Finding] = field(default_factory=list)
    more: int = 0
    max_findings: int = MAX_FINDINGS

    @property
    def full(self) -> bool:
        """Whether further ones are only counted."""
        return len(self.kept) >= self.max_findings

    def add(self, finding: Finding) -> None:
        """Keep a finding, or only count it."""
        if self.full:
            self.more += 1
        else:
            # Text that someone wrote into the file must not hide itself on a terminal.
            self.kept.append(replace(finding, message=_printable(finding.message)))

    def about_log(self, kind: Kind, what: str) -> None:
        """Add a finding without a position."""
        self.add(Finding(kind, what))

    def about_range(self, kind: Kind, first: int, last: int, what: str) -> None:
        """Add a finding about the positions from `first` to `last`."""
        which = f"position {first}" if first == last else f"positions {first} to {last}"
        self.add(Finding(kind, f"{which}: {what}", first, last))

    def about_row(self, kind: Kind, row: tuple[Any, ...], what: str) -> None:
        """Add a finding about the event in a row; the row may hold values of any type."""
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
        """Add a finding about a place in a stream."""
        self.add(
            Finding(
                kind,
                f"{stream!s:.200} version {version!s:.20}: {what}",
                stream=stream if isinstance(stream, str) else None,
                version=version if isinstance(version, int) else None,
            )
        )

    def within(self, first: int, last: int) -> bool:
        """Whether a finding concerns a row or a hole between `first` and `last`."""
        return any(
            finding.first is not None
            and finding.last is not None
            and finding.first <= last
            and finding.last >= first
            for finding in self.kept
        )


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)

"""A count of what was left out of a folder."""

from __future__ import annotations

from typing import Final

ELSEWHERE: Final = "a link that leads elsewhere"
BROKEN: Final = "a broken link"
TO_A_FOLDER: Final = "a link to a folder"
NOT_PLAIN: Final = "not a plain file"

_SHOWN_OF_A_KIND: Final = 3


class LeftOut:
    """What was left out of a folder: how many entries, and of which kinds the first of them are."""

    def __init__(self) -> None:
        self.count = 0
        self._first: dict[str, list[str]] = {}

    def add(self, name: str, kind: str) -> None:
        """Count an entry of a kind, such as `ELSEWHERE`."""
        self.count += 1
        shown = self._first.setdefault(kind, [])
        if len(shown) < _SHOWN_OF_A_KIND:
            shown.append(name)

    def __str__(self) -> str:
        shown = [
            f"{name!r:.200} is {kind}" for kind, names in self._first.items() for name in names
        ]
        rest = self.count - len(shown)
        return ", ".join(shown) + (f", and {rest:,} more like these" if rest else "")

"""The place of runlore in the order in which Python calls exit handlers: last.

They are called in the reverse order of their registration. `import runlore` registers the one that
calls `end`, so all that a program registers afterwards comes first: it can still log into its runs,
and say how they end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runlore.engine.exits.endings import Ending

_ends: list[Callable[[Ending | None], None]] = []


def at_end(function: Callable[[Ending | None], None]) -> None:
    """Call the function when the process ends, with how it ends, if that is known.

    Those that come later are called before.
    """
    _ends.append(function)


def end(ending: Ending | None = None) -> None:
    """Do what is to be done at the end of the process, which is now."""
    for function in reversed(_ends):
        function(ending)

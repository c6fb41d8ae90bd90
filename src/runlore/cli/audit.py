"""`runlore audit`: the group of all commands about what the log proves, and about erasure."""

from __future__ import annotations

from runlore.cli.lazy import LazyGroup

audit = LazyGroup(
    "audit",
    help="Checks what the log proves, and erases runs of erasable workspaces.",
    places={
        "erase": "audit_erase:erase",
    },
)

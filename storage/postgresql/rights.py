"""What each kind of role may do in a log's schema, as statements that give it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from runlore.storage.log_opener import Rights

READS: Final = ("position_at", "clock_us")
"""Functions for all who read."""

WRITES: Final = (
    *("append", "lock_log", "settle", "keys_for"),
    *("beat", "leave", "forget_writer", "keep_outcome", "forget_outcomes"),
)
"""Functions for writers; each other one is the owner's."""

CALLS: Final = {
    Rights.WRITER: frozenset((*READS, *WRITES)),
    Rights.READER: frozenset(READS),
    Rights.AUDITOR: frozenset(READS),  # To verify takes no more than to read.
    Rights.NOBODY: frozenset[str](),
}

_HOLDERS: Final = """
    SELECT g.rolname::text, bool_or(held.writes) FROM (
        SELECT (aclexplode(proacl)).grantee, true AS writes, proowner AS owner FROM pg_proc
            WHERE pronamespace = '@schema@'::regnamespace AND proname = 'append'
        UNION ALL SELECT (aclexplode(relacl)).grantee, false, relowner FROM pg_class
            WHERE relnamespace = '@schema@'::regnamespace AND relname = 'stored_events'
    ) AS held JOIN pg_roles g ON g.oid = held.grantee WHERE held.grantee <> held.owner
    GROUP BY g.rolname
"""


def statements(role: str, rights: Rights) -> list[str]:
    """The statements that give a role these rights and no others, for the schema `@schema@`."""
    quoted = '"' + role.replace('"', '""') + '"'
    texts = [
        f"REVOKE ALL ON {what}@schema@ FROM {quoted}"
        for what in ("ALL TABLES IN SCHEMA ", "ALL ROUTINES IN SCHEMA ", "SCHEMA ")
    ]
    if rights is not Rights.NOBODY:
        texts.append(f"GRANT USAGE ON SCHEMA @schema@ TO {quoted}")
        texts.append(f"GRANT SELECT ON ALL TABLES IN SCHEMA @schema@ TO {quoted}")
    calls = sorted(CALLS[rights])
    return [*texts, *(f"GRANT EXECUTE ON FUNCTION @schema@.{name} TO {quoted}" for name in calls)]


def renew(ask: Callable[[str], Sequence[Sequence[Any]]]) -> None:
    """Give all who have rights those of this version's tables and functions as well."""
    for role, writes in ask(_HOLDERS):
        for text in statements(role, Rights.WRITER if writes else Rights.READER):
            ask(text)

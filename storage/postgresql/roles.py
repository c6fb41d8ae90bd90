"""The rights of roles in a log's schema: given by its owner, and checked by their effect.

Writers may read, and append through the server's functions; nobody but the owner may change tables.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from runlore.domain.errors import InvalidInput
from runlore.storage.errors import LogReadOnly, NotALog
from runlore.storage.log_opener import Rights
from runlore.storage.postgresql.address import Address
from runlore.storage.postgresql.connections import Connection
from runlore.storage.postgresql.rights import CALLS, statements
from runlore.storage.postgresql.schema import found_at, statement

_ROLE: Final = "SELECT oid FROM pg_roles WHERE rolname = %s"
# `has_…_privilege` does not count what a role would have to SET ROLE for.
_EFFECT: Final = """
    WITH acts_as AS (SELECT oid FROM pg_roles WHERE pg_has_role(%(role)s::oid, oid, 'MEMBER')),
         n AS (SELECT * FROM pg_namespace WHERE nspname = %(schema)s),
         t AS (SELECT c.oid FROM pg_class c JOIN n ON c.relnamespace = n.oid WHERE relkind = 'r')
    SELECT (SELECT rolsuper FROM pg_roles WHERE oid = %(role)s),
           (SELECT bool_or(a.oid = n.nspowner) FROM acts_as a),
           (SELECT bool_or(has_table_privilege(a.oid, t.oid,
                'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')) FROM acts_as a, t)
             OR (SELECT bool_or(has_schema_privilege(a.oid, n.oid, 'CREATE')) FROM acts_as a)
             OR (SELECT bool_or(r.rolname IN ('pg_write_server_files', 'pg_execute_server_program'))
                 FROM acts_as a JOIN pg_roles r USING (oid)),
           has_database_privilege(%(role)s::oid, current_database(), 'CONNECT'),
           has_schema_privilege(%(role)s::oid, n.oid, 'USAGE'),
           (SELECT bool_or(has_table_privilege(%(role)s::oid, t.oid, 'SELECT')) FROM t),
           (SELECT bool_and(has_table_privilege(%(role)s::oid, t.oid, 'SELECT')) FROM t),
           (SELECT coalesce(array_agg(DISTINCT p.proname::text), '{}') FROM pg_proc p, acts_as a
            WHERE p.pronamespace = n.oid AND has_function_privilege(a.oid, p.oid, 'EXECUTE'))
    FROM n
"""


class _Effect(NamedTuple):
    """What a role may do, by whatever way it came to it."""

    is_superuser: bool
    is_owner: bool
    may_change_tables: bool
    may_connect: bool
    may_enter: bool
    may_read_some: bool
    may_read_all: bool
    may_call: list[str]


def grant(connection: Connection, address: Address, role: str, rights: Rights) -> None:
    """Give a role these rights in the log's schema, and take all others there from it.

    Raises LogReadOnly unless this user is the schema's owner, or if others must give more;
    InvalidInput for a role that does not exist, or that can do more for other reasons. Then nothing
    is changed.
    """
    found = found_at(connection, address)
    if not found.has_log:
        raise NotALog(f"there is no log in {address.uri}; create the workspace first")
    if not found.is_ours:
        raise LogReadOnly(
            f"only the owner of the schema {address.schema!r} gives rights in it; open "
            f"{address.uri} as that role"
        )
    row = connection.execute(_ROLE, [role]).fetchone() if is_storable(role) else None
    if row is None:
        raise InvalidInput(
            f"there is no role {role!r:.80} on the server of {address.uri}; name another, or let "
            "its administrator make this one by CREATE ROLE … LOGIN"
        )
    with connection.transaction():
        for text in statements(role, rights):
            connection.execute(statement(text, address))
        asked = {"role": row[0], "schema": address.schema}
        effect = connection.execute(_EFFECT, asked).fetchone()
        assert effect is not None, "the schema is there"
        _check(_Effect(*effect), role, rights, address)


def _check(effect: _Effect, role: str, rights: Rights, address: Address) -> None:
    why = None
    more = sorted({*effect.may_call} - CALLS[rights])
    if effect.is_superuser:
        why = "it is a superuser"
    elif effect.is_owner:
        why = "it owns the schema, or is a member of the role that does"
    elif effect.may_change_tables:
        why = (
            "it may change tables there, or files of the server, by rights of PUBLIC or of a role "
            "that it is a member of"
        )
    elif more or (rights is Rights.NOBODY and effect.may_enter and effect.may_read_some):
        may = f"call {', '.join(more)}" if more else "read tables"
        why = f"it may {may} by rights of PUBLIC or of a role that it is a member of"
    if why is not None:
        raise InvalidInput(
            f"{role!r:.80} cannot be made a mere {rights} of {address.uri}: {why}; nothing was "
            "changed, choose a role of its own for this"
        )
    if rights is not Rights.NOBODY and not (
        effect.may_connect
        and effect.may_enter
        and effect.may_read_all
        and CALLS[rights] <= {*effect.may_call}
    ):
        raise LogReadOnly(
            f"{role!r:.80} did not get the rights of a {rights} in {address.uri}; let the owner of "
            "the database run GRANT CONNECT ON DATABASE, and the owner of the schema and all "
            "tables in it give these rights"
        )


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text, which has neither zero bytes nor lone surrogates."""
    return "\0" not in text and text.encode(errors="replace").decode() == text

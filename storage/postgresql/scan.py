"""A log in PostgreSQL as its verification reads it: its tables, and what was put beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from runlore.storage.as_of_times import Steps
from runlore.storage.errors import LogCorrupt
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery
from runlore.storage.log_scan import Beginning, LogScan, Row, Times
from runlore.storage.merkle import Frontier
from runlore.storage.postgresql.connections import Connection, Connections
from runlore.storage.postgresql.schema import statement

COLUMNS: Final = (
    "notification_id, originator_id, originator_version, topic, state, "
    "event_id, recorded_at, metadata, leaf"
)
HEAD: Final = """
    SELECT position, recorded_at, frontier, version FROM @schema@.log_head
    ORDER BY position DESC, recorded_at DESC LIMIT 1
"""
_MARKS: Final = "SELECT writer_id, position FROM @schema@.drained"
_STRAYS: Final = 100
_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_SELECT_STRAYS: Final = (
    f"SELECT {COLUMNS} FROM @schema@.stored_events "
    "WHERE NOT notification_id BETWEEN 1 AND %b LIMIT %b"
)
# What makes a statement do something else, or hides rows.
_ALTERED: Final = """
    SELECT 'the trigger ' || quote_ident(t.tgname) || ' of ' || c.relname
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = %b::text::regnamespace AND NOT t.tgisinternal
    UNION ALL SELECT 'the rule ' || quote_ident(r.rulename) || ' of ' || c.relname
        FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
        WHERE c.relnamespace = %b::text::regnamespace
    UNION ALL SELECT 'the row security of ' || relname FROM pg_class
        WHERE relnamespace = %b::text::regnamespace AND relrowsecurity
    UNION ALL SELECT 'the set of unique keys of stored_events'
        WHERE (SELECT count(*) FROM pg_index WHERE indrelid = %b::text::regclass
               AND indisunique AND indisvalid AND indisready) <> 2
"""


class PostgresScan(LogScan):
    """The scan of a log in PostgreSQL; `rows` are read as by the log itself."""

    def __init__(
        self,
        connections: Connections,
        rows: Callable[[LogQuery], Sequence[Row]],
    ) -> None:
        self._connections = connections
        self._rows = rows

    def begin(self) -> Beginning:
        return self._connections.read(self._begin)

    def rows(self, after: int, upto: int, limit: int) -> Sequence[Row]:
        return self._rows(LogQuery(after_position=after, upto_position=upto, limit=limit))

    def count_reached(self, after: int, upto: int) -> int:
        return len(self.rows(after, upto, upto - after))

    def _begin(self, connection: Connection) -> Beginning:
        address = self._connections.address

        def ask(text: str, *params: Any) -> list[Row]:
            with connection.cursor(binary=True) as cursor:
                return cursor.execute(statement(text, address), params or None).fetchall()

        connection.execute(_SNAPSHOT)
        try:
            found = ask(HEAD)
            head = head_of(found)
            events = f"{address.quoted_schema}.stored_events"
            altered = ask(_ALTERED, *[address.quoted_schema] * 3, events)
            return Beginning(
                head,
                ask(_SELECT_STRAYS, head.position, _STRAYS),
                [(name, place) for name, place in ask(_MARKS)],
                [name for (name,) in altered],
                times=_times(ask),
                version=found[0][3],
            )
        finally:
            connection.execute("ROLLBACK")


def head_of(rows: Sequence[Row]) -> LogHead:
    """The head by the rows of `HEAD`. Raises LogCorrupt if it is missing or damaged."""
    if not rows:
        raise LogCorrupt("the log has lost its head (table log_head is empty); restore a copy")
    position, recorded_at, nodes, _ = rows[0]
    try:
        return LogHead(position, recorded_at, Frontier.from_bytes(position, nodes))
    except ValueError as error:
        raise LogCorrupt(f"the log's head is damaged: {error}; restore a copy") from error


def _times(ask: Callable[[str], list[Row]]) -> Times | str:
    steps, last = Steps(), 0
    for as_of, position in ask("SELECT as_of, position FROM @schema@.as_of_steps ORDER BY as_of"):
        if position <= last:
            return f"the step to position {position} follows one to {last}"
        steps.add(as_of, position)
        last = position
    settled = ask("SELECT until FROM @schema@.settled")
    if not settled:
        return "the table settled is empty"
    return Times(steps, settled[0][0])

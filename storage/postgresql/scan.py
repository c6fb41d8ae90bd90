"""A log in PostgreSQL as its verification reads it: its tables, and what was put beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from runlore.domain.events import RunErased
from runlore.domain.ids import RUNS
from runlore.storage.as_of_times import Steps
from runlore.storage.errors import LogCorrupt
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery
from runlore.storage.log_scan import Beginning, KeyScan, LogScan, Row, Times
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
_KINDS: Final = """
    SELECT (SELECT bool_or(is_erasable) FROM @schema@.log_format) IS TRUE,
           EXISTS (SELECT FROM @schema@.run_keys) OR EXISTS (SELECT FROM @schema@.erasures),
           EXISTS (SELECT FROM @schema@.fence)
"""
_KEYS: Final = f"""
    SELECT k.run_id, k.key, event.notification_id IS NOT NULL, noted.position
    FROM @schema@.run_keys AS k
    LEFT JOIN @schema@.stored_events AS event
        ON event.originator_id = '{RUNS}' || k.run_id AND event.topic = '{RunErased.topic}'
    LEFT JOIN @schema@.erasures AS noted ON noted.position = event.notification_id
    WHERE k.run_id = ANY(%b::text[])
"""
_ERASURES_OF_NOTHING: Final = f"""
    SELECT position, run_id FROM @schema@.erasures AS noted WHERE NOT EXISTS (
        SELECT FROM @schema@.stored_events WHERE notification_id = noted.position
        AND topic = '{RunErased.topic}' AND originator_id = '{RUNS}' || noted.run_id)
    ORDER BY position LIMIT %b
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
            altered = [name for (name,) in ask(_ALTERED, *[address.quoted_schema] * 3, events)]
            [(is_erasable, has_keys, is_moved)] = ask(_KINDS)
            is_keyed = is_erasable and not is_moved  # Then keys are in another place.
            if has_keys and not is_erasable:
                altered.append("the table log_format, by which no run has a key,")
            return Beginning(
                head,
                ask(_SELECT_STRAYS, head.position, _STRAYS),
                [(name, place) for name, place in ask(_MARKS)],
                altered,
                keys=PostgresKeys(self._connections) if is_keyed else None,
                times=_times(ask),
                version=None if is_erasable else found[0][3],
            )
        finally:
            connection.execute("ROLLBACK")


class PostgresKeys(KeyScan):
    """The keys of an erasable log in PostgreSQL; each call reads one snapshot."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def keys_of(self, runs: Sequence[str]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        found = self._ask(_KEYS, [*runs])
        keys = {run_id: key for run_id, key, *_ in found}
        erased = {run_id: noted for run_id, _, is_erased, noted in found if is_erased}
        return keys, erased

    def erasures_of_nothing(self) -> Sequence[Row]:
        return self._ask(_ERASURES_OF_NOTHING, _STRAYS)

    def _ask(self, text: str, *params: Any) -> list[Row]:
        def work(connection: Connection) -> list[Row]:
            with connection.cursor(binary=True) as cursor:
                return cursor.execute(statement(text, self._connections.address), params).fetchall()

        return self._connections.read(work)


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

"""The presence of writers in tables beside the log: see `migrations/0002_presence.sql`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runlore.storage.participants import Part, line_of, part_in
from runlore.storage.postgresql.connections import Connection, Connections
from runlore.storage.postgresql.schema import statement
from runlore.storage.presence import Heard, Presence
from runlore.storage.this_process import ProcessIdentity

_HEARD: Final = """
    SELECT writer_id, process, (@schema@.clock_us() - heard_at) / 1e6, has_left, parts
    FROM @schema@.presence ORDER BY writer_id
"""


class PostgresPresence(Presence):
    """What the tables of a log's schema say of its writers."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def beat(
        self, writer_id: str, process: ProcessIdentity, parts: Sequence[tuple[str, Part]]
    ) -> None:
        named = json.dumps(process._asdict()).encode()
        lines = [f"{run_id}\n".encode() + line_of(part) for run_id, part in parts]
        self._call("beat(%b::text, %b::bytea, %b::bytea[])", writer_id, named, lines)

    def leave(self, writer_id: str) -> None:
        self._call("leave(%b::text)", writer_id)

    def heard(self) -> Sequence[Heard]:
        found = []
        for writer_id, process, silent_s, has_left, lines in self._ask(_HEARD):
            identity = _process_in(process)
            if identity is not None:
                parts = dict(filter(None, (_part_in(line, writer_id) for line in lines)))
                found.append(Heard(writer_id, identity, float(silent_s), has_left, parts))
        return found

    def forget(self, writer_id: str) -> None:
        self._call("forget_writer(%b::text)", writer_id)

    def keep_outcome(self, run_id: str, part: Part) -> None:
        self._call(
            "keep_outcome(%b::text, %b::text, %b::bytea)", run_id, part.writer_id, line_of(part)
        )

    def outcomes_of(self, run_id: str) -> Mapping[str, Part]:
        rows = self._ask("SELECT writer_id, part FROM @schema@.outcomes WHERE run_id = %b", run_id)
        parts = (part_in(line, writer_id) for writer_id, line in rows)
        return {part.writer_id: part for part in parts if part is not None}

    def forget_outcomes(self, run_id: str, writer_id: str | None = None) -> None:
        self._call("forget_outcomes(%b::text, %b::text)", run_id, writer_id)

    def _call(self, function: str, *params: Any) -> None:
        self._ask(f"SELECT @schema@.{function}", *params)

    def _ask(self, text: str, *params: Any) -> list[tuple[Any, ...]]:
        def work(connection: Connection) -> list[tuple[Any, ...]]:
            with connection.cursor(binary=True) as cursor:
                named = statement(text, self._connections.address)
                return cursor.execute(named, params or None).fetchall()

        return self._connections.read(work)


def _process_in(line: bytes) -> ProcessIdentity | None:
    try:
        found = ProcessIdentity(**json.loads(line))
    except (ValueError, TypeError):  # Whoever may write to the log may tell anything.
        return None
    kinds = [type(value) for value in found]
    return found if kinds == [str, str, int, int, int, str] else None


def _part_in(line: bytes, writer_id: str) -> tuple[str, Part] | None:
    run_id, _, told = line.partition(b"\n")
    part = part_in(told, writer_id)
    return None if part is None else (run_id.decode(errors="replace"), part)

"""The tables and indexes of a log in SQLite, of every version of it, and no others.

SQLite obeys what a file defines: a trigger of a stranger's log would delete what was just stored,
and a view in the place of a table may never end. So a file is used only if all that it defines is
of this module, word for word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

EVENTS_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS stored_events (
        notification_id INTEGER PRIMARY KEY AUTOINCREMENT,
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        event_id BLOB,
        recorded_at INTEGER NOT NULL,
        metadata BLOB,
        leaf BLOB NOT NULL,
        UNIQUE (originator_id, originator_version)
    )
    """,
    "CREATE INDEX IF NOT EXISTS stored_events_recorded_at ON stored_events (recorded_at)",
    """
    CREATE TABLE IF NOT EXISTS log_head (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        size INTEGER NOT NULL,
        position INTEGER NOT NULL,
        recorded_at INTEGER NOT NULL,
        frontier BLOB NOT NULL
    )
    """,
    # Columns by name: since version 2 there is one more.
    "INSERT OR IGNORE INTO log_head (one, size, position, recorded_at, frontier) "
    "VALUES (1, 0, 0, 0, x'')",
    # Beside the log, not part of it: how much of each spool of values is in the log.
    """
    CREATE TABLE IF NOT EXISTS drained (
        writer_id TEXT PRIMARY KEY,
        lap INTEGER NOT NULL,
        slot INTEGER NOT NULL,
        position INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)

# Since version 2. The first runlore looks at the version only when it opens a log; but it does not
# know this column, so it cannot move the head any more. Its users see the constraint's name.
FENCE: Final = (
    "fence INTEGER CONSTRAINT "
    '"a newer runlore writes to this log now: upgrade runlore" CHECK (fence = position)'
)
FENCED_VERSION: Final = 2

# Rows are only appended, and keys overwritten in place: a row that SQLite moved would leave a copy
# of its key in a page's free space.
KEYS_SCHEMA: Final = (
    """
    CREATE TABLE run_keys (
        number INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        key BLOB NOT NULL
    )
    """,
    "CREATE TABLE erasures (position INTEGER PRIMARY KEY, run_id TEXT NOT NULL)",
)

TIMES_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS as_of_steps (as_of INTEGER PRIMARY KEY, position INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS settled "
    "(one INTEGER PRIMARY KEY CHECK (one = 1), until INTEGER NOT NULL)",
)

# Only in a log that was moved away, or is not copied completely: see `runlore.storage.fence`.
FENCE_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS fence (one INTEGER PRIMARY KEY CHECK (one = 1), "
    "kind TEXT NOT NULL, place TEXT NOT NULL, version INTEGER NOT NULL)",
)

TRACKING_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS tracking (
        application_name TEXT PRIMARY KEY,
        notification_id INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)


def aggregates_schema(table: str) -> tuple[str, ...]:
    """The table of a recorder of aggregates, such as `stored_snapshots`."""
    return (
        f"""
        CREATE TABLE IF NOT EXISTS {table} (
            originator_id TEXT, originator_version INTEGER, topic TEXT, state BLOB,
            PRIMARY KEY (originator_id, originator_version)
        ) WITHOUT ROWID
        """,
    )


class Defined(NamedTuple):
    """What a file defines: a row of `sqlite_schema`. `sql` is None for an index of a constraint."""

    kind: str
    name: str
    table: str
    sql: str | None


def plain(sql: str) -> str:
    """A statement with single spaces, and as SQLite keeps it."""
    # Only what SQLite takes for a space: to it, others are letters.
    words = re.split(r"[ \t\n\f\r]+", sql.strip(" \t\n\f\r"))
    return " ".join(words).replace(" IF NOT EXISTS ", " ", 1)


def statements_by_name(statements: Iterable[str]) -> dict[str, str]:
    """The plain statements that define something, by the name of what they define."""
    made = [plain(statement) for statement in statements]
    return {_name_in(one): one for one in made if one.startswith("CREATE ")}


def fenced(log_head: str) -> str:
    """The plain statement of `log_head` since version 2: SQLite adds a column to its text."""
    return log_head.removesuffix(")") + f", {FENCE})"


def stranger_in(defined: Iterable[Defined], known: Collection[str] = ()) -> Defined | None:
    """The first definition that is not ours; None if all are.

    `known` are plain statements of recorders that are not of this module.
    """
    tables: set[str] = set()
    implied = []
    for one in defined:
        if one.sql is None:
            implied.append(one)
        elif one not in _OURS and not _is_of_aggregates(one) and not _is_known(one, known):
            return one
        elif one.kind == "table":
            tables.add(one.name)
    for one in implied:
        name = re.fullmatch(r"sqlite_autoindex_(.+)_[0-9]{1,2}", one.name)
        if one.kind != "index" or name is None or {name[1], one.table} - tables:
            return one
    return None


def _name_in(statement: str) -> str:
    return statement.split(" ")[2].partition("(")[0]


def _defined_by(statements: Iterable[str]) -> Iterator[Defined]:
    for name, sql in statements_by_name(statements).items():
        kind = sql.split(" ")[1].lower()
        yield Defined(kind, name, name if kind == "table" else sql.split(" ")[4], sql)


def _is_of_aggregates(one: Defined) -> bool:
    if not re.fullmatch(r"stored_[a-z0-9_]{1,60}", one.name) or one.name == "stored_events":
        return False
    return _is_known(one, statements_by_name(aggregates_schema(one.name)).values())


def _is_known(one: Defined, known: Collection[str]) -> bool:
    return one.sql is not None and one.sql in known and one in _defined_by([one.sql])


def _ours() -> frozenset[Defined]:
    ours = [*EVENTS_SCHEMA, *KEYS_SCHEMA, *TIMES_SCHEMA, *FENCE_SCHEMA, *TRACKING_SCHEMA]
    ours += _OF_SQLITE
    head = statements_by_name(EVENTS_SCHEMA)["log_head"]
    return frozenset(_defined_by([*ours])) | {*_defined_by([fenced(head)])}


_OF_SQLITE: Final = (
    "CREATE TABLE sqlite_sequence(name,seq)",
    "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
    "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
)
_OURS: Final = _ours()
NAMES: Final = frozenset(one.name for one in _OURS)
"""The names of all tables and indexes that a log has by a statement."""

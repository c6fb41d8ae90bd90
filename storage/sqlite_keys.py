"""The tables of an erasable log in SQLite: each run's key, and which runs were erased."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final

from runlore.domain.ids import run_id_of
from runlore.storage.event_log import StoredRow
from runlore.storage.seal import NO_KEY, new_key

_AT_ONCE: Final = 500


def is_erasable(connection: sqlite3.Connection) -> bool:
    """Whether the log on this connection was made with keys."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'run_keys'").fetchone()
    return found is not None


def keys_of(connection: sqlite3.Connection, runs: Iterable[str]) -> Mapping[str, bytes]:
    """The stored keys, by run; runs that never had one are left out."""
    keys: dict[str, bytes] = {}
    wanted = list(runs)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        places = ", ".join("?" * len(some))
        keys.update(
            connection.execute(
                f"SELECT run_id, key FROM run_keys WHERE run_id IN ({places})", some
            ).fetchall()
        )
    return keys


def key_for(connection: sqlite3.Connection, run_id: str) -> bytes:
    """The run's key, made if it has none; `NO_KEY` if the run was erased."""
    held = keys_of(connection, [run_id]).get(run_id)
    if held is not None:
        return held
    key = new_key()
    connection.execute("INSERT INTO run_keys (run_id, key) VALUES (?, ?)", (run_id, key))
    return key


def keys_for(connection: sqlite3.Connection, runs: Iterable[str]) -> Mapping[str, bytes]:
    """The keys of these runs, as `key_for`."""
    return {run_id: key_for(connection, run_id) for run_id in runs}


def all_keys(connection: sqlite3.Connection) -> Mapping[str, bytes]:
    """The stored keys of all runs."""
    return dict(connection.execute("SELECT run_id, key FROM run_keys").fetchall())


def erased_runs(connection: sqlite3.Connection) -> frozenset[str]:
    """The runs that were erased."""
    return frozenset(run_id for (run_id,) in connection.execute("SELECT run_id FROM erasures"))


def store_keys(connection: sqlite3.Connection, keys: Mapping[str, bytes]) -> None:
    """Store these keys, over those that runs have: in place, as all keys are overwritten."""
    connection.executemany(
        "INSERT INTO run_keys (run_id, key) VALUES (?, ?) "
        "ON CONFLICT (run_id) DO UPDATE SET key = excluded.key",
        keys.items(),
    )


def overwrite_keys(connection: sqlite3.Connection) -> None:
    """Overwrite the keys of all runs."""
    connection.execute("UPDATE run_keys SET key = ?", (NO_KEY,))


def destroy_key(connection: sqlite3.Connection, erased: StoredRow) -> None:
    """Overwrites the key of the run that the event erased, and records where that was."""
    run_id = run_id_of(erased.stream)
    connection.execute("UPDATE run_keys SET key = ? WHERE run_id = ?", (NO_KEY, run_id))
    connection.execute("INSERT INTO erasures VALUES (?, ?)", (erased.position, run_id))

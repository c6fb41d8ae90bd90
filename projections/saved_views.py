"""The views that were saved under names and not deleted since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from runlore.projections.conditions import Conditions
from runlore.projections.driver import duckdb
from runlore.projections.views import ACTORS


class SavedView(NamedTuple):
    """A name, the JSON document that it stands for, and who saved it when (µs since 1970 UTC)."""

    name: str
    definition: Mapping[str, Any]
    saved_at: int
    saved_by: str | None


_SAVED: Final = f"""
SELECT t.name, t.definition, t.changed_at, coalesce(a.actor, w.actor)
FROM (
    FROM store.saved_views v WHERE {{known}}
    QUALIFY row_number() OVER (PARTITION BY v.name ORDER BY v.position DESC) = 1
) t
LEFT JOIN store.writers w ON w.writer_id = t.writer_id
LEFT JOIN {ACTORS} a ON a.position = t.position
WHERE t.definition IS NOT NULL
ORDER BY t.name
"""


def saved_views(connection: duckdb.DuckDBPyConnection, as_of: int | None) -> list[SavedView]:
    """The saved views by name."""
    query = _SAVED.format(known=Conditions(as_of).known("v"))
    return [
        SavedView(name, json.loads(definition), saved_at, saved_by)
        for name, definition, saved_at, saved_by in connection.execute(query).fetchall()
    ]

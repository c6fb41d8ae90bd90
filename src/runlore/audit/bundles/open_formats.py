"""Exports in open formats: events as JSON Lines, tables as Parquet."""

from __future__ import annotations

import base64
import json
import math
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runlore.audit.bundles.selection import (
    EVERYTHING,
    Selection,
    rows_at,
    selected_positions,
    selected_runs,
)
from runlore.domain.events import ValuesLogged
from runlore.domain.fact import utc_time
from runlore.domain.visible_text import visible_json
from runlore.storage.atomic_files import FileNotWritten, explained, replacing
from runlore.storage.codec import fact_of, unpacked_tree
from runlore.storage.damage import examined
from runlore.storage.errors import LogCorrupt

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.storage.event_log import EventLog, StoredRow


def export_jsonl(
    session: Session,
    path: str | PathLike[str],
    selection: Selection = EVERYTHING,
) -> dict[str, Any]:
    """Write the selected events, decoded, one JSON object per line; return their number.

    Bytes are base64. The payload of logged values is decoded: `values` has a block per series,
    with the indexes, steps, times and values of each. NaN and infinities are text, because JSON
    cannot represent them. A damaged event has `damage`, the reason, and its bytes as `state`.
    Raises what `export` raises.
    """
    session.before_read()
    position = session.log.head().position
    positions = selected_positions(session, selection, position)
    with replacing(Path(path)) as file:
        for rows in rows_at(session.log, positions):
            for row in rows:
                document = _plain(_document(row, session.log))
                line = json.dumps(document, ensure_ascii=False, allow_nan=False)
                file.write(f"{visible_json(line)}\n".encode())
    return {"file": str(path), "events": len(positions)}


def _document(row: StoredRow, log: EventLog) -> dict[str, Any]:
    [fact] = examined(log, [fact_of(row)])
    data = fact.data
    document: dict[str, Any] = {
        "position": row.position,
        "stream": row.stream,
        "version": row.version,
        "topic": row.topic,
        "event_id": fact.event_id and fact.event_id.hex(),
        "recorded_at": utc_time(fact.recorded_at).isoformat(),
        "observed_at": fact.time.isoformat(),
        "metadata": _unpacked(row.metadata),
        "leaf": row.leaf.hex() if isinstance(row.leaf, bytes) else row.leaf,
    }
    if fact.damage is not None:
        return {**document, "damage": fact.damage, "state": row.state}
    if data is None:  # Written by a newer runlore or another application.
        return {**document, "state": row.state}
    if row.topic != ValuesLogged.topic:
        return {**document, "data": data}
    from runlore.storage.value_reader import read_batch

    shown = {key: value for key, value in data.items() if key != "payload"}
    try:
        blocks = read_batch(data)
    except LogCorrupt as error:
        return {**document, "damage": str(error), "state": row.state}
    values = [
        {
            "name": block.series.name,
            "columns": list(block.series.columns),
            "index": block.index.tolist(),
            "steps": block.steps.tolist(),
            "times": block.times.tolist(),
            "values": [column.tolist() for column in block.columns],
        }
        for block in blocks
    ]
    return {**document, "data": shown, "values": values}


def _unpacked(metadata: bytes | None) -> Any:
    """The metadata; its bytes if they are damaged."""
    try:
        return unpacked_tree(metadata) if metadata else None
    except Exception:  # msgpack raises many kinds of errors.
        return metadata


def _plain(value: Any) -> Any:
    """The value, with everything that JSON cannot represent as text."""
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case bytes():
            return base64.b64encode(value).decode()
        case float() if not math.isfinite(value):
            return str(value)
        case str() | int() | float() | None:
            return value
        case _:  # msgpack has further types, which no event of ours holds.
            return repr(value)


def export_parquet(
    session: Session,
    folder: str | PathLike[str],
    selection: Selection = EVERYTHING,
) -> dict[str, Any]:
    """Write the views of the selected runs to a folder, a Parquet file each; count their rows.

    The views are those of docs/sql.md, events without their payloads, and `artifacts`, with the
    digest and size of each file. Files of these names are replaced. Raises what `export` raises.
    """
    from runlore.projections.parquet_files import QUERIES, write_view

    session = session.writable()  # The files have the current rows.
    projection = session.reader().projection
    runs = None
    if not selection.is_everything:
        runs = sorted(selected_runs(session, selection, projection.refresh()))
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileNotWritten(target, error) from error
    counts = {}
    for name in QUERIES:
        destination = target / f"{name}.parquet"
        with replacing(destination) as file, explained(destination):
            counts[name] = write_view(projection, name, runs, file.plain)
    return {"folder": str(folder), "rows": counts}

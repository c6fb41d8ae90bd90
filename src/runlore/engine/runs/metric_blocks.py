"""A metric's values, put together from batches in the log, the projection and live spools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from runlore.domain.events import RunRewound, ValuesLogged
from runlore.domain.ids import run_stream, values_prefix
from runlore.engine.runs.metric_values import MetricValues
from runlore.storage import interruptions
from runlore.storage.codec import fact_of
from runlore.storage.damage import examined
from runlore.storage.errors import LogCorrupt
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from runlore.domain.fact import Fact
    from runlore.projections.reader import RunsReader
    from runlore.storage.damage import DamageReport
    from runlore.storage.event_log import EventLog
    from runlore.storage.spool_folder import LiveValues
    from runlore.storage.value_reader import Block


def read_metrics(
    log: EventLog,
    run_id: str,
    *,
    name: str | None = None,
    upto_position: int | None = None,
    live: LiveValues | None = None,
    damage: DamageReport | None = None,
) -> dict[str, MetricValues]:
    """The metrics of a run, in the order of their first values; one of them if `name` is given.

    Values are in the order of positions and, within a batch, of the calls. Those that a rewind made
    void are left out, and batches that are damaged: `damage` is told of them. The `live` values
    follow; they must have been read before this call.
    """
    with interruptions.loading():
        from runlore.storage.value_reader import read_batch

    head = log.last_position()
    upto_position = head if upto_position is None else min(head, upto_position)
    rewinds = LogQuery(
        under=run_stream(run_id), upto_position=upto_position, topics=(RunRewound.topic,)
    )
    # Of all topics: one that is damaged must not be missed.
    values = LogQuery(prefix=values_prefix(run_id), upto_position=upto_position)
    rows = sorted([*log.read_log(rewinds), *log.read_log(values)], key=lambda row: row.position)
    batches: list[list[Block]] = []
    damaged: list[Fact] = []
    for row in rows:
        if live is not None and live.covers(row):
            continue
        [fact] = examined(log, [fact_of(row)])
        data = fact.data
        if data is None:
            damaged.append(fact)
        elif row.topic == RunRewound.topic:
            batches = [_upto_step(blocks, data["step"]) for blocks in batches]
        elif row.topic == ValuesLogged.topic:
            try:
                if _concerns(data, name):
                    batches.append(read_batch(data, name=name))
            except (AttributeError, LogCorrupt, LookupError, TypeError) as error:
                damaged.append(fact._replace(data=None, damage=str(error)))
    if damage is not None:
        damage.see(damaged)
    batches += _live_batches(live) if live is not None else []
    parts: dict[str, list[tuple[int, Block]]] = {}
    for place, blocks in enumerate(batches):
        for block in sorted(blocks, key=lambda block: int(block.index[0])):
            if name in (None, block.series.name):
                parts.setdefault(block.series.name, []).append((place, block))
    return {metric: _gather(metric, found) for metric, found in parts.items()}


def _upto_step(blocks: Iterable[Block], step: int) -> list[Block]:
    """The blocks without their values of later steps."""
    return [block.where(block.steps <= step) for block in blocks if (block.steps <= step).any()]


def read_series(
    reader: RunsReader,
    log: EventLog,
    run_id: str,
    name: str,
    *,
    read_live: Callable[[], LiveValues],
) -> MetricValues | None:
    """One metric as in `read_metrics`, but from the projection: for runs with very many batches.

    None if the run has no metric of this name.
    """
    import numpy as np

    from runlore.storage.value_codec import Series
    from runlore.storage.value_reader import Block

    while True:
        head = log.last_position()
        live = read_live()
        # Values that a spool wrote to the log in between are in neither: read again.
        if all(mark.position <= head for mark in live.marks.values()):
            break
    found = reader.at(head).series(run_id, name)
    parts: list[tuple[int, Block]] = []
    if found is not None:
        columns = tuple(found.columns)
        of_rows = () if found.kind != "row" and columns == (name,) else columns
        series = Series(name, of_rows, found.kind)
        index = np.arange(len(found.steps))
        values = tuple(found.columns.values())
        parts.append((0, Block(series, index, found.steps, found.times, values)))
    for place, blocks in enumerate(_live_batches(live), 1):
        parts += [(place, block) for block in blocks if block.series.name == name]
    return _gather(name, parts) if parts else None


def read_curve(reader: RunsReader, run_id: str, name: str, max_points: int) -> MetricValues | None:
    """A scalar metric of a run, thinned out for a chart; None if there is none of this name."""
    for curve in reader.curves([run_id], name, max_points=max_points):
        times = curve.times.astype("datetime64[us]")
        return MetricValues(name, "scalar", curve.steps, times, {name: curve.values})
    return None


def thinned(metric: MetricValues, max_points: int) -> MetricValues:
    """A scalar metric as `read_curve` shows it."""
    from runlore.shown.reduction import as_floats, check_max_points, thinned_rows

    check_max_points(max_points)
    values = as_floats(metric.values.tolist())
    kept = thinned_rows(values, max_points)
    steps, times = metric.steps[kept], metric.times[kept]
    return MetricValues(metric.name, "scalar", steps, times, {metric.name: values[kept]})


def _live_batches(live: LiveValues) -> list[list[Block]]:
    from runlore.storage.value_reader import block_of

    return [
        [block_of(part) for part in piece] for pieces in live.pieces.values() for piece in pieces
    ]


def _concerns(data: dict[str, Any], name: str | None) -> bool:
    return name is None or any(described["name"] == name for described in data["series"])


def _gather(name: str, parts: Sequence[tuple[int, Block]]) -> MetricValues:
    import numpy as np

    if len(parts) == 1 and _is_in_order(parts[0][1]):
        return _as_it_is(name, parts[0][1])
    order = _log_order(parts)
    blocks = [block for _, block in parts]
    kinds = {block.series.kind for block in blocks}
    columns = dict.fromkeys(column for block in blocks for column in _columns_of(block))
    return MetricValues(
        name,
        kinds.pop() if len(kinds) == 1 else "row" if "row" in kinds else "scalar",
        np.concatenate([block.steps for block in blocks])[order],
        np.concatenate([block.times for block in blocks])[order].astype("datetime64[us]"),
        {
            column: _joined([_column(block, column) for block in blocks])[order]
            for column in columns
        },
    )


def _is_in_order(block: Block) -> bool:
    index = block.index
    return len(index) == 1 or bool((index[1:] > index[:-1]).all())


def _as_it_is(name: str, block: Block) -> MetricValues:
    """The metric of one block: a run of a hundred thousand metrics has as many of these."""
    times = block.times.view("datetime64[us]")
    columns = zip(_columns_of(block), block.columns, strict=True)
    owned = {column: values.copy() for column, values in columns}  # Those of a batch are constant.
    return MetricValues(name, block.series.kind, block.steps, times, owned)


def _log_order(parts: Sequence[tuple[int, Block]]) -> NDArray[np.intp]:
    import numpy as np

    positions = np.concatenate([np.full(len(block), position) for position, block in parts])
    return np.lexsort((np.concatenate([block.index for _, block in parts]), positions))


def _columns_of(block: Block) -> Iterable[str]:
    return block.series.columns or (block.series.name,)


def _column(block: Block, name: str) -> NDArray[Any]:
    import numpy as np

    for column, values in zip(_columns_of(block), block.columns, strict=True):
        if column == name:
            return values
    return np.full(len(block), None, object)


def _joined(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The columns concatenated; as objects if their types differ, so that no value changes."""
    import numpy as np

    if len({column.dtype for column in columns}) > 1:
        columns = [np.array(column.tolist(), object) for column in columns]
    return np.concatenate(columns)

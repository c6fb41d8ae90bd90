"""Batches of logged values to sorted rows of `metric_points`, thousands of blocks at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from arro3.core import Array, Table
from numpy.typing import NDArray

from runlore.domain.fact import Fact
from runlore.projections.arrow_tables import (
    array_of,
    arrays,
    table_of_arrays,
    taken,
    texts,
)
from runlore.shown.reduction import nearest_float
from runlore.storage.errors import LogCorrupt
from runlore.storage.value_arrays import (
    Ints,
    Packed,
    floats,
    starts_of,
    whole_numbers,
)
from runlore.storage.value_reader import check_count, damaged_batch, unpack_batch

SeriesKey = tuple[str, str, str]  # metric name, column ("" for a scalar), kind

TYPES: Final = "fibsn"
"""Types of logged values: float, integer, bool, text, None; `type` is an index in here."""

_EXACT: Final = 2**53
_FLOAT, _INT, _BOOL, _TEXT, _NONE = range(len(TYPES))

ROWS_AT_ONCE: Final = 4_000_000  # 250 MB; a batch of events may hold any number of values.


# Series, run, position, number of rows, and the rows' places, steps, times and values, packed as
# they are in the batch. A named tuple takes longer to make than a short block to read.
Part = tuple[int, int, int, int, Packed, Packed, Packed, Packed]


class Points(NamedTuple):
    """Rows by series, run, position and place in the batch.

    A part holds a batch's points of one run and series: `series_no`, `run_no`, `position` and `n`
    have an item per part, the others one per row. `valid` is None where every row has a value.
    """

    series_no: Ints
    run_no: Ints
    position: Ints
    n: Ints
    places: Ints
    steps: Ints
    times: Ints
    values: NDArray[np.float64]
    valid: NDArray[np.bool_] | None
    text: Array
    type: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.values)

    def table(self) -> Table:
        """The rows; `SHOWN` selects of them what SQL holds."""
        return table_of_arrays(
            {
                "series_no": np.repeat(self.series_no.astype(np.int32), self.n),
                "run_no": np.repeat(self.run_no, self.n),
                "step": self.steps,
                "time": self.times,
                "value": self.values,
                "text": self.text,
                "type": self.type,
                "position": np.repeat(self.position, self.n),
                "idx": self.places.astype(np.int32),
            }
        )


# Rows come and go without NULL in `value`: SQL sees to it a hundred times as fast as Python.
SHOWN: Final = f"* REPLACE (CASE WHEN type < {_TEXT} THEN value END AS value)"
"""What a query selects of a table of points, to show them as SQL holds them."""

READ: Final = """
p.series_no, p.run_no, p.step, p.time, coalesce(p.value, 0.0) AS value, p.text, p.type, p.position,
p.idx
"""
"""What a query that `points_in` reads selects of a table of points `p`."""


def points_in(table: Table) -> Points:
    """The points of rows as SQL holds them, in whatever order."""
    table = taken(table, _sorted(table))
    series_no, run_no, position, places = arrays(table, *_PLACES)
    steps, times, values, types = arrays(table, "step", "time", "value", "type")
    valid = types < _TEXT
    starts = group_starts(series_no, run_no, position)
    return Points(
        series_no[starts].astype(np.int64),
        run_no[starts],
        position[starts],
        np.diff(starts, append=len(table)),
        places.astype(np.int64),
        steps,
        times,
        values,
        None if valid.all() else valid,
        array_of(table, "text"),
        types,
    )


_PLACES: Final = ("series_no", "run_no", "position", "idx")


def _sorted(table: Table) -> Ints:
    """The rows by series, run, position and index. They mostly come in whole parts: to sort these
    takes a tenth of the time of sorting the rows.
    """
    series_no, run_no, position, places = arrays(table, *_PLACES)
    starts = group_starts(series_no, run_no, position)
    n = np.diff(starts, append=len(table))
    order = np.lexsort((position[starts], run_no[starts], series_no[starts]))
    n = n[order]
    rows: Ints = np.repeat(starts[order] - starts_of(n), n) + np.arange(len(table))
    parts = (series_no[rows], run_no[rows], position[rows])
    begins = np.zeros(len(table), bool)
    begins[group_starts(*parts)] = True
    in_order = begins[1:] | (np.diff(places[rows]) > 0)
    return rows if in_order.all() else np.lexsort((places, position, run_no, series_no))


def points_of(
    batches: Sequence[tuple[int, Fact]],
    numbers: dict[SeriesKey, int],
    rows_at_once: int = ROWS_AT_ONCE,
    damaged: list[Fact] | None = None,
) -> Iterator[Points]:
    """The points of the batches, (run number, `run.values_logged`) each, in bounded portions.

    A portion holds whole batches, and those after it later ones. Series that are not in
    `numbers` get the next number there. Batches that cannot be read are left out, and added to
    `damaged` with what is wrong; without that list they raise LogCorrupt.
    """
    waiting: list[tuple[int, Fact]] = []
    parts: list[Part] = []
    rows = 0
    for run_no, fact in batches:
        try:
            added = _parts_of(run_no, fact, numbers)
        except LogCorrupt as error:
            if damaged is None:
                raise
            damaged.append(fact._replace(data=None, damage=str(error)))
            continue
        waiting.append((run_no, fact))
        parts += added
        rows += sum(part[3] for part in added)
        if rows >= rows_at_once:
            yield from _points(parts, waiting, damaged)
            parts, waiting, rows = [], [], 0
    if parts:
        yield from _points(parts, waiting, damaged)


def _parts_of(run_no: int, fact: Fact, numbers: dict[SeriesKey, int]) -> list[Part]:
    """The parts of a batch. Raises LogCorrupt if they make no sense."""
    assert fact.data is not None, "the fold keeps only batches that it can read"
    blocks = unpack_batch(fact.data)
    try:
        return _parts_in(blocks, run_no, fact.position, numbers)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise damaged_batch(fact.data, error) from error


def _parts_in(
    blocks: Sequence[tuple[dict[str, Any], dict[str, Any]]],
    run_no: int,
    position: int,
    numbers: dict[SeriesKey, int],
) -> list[Part]:
    parts: list[Part] = []
    rows = 0
    for described, block in blocks:
        n = described["n"]
        if type(n) is not int or n < 0:
            raise ValueError(f"a series claims to have {n!r:.40} values")
        if n == 0:
            continue
        name, kind, columns = described["name"], described.get("kind", "scalar"), block["v"]
        places, steps, times = block["i"], block["s"], block["t"]
        names = described.get("columns") or _SCALAR
        for column, values in zip(names, columns, strict=True):
            key = (name, column, kind)
            series_no = numbers.get(key)
            if series_no is None:
                series_no = numbers[key] = len(numbers) + 1
            parts.append((series_no, run_no, position, n, places, steps, times, values))
            rows += n
    check_count(rows)
    return parts


_SCALAR: Final = ("",)


def _points(
    parts: Sequence[Part], batches: Sequence[tuple[int, Fact]], damaged: list[Fact] | None
) -> Iterator[Points]:
    """One portion; none if all of its batches are damaged."""
    try:
        points = _sorted_points(parts)
    except MemoryError:
        raise
    except Exception as error:
        found: list[Fact] = [] if damaged is None else damaged
        parts = list(_whole_parts(parts, batches, found))
        if damaged is None and found:
            raise LogCorrupt(str(found[0].damage)) from error
        if not parts:
            return
        points = _sorted_points(parts)
    yield points


def _whole_parts(
    parts: Sequence[Part], batches: Sequence[tuple[int, Fact]], damaged: list[Fact]
) -> Iterator[Part]:
    """The parts of those batches that can be read by themselves; the others are damaged."""
    of_batches: dict[int, list[Part]] = {fact.position: [] for _, fact in batches}
    for part in parts:
        of_batches[part[2]].append(part)
    for _, fact in batches:
        own = of_batches[fact.position]
        try:
            if own:
                _sorted_points(own)
        except MemoryError:
            raise
        except Exception as error:  # Damaged packed numbers can make any step fail in any way.
            assert fact.data is not None, "its parts were found in there"
            damaged.append(fact._replace(data=None, damage=str(damaged_batch(fact.data, error))))
        else:
            yield from own


def _sorted_points(parts: Sequence[Part]) -> Points:
    first = np.array([part[4][0] for part in parts], np.int64)
    keys = (np.array(column, np.int64) for column in list(zip(*parts, strict=True))[:3])
    series_no, run_no, position = keys
    order = np.lexsort((first, position, run_no, series_no))
    _, _, _, n, places, steps, times, packed = zip(
        *[parts[place] for place in order.tolist()], strict=True
    )
    lengths = np.array(n, np.int64)
    values, valid, text, types = _values(packed, lengths)
    points = Points(
        series_no[order],
        run_no[order],
        position[order],
        lengths,
        whole_numbers(places, lengths),
        whole_numbers(steps, lengths),
        whole_numbers(times, lengths),
        values,
        valid,
        text,
        types,
    )
    begins = group_starts(points.series_no, points.run_no, points.position)
    return points if len(begins) == len(parts) else _mixed(points, begins)


def _mixed(points: Points, begins: Ints) -> Points:
    """The points whose parts are blocks, with several blocks of one batch merged in order.

    Rows with and without some column, or values with another description, are several blocks.
    """
    n = np.add.reduceat(points.n, begins)
    order = np.lexsort((points.places, np.repeat(np.arange(len(n)), n)))
    return Points(
        points.series_no[begins],
        points.run_no[begins],
        points.position[begins],
        n,
        points.places[order],
        points.steps[order],
        points.times[order],
        points.values[order],
        None if points.valid is None else points.valid[order],
        texts_at(points.text, order),
        points.type[order],
    )


def texts_at(column: Array, places: Ints) -> Array:
    """The texts at some of the places; mostly there are none at all."""
    if column.null_count == len(column):
        return column.slice(0, len(places))
    return column.take(places)


def group_starts(*keys: Ints) -> Ints:
    """Where a new combination of keys begins."""
    new = np.ones(len(keys[0]), bool)
    new[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return np.flatnonzero(new)


class Values(NamedTuple):
    """Values as SQL holds them; `text` has those that `value` cannot hold exactly."""

    value: NDArray[np.float64]
    valid: NDArray[np.bool_] | None
    text: Array
    type: NDArray[np.uint8]


def _values(packed: Sequence[Packed], n: Ints) -> Values:
    total = int(n.sum())
    kinds, all_contents = zip(*packed, strict=True)
    if kinds.count("f8") == len(kinds):
        value = floats(all_contents, n)
        return Values(value, None, _no_texts(total), np.zeros(total, np.uint8))
    value = np.empty(total)
    valid = np.ones(total, bool)
    types = np.zeros(total, np.uint8)
    held: NDArray[np.object_] | None = None  # A million values without a text are common.
    for kind in set(kinds):
        chosen = np.fromiter((other == kind for other in kinds), bool, len(kinds))
        rows = np.repeat(chosen, n)
        text: NDArray[np.object_] | None = None
        contents = [
            content for content, other in zip(all_contents, kinds, strict=True) if other == kind
        ]
        if kind == "f8":
            value[rows] = floats(contents, n[chosen])
        elif kind == "i8":
            whole = whole_numbers(contents, n[chosen])
            value[rows], types[rows] = whole, _INT
            text = _digits(whole)
        else:
            value[rows], valid[rows], text, types[rows] = _others(kind, contents, n[chosen])
        if text is not None:
            held = np.full(total, None, object) if held is None else held
            held[rows] = text
    return Values(
        value,
        None if valid.all() else valid,
        _no_texts(total) if held is None else texts(held.tolist()),
        types,
    )


def _no_texts(n: int) -> Array:
    return texts([None]).take(np.zeros(n, np.int64))


def _digits(numbers: Ints) -> NDArray[np.object_] | None:
    """The texts of those numbers that no float is; None if there are none."""
    inexact = (numbers < -_EXACT) | (numbers > _EXACT)
    if not inexact.any():
        return None
    digits = np.full(len(numbers), None, object)
    digits[inexact] = list(map(str, numbers[inexact].tolist()))
    return digits


def _others(kind: str, contents: Sequence[Sequence[Any]], n: Ints) -> tuple[NDArray[Any], ...]:
    if kind != "any" or list(map(len, contents)) != n.tolist():
        raise ValueError(f"a column of kind {kind!r} does not hold as many values as it says")
    rows = [_one_as_sql(value) for content in contents for value in content]
    value, valid, text, types = zip(*rows, strict=True)
    texts = np.empty(len(rows), object)
    texts[:] = text
    return np.array(value, np.float64), np.array(valid), texts, np.array(types, np.uint8)


def _one_as_sql(value: object) -> tuple[float, bool, str | None, int]:
    if value is None:
        return 0.0, False, None, _NONE
    if isinstance(value, bool):
        return float(value), True, None, _BOOL
    if isinstance(value, float):
        return value, True, None, _FLOAT
    if isinstance(value, int):
        if -_EXACT <= value <= _EXACT:
            return float(value), True, None, _INT
        # Python caps decimal at some thousand digits; hexadecimal has no cap.
        text = str(value) if value.bit_length() < 10_000 else hex(value)
        return nearest_float(value), True, text, _INT
    return 0.0, False, str(value), _TEXT


def names_of(numbers: Mapping[SeriesKey, int], after: int) -> list[tuple[Any, ...]]:
    """The series with numbers after `after`, as rows of `store.series`."""
    return [(number, *key) for key, number in numbers.items() if number > after]

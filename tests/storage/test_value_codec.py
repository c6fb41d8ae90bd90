"""Logged values come back exactly: type, bits and order."""

from __future__ import annotations

import math
import struct
from typing import Any

import msgpack
import numpy as np
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from runlore.domain.events import ValuesLogged
from runlore.storage.codec import decode_event, encode_event
from runlore.storage.errors import LogCorrupt
from runlore.storage.value_codec import Scalar, Series, series_of
from runlore.storage.value_reader import Block, read_batch
from tests.logged_values import Record, batch_of, records_of
from tests.strategies import int64s, records, scalars

LOSS = Series("loss")
MIN, MAX = -(2**63), 2**63 - 1


def through_the_log(batch: ValuesLogged) -> dict[str, Any]:
    data = decode_event(batch.topic, encode_event(batch))
    assert data is not None
    return data


def read(logged: list[Record]) -> list[Block]:
    return read_batch(through_the_log(batch_of("w", 0, logged)))


def exact(value: object) -> object:
    """Something that is equal for the same type and the same bits only."""
    if isinstance(value, float):
        return "float", struct.pack("<d", value)
    if isinstance(value, tuple):
        return tuple(map(exact, value))
    return type(value).__name__, value


def check(logged: list[Record]) -> list[Block]:
    blocks = read(logged)
    found = records_of(blocks)
    assert [exact(tuple(record)) for record in found] == [exact(tuple(record)) for record in logged]
    return blocks


def scalars_of(values: list[Any]) -> list[Record]:
    return [Record(LOSS, step, 1_000 + step, value) for step, value in enumerate(values)]


@given(records())
def test_mixed_series_come_back_exactly_and_in_order(logged: list[Record]) -> None:
    check(logged)


@given(st.lists(scalars, min_size=1, max_size=30))
def test_every_value_comes_back_with_its_type_and_bits(values: list[Scalar]) -> None:
    check(scalars_of(values))


@given(st.lists(int64s, min_size=1, max_size=30))
@example([MIN, MAX])
@example([MAX, MIN])
@example([MIN, MAX, MIN])
@example([MIN, 0, MAX])
@example([MIN, MIN + 2**62, MIN + 2**63, MIN + 3 * 2**62])
def test_whole_numbers_of_64_bits_come_back_as_int64(values: list[int]) -> None:
    [block] = check(scalars_of(values))
    assert block.columns[0].dtype == np.int64


@given(st.lists(int64s, min_size=2, max_size=10), st.lists(int64s, min_size=2, max_size=10))
def test_any_steps_and_times_of_64_bits_come_back(steps: list[int], times: list[int]) -> None:
    check([Record(LOSS, step, time, 1.0) for step, time in zip(steps, times, strict=False)])


@pytest.mark.parametrize("width", [2**7, 2**15, 2**31, 2**62])
@pytest.mark.parametrize("offset", [-2, -1, 0, 1])
def test_differences_at_the_edge_of_each_width_come_back(width: int, offset: int) -> None:
    difference = width + offset
    check(scalars_of([0, 1, 1 + difference, 1, 1 - difference, 0]))
    check(scalars_of([5, 5, 5 - difference, 5]))


@given(st.lists(st.floats(), min_size=1, max_size=30))
def test_floats_come_back_as_float64_bit_for_bit(values: list[float]) -> None:
    [block] = check(scalars_of(values))
    assert block.columns[0].dtype == np.float64


@pytest.mark.parametrize("bits", [0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8DEADBEEF0001])
@pytest.mark.parametrize("beside", [[], [1.5], ["text"], [True]], ids=repr)
def test_not_a_number_keeps_its_bits_alone_and_beside_others(bits: int, beside: list[Any]) -> None:
    [nan] = struct.unpack("<d", bits.to_bytes(8, "little"))
    assert math.isnan(nan)
    check(scalars_of([nan, *beside]))


@pytest.mark.parametrize(
    "values",
    [
        [float("inf"), float("-inf")],
        [0.0, -0.0],
        [-0.0, None],
        [True, False],
        [True, 1, 1.0],
        [1, 1.0],
        [None],
        ["", "text", "\x00", "☀"],
        [2**63],
        [2**64],
        [-(2**63) - 1],
        [2**10_000, -(2**10_000)],
        [2**63, 1, -1],
        [5e-324, 1.7976931348623157e308],
    ],
    ids=lambda values: repr(values)[:30],
)
def test_values_that_other_stores_bend(values: list[Any]) -> None:
    check(scalars_of(values))


def test_rows_come_back_with_their_columns() -> None:
    rows = Series("table", ("name", "score", "rank"), "row", "how they did")
    logged = [
        Record(rows, 0, 10, ("ann", 0.5, 1)),
        Record(rows, 1, 11, ("bob", float("nan"), None)),
        Record(rows, 2, 12, ("cyd", -0.0, 2**70)),
    ]
    [block] = check(logged)
    assert block.series == rows
    assert [column.dtype for column in block.columns] == [object, np.float64, object]
    assert len(block) == 3


def test_a_batch_describes_its_series_in_the_open() -> None:
    table = Series("table", ("a", "b"), "row", "in seconds")
    batch = batch_of(
        "w", 7, [Record(LOSS, 0, 0, 1.0), Record(table, 0, 0, (1, 2)), Record(LOSS, 1, 0, 2.0)]
    )
    assert (batch.writer_id, batch.first_seq, batch.count) == ("w", 7, 3)
    assert batch.series == (
        {"name": "loss", "n": 2},
        {
            "name": "table",
            "columns": ["a", "b"],
            "kind": "row",
            "n": 1,
            "description": "in seconds",
        },
    )
    assert [series_of(described) for described in batch.series] == [LOSS, table]


def test_regular_steps_cost_no_space_per_point() -> None:
    def nbytes(count: int) -> int:
        regular = [Record(LOSS, step, 1_000 * step, 0.5) for step in range(count)]
        return len(batch_of("w", 0, regular).payload or b"")

    assert nbytes(50_000) - nbytes(100) < 200


def test_a_value_that_cannot_be_stored_is_named() -> None:
    with pytest.raises(TypeError, match="cannot log a complex"):
        batch_of("w", 0, scalars_of([1j]))


# --- damage -------------------------------------------------------------------------------


def damaged(**changes: Any) -> dict[str, Any]:
    data = through_the_log(batch_of("w", 7, scalars_of([1.0, 2.5, 4.0])))
    return {**data, **changes}


def forged(*blocks: Any) -> bytes:
    return zstandard.compress(msgpack.packb(list(blocks)))


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": b""},
        {"payload": b"no zstd"},
        {"payload": None, "payload_ref": ["file:///values", "0" * 64, 3]},
        {"payload": forged()},
        {"payload": forged({"i": [0, 1], "s": [0, 1], "t": [0, 1], "v": [["f8", b"short"]]})},
        {"payload": forged({"i": [0, 1], "s": [0, 1], "t": [0, 1], "v": [["any", [1, 2]]]})},
        {"payload": forged({"i": [0, 1], "s": [0, 1], "t": [0, 1], "v": [["any", [1]]]})},
        {"payload": forged({"i": [0, 1], "s": [0, 1], "t": [0, 1], "v": [["f9", b""]]})},
        {"payload": zstandard.compress(msgpack.packb(msgpack.ExtType(7, b"")))},
        {"series": []},
        {"payload": forged({"i": [0, [1]], "s": [0, 1], "t": [0, 1], "v": [["i8", [0, 1]]]})},
        {"series": [{"name": "loss"}]},
        {"series": [{"name": "loss", "n": -3}]},
        {"series": [{"name": "loss", "n": 3.0}]},
        {"series": [{"name": "loss", "n": 10**7, "columns": ["a", "b"]}]},
    ],
    ids=range(15),
)
def test_a_damaged_batch_is_named(changes: dict[str, Any]) -> None:
    with pytest.raises(LogCorrupt, match="batch 7 of writer w is damaged"):
        read_batch(damaged(**changes))


def test_a_forged_length_fills_no_memory() -> None:
    """The frame says 2 GiB and holds a handful of bytes."""
    parameters = zstandard.ZstdCompressionParameters(write_content_size=True)
    honest = zstandard.ZstdCompressor(compression_params=parameters).compress(b"x" * 300)
    size_at = 5  # After the magic number and the frame's description; 2 bytes, less 256.
    assert honest[4] >> 6 == 1
    assert honest[size_at : size_at + 2] == (300 - 256).to_bytes(2, "little")
    lying = bytearray(honest)
    lying[4] = (honest[4] & 0x3F) | 0x80  # The size takes 4 bytes now.
    lying[size_at : size_at + 2] = (2**31).to_bytes(4, "little")

    with pytest.raises(LogCorrupt, match="damaged.*2,147,483,648 bytes"):
        read_batch(damaged(payload=bytes(lying)))

"""Columns that go to DuckDB come back from it to the bit, and a query's errors keep their text."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.projections.arrow_tables import (
    Rows,
    answer,
    array_of,
    arrays,
    concatenated,
    numbers,
    table_of_arrays,
    table_of_rows,
    taken,
)

SCHEMA = {"whole": "int64", "small": "int32", "text": "string", "flag": "bool"}

texts = st.text(st.characters(exclude_categories=["Cs"]))
rows = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.none() | texts,
        st.none() | st.booleans(),
    ),
    min_size=1,
)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@given(rows)
def test_rows_arrive_as_they_are(rows: list[tuple[object, ...]]) -> None:
    with duckdb.connect() as connection:
        connection.register("shown", table_of_rows(rows, SCHEMA))

        assert connection.execute("FROM shown").fetchall() == rows
        types = connection.execute("SELECT column_type FROM (DESCRIBE shown)").fetchall()
    assert types == [("BIGINT",), ("INTEGER",), ("VARCHAR",), ("BOOLEAN",)]


@given(st.lists(st.tuples(st.floats(), st.booleans()), min_size=1))
def test_floats_keep_their_bits_and_only_those_that_are_not_valid_are_null(
    given_: list[tuple[float, bool]],
) -> None:
    values = np.array([value for value, _ in given_])
    valid = np.array([is_valid for _, is_valid in given_])
    with duckdb.connect() as connection:
        connection.register("shown", table_of_arrays({"v": numbers(values, valid)}))

        found = connection.execute("SELECT v FROM shown").fetchall()
        connection.register("whole", table_of_arrays({"v": values}))
        (back,) = arrays(answer(connection.sql("FROM whole")), "v")
    assert repr(found) == repr([(value if is_valid else None,) for value, is_valid in given_])
    assert back.tobytes() == values.tobytes()


def test_a_view_of_every_second_number_is_copied_and_not_read_past() -> None:
    assert numbers(np.arange(6)[::2]).to_pylist() == [0, 2, 4]


def test_columns_of_no_rows_have_their_type(connection: duckdb.DuckDBPyConnection) -> None:
    table = answer(connection.sql("SELECT 1::INTEGER AS n, 'x' AS text WHERE false"))

    (n,) = arrays(table, "n")
    assert (str(n.dtype), len(n)) == ("int32", 0)
    assert len(array_of(table, "text")) == 0


def test_an_answer_of_many_batches_is_whole(connection: duckdb.DuckDBPyConnection) -> None:
    query = (
        "SELECT range AS n, CASE WHEN range % 3 = 0 THEN 'x' || range END AS text FROM range({})"
    )
    table = answer(connection.sql(query.format(300_000)))

    assert np.array_equal(arrays(table, "n")[0], np.arange(300_000))
    places = np.array([299_997, 0, 131_072])
    assert array_of(taken(table, places), "text").to_pylist() == ["x299997", "x0", None]
    twice = concatenated([taken(table, places), taken(table, places[:1])])
    assert arrays(twice, "n")[0].tolist() == [299_997, 0, 131_072, 299_997]


@pytest.mark.parametrize("at", [0, 299_999])
def test_an_error_among_the_rows_is_one_of_duckdb(
    at: int, connection: duckdb.DuckDBPyConnection
) -> None:
    query = f"SELECT CASE WHEN range = {at} THEN error('of the data') END FROM range(300_000)"

    with pytest.raises(duckdb.Error, match=r"^Invalid Input Error: of the data"):
        answer(connection.sql(query))
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_no_memory_among_the_rows_is_told_from_damage() -> None:
    with duckdb.connect(config={"memory_limit": "30MB", "temp_directory": ""}) as connection:
        query = "SELECT string_agg(repeat('x', 1000), '') FROM range(100_000)"

        with pytest.raises(duckdb.OutOfMemoryException):
            answer(connection.sql(query))


def test_a_query_that_is_closed_leaves_the_connection_to_the_next(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    rows = Rows(connection.sql("FROM range(10_000_000)"))
    next(iter(rows))
    rows.close()

    assert list(rows) == []
    assert connection.execute("SELECT 1").fetchall() == [(1,)]

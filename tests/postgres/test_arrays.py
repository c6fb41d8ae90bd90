"""Arrays as we pack them arrive as those that the driver packs."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.storage.postgresql.arrays import Packed, blobs, ints, longs, nulls, register, texts
from tests.postgres.server import Server

pytestmark = pytest.mark.processes

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@pytest.fixture(scope="module")
def connection(server: Server) -> Any:
    register(psycopg.adapters)
    with psycopg.connect(server.uri()) as connection:
        yield connection


def arrived(connection: Any, packed: Packed, kind: str) -> Any:
    [(value, named)] = connection.execute(
        "SELECT given, pg_typeof(given)::text FROM (SELECT %b AS given) AS one", [packed]
    ).fetchall()
    assert named == kind
    return value


@given(data=st.data())
def test_arrays_arrive_as_they_were(connection: Any, data: st.DataObject) -> None:
    given_texts = data.draw(st.lists(TEXT, max_size=5))
    given_bytes = data.draw(st.lists(st.binary(max_size=20), max_size=5))
    given_longs = data.draw(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))
    given_ints = data.draw(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5))
    count = data.draw(st.integers(0, 3))

    assert arrived(connection, texts(given_texts), "text[]") == given_texts
    assert arrived(connection, blobs(given_bytes), "bytea[]") == given_bytes
    assert arrived(connection, longs(given_longs), "bigint[]") == given_longs
    assert arrived(connection, ints(given_ints), "integer[]") == given_ints
    assert arrived(connection, nulls(count), "bytea[]") == [None] * count


def test_what_no_text_can_hold_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        texts(["caf\udce9"])

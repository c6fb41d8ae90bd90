"""Results in all their forms: a value that a form does not have is said, and not made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from runlore.projections.reader import RunsReader
from runlore.projections.sql_errors import ValueNotShown
from runlore.projections.user_sql import SqlResult
from tests.projections.histories import History, reader_of


@pytest.fixture(scope="module")
def reader() -> Iterator[RunsReader]:
    history = History()
    history.experiment()
    for number in range(3):
        history.run(f"r{number}", tags={"quality": "good", f"t{number}": "x"})
    with reader_of(history.log) as reader:
        yield reader


FORMS: dict[str, Callable[[SqlResult], Any]] = {
    "tuples": SqlResult.fetchall,
    "iteration": list,
    "pandas": SqlResult.pandas,
    "polars": SqlResult.polars,
    "arrow": SqlResult.arrow,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM test_all_types()",
        "SELECT * FROM test_vector_types(NULL::INTEGER)",
        "SELECT DATE '99999-01-01'",
        "SELECT DATE '0044-03-15 (BC)'",
        "SELECT DATE 'infinity'",
        "SELECT TIMESTAMPTZ '290000-01-01'",
        "SELECT TIME '24:00:00'",
        "SELECT [DATE '99999-01-01']",
        "SELECT {'a': [TIMESTAMP '290000-01-01']}",
        "SELECT 1 AS a, 2 AS a",
    ],
)
def test_a_value_that_a_form_does_not_have_raises_our_error_or_is_given(
    query: str, form: str, reader: RunsReader
) -> None:
    result = reader.sql(query)
    try:
        FORMS[form](result)
    except ValueNotShown as error:
        assert "cast the column to VARCHAR" in str(error)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM test_all_types()",
        "SELECT DATE '99999-01-01'",
        "SELECT TIMESTAMPTZ '290000-01-01'",
        "SELECT DATE 'infinity'",
        "SELECT TIME '24:00:00'",
        "SELECT [DATE '99999-01-01']",
        "SELECT {'a': [TIMESTAMP '290000-01-01']}",
    ],
)
def test_a_time_that_python_cannot_hold_is_not_given_as_none(
    query: str, reader: RunsReader
) -> None:
    with pytest.raises(ValueNotShown):
        reader.sql(query).fetchall()


def test_whole_numbers_of_39_digits_are_given_as_they_are(reader: RunsReader) -> None:
    [(least, greatest, none)] = reader.sql(
        "SELECT -170141183460469231731687303715884105728, 170141183460469231731687303715884105727, "
        "NULL::HUGEINT"
    ).fetchall()
    assert isinstance(least, Decimal)
    assert (int(least), int(greatest), none) == (-(2**127), 2**127 - 1, None)

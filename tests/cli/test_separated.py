from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.cli.output.output import as_json
from runlore.cli.output.separated import as_csv, as_tsv
from runlore.cli.run.key_values import filter_of, pairs
from runlore.domain.visible_text import visible_lines


@pytest.mark.parametrize(
    ("data", "tsv", "csv"),
    [
        ([], "", ""),
        (None, "", ""),
        ("text", "text\n", "Result\ntext\n"),
        (True, "true\n", "Result\ntrue\n"),
        ([1, None], "1\n\n", 'Result\n1\n""\n'),
        ([[1, "a"], [2]], "1\ta\n2\t\n", "Column1,Column2\n1,a\n2,\n"),
        ([{"a": 1}, {"b": 'say "x"'}], '1\t\n\tsay "x"\n', 'a,b\n1,\n,"say ""x"""\n'),
        ({"a": {"k": None}}, '{"k": null}\n', 'a\n"{""k"": null}"\n'),
        ([{"a": "1\t2\n3"}], "1 2 3\n", 'a\n"1\t2\n3"\n'),
    ],
)
def test_whatever_a_query_selects_becomes_rows(data: Any, tsv: str, csv: str) -> None:
    assert as_tsv(data) == tsv
    assert as_csv(data) == csv


def test_json_has_no_nan() -> None:
    data = {"a": [float("nan"), float("inf"), 1.5], "b": {"c": float("-inf")}}

    assert json.loads(as_json(data)) == {"a": ["nan", "inf", 1.5], "b": {"c": "-inf"}}


def test_pairs_split_at_the_first_equals_sign() -> None:
    assert pairs(["a=b=c", "d", "e="], "--tag") == {"a": "b=c", "d": None, "e": ""}
    assert filter_of(["a=1", "d"], "--tag") == {"a": "1", "d": ...}
    assert filter_of([], "--tag") is None


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1+1"),
        *("＝1", "-", "--lr", "-0.5.1", "+1e", "=", "-inf-1"),
    ],
)
def test_a_text_that_a_spreadsheet_would_calculate_gets_an_apostrophe(text: str) -> None:
    _, [cell] = csv.reader(io.StringIO(as_csv([text]), newline=""))

    assert cell == "'" + text.replace("\r", "\\r")
    assert as_tsv([text]).startswith("'")


@pytest.mark.parametrize(
    "value",
    [-1, -0.5, float("-inf"), "-0.5", "+3", "-1e-05", "-inf", "a=b", "a-b", "", None, True],
    ids=repr,
)
def test_a_number_never_does_nor_any_other_text(value: Any) -> None:
    assert "'" not in as_csv([{"a": value}]) + as_tsv([{"a": value}])


def test_raw_output_has_no_apostrophes_but_the_same_escapes() -> None:
    data = [{"=a": "=1\x1b[2J"}]

    assert as_csv(data, raw=True) == "=a\n=1\\x1b[2J\n"
    assert as_csv(data) == "'=a\n'=1\\x1b[2J\n"
    assert as_tsv(data, raw=True) == "=1\\x1b[2J\n"


@given(st.lists(st.lists(st.text() | st.integers(), min_size=1), min_size=1))
def test_csv_is_read_back_as_it_was_shown(rows: list[list[Any]]) -> None:
    [_, *lines] = csv.reader(io.StringIO(as_csv(rows, raw=True), newline=""))

    width = max(map(len, rows))
    shown = [[visible_lines(str(value)) for value in row] for row in rows]
    assert lines == [row + [""] * (width - len(row)) for row in shown]


def test_a_cell_that_another_languages_spreadsheet_would_split_is_quoted() -> None:
    assert as_csv(["a;=1+1"]) == 'Result\n"a;=1+1"\n'

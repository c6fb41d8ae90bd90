from __future__ import annotations

import json
from typing import Any

import pytest

from runlore.cli.output.output import as_json
from runlore.cli.output.separated import as_csv, as_tsv
from runlore.cli.run.key_values import filter_of, pairs


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

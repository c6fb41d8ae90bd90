"""Groups, trees and files of tables: the same runs in other shapes."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from runlore.studio.csv_text import csv_text
from tests.studio.asking import Served
from tests.studio.conftest import HOSTILE, NAME, Filled

COLUMNS = ["status", "metrics.loss", "metrics.loss.n"]


def test_runs_are_gathered_by_a_field(studio: Served, filled: Filled) -> None:
    found = studio.get("/api/groups", group="status", cols=COLUMNS, agg="max", children=True)

    whole = studio.get("/api/runs", cols=["status", "metrics.loss"], children=True)
    sizes = {status: whole["data"][0].count(status) for status in set(whole["data"][0])}
    assert dict(zip(found["values"], found["runs"], strict=True)) == sizes
    assert found["total"] == len(sizes)
    assert found["position"] == filled.ws.position
    place = found["values"].index("Running")
    assert found["data"][1][place] == 2.0  # Of 1, NaN, inf, -inf, 2: the odd run's last.
    assert found["data"][0] == found["values"]


def test_each_group_has_a_filter_that_selects_its_runs(studio: Served) -> None:
    for group in ("status", "tags.say", "tags.model", "config.lr", "metrics.loss", "error_code",
                  "experiment", "created", "lost"):  # fmt: skip
        found = studio.get("/api/groups", group=group, children=True)
        assert found["ids"]
        for where, size in zip(found["ids"], found["runs"], strict=True):
            assert studio.get("/api/runs", f=where, children=True)["total"] == size, where


def test_groups_are_those_of_the_position(studio: Served, filled: Filled) -> None:
    then = studio.get("/api/groups", group="tags.model", asof=filled.after_tag)
    now = studio.get("/api/groups", group="tags.model", f="has(tags.model)")

    assert then["values"] == ["ResNet-50"]
    assert now["values"] == ["vit"]


@pytest.mark.parametrize(
    ("params", "title"),
    [({"group": "no.such"}, "FilterError"), ({"group": ""}, "FilterError"),
     ({"group": "status", "agg": "mode"}, "InvalidInput"), ({}, "InvalidInput"),
     ({"group": "status", "cols": "no.such"}, "FilterError"),
     ({"group": "'; DROP TABLE runs"}, "FilterError")],
    ids=["unknown", "empty", "aggregate", "none", "column", "sql"],
)  # fmt: skip
def test_groups_by_what_is_no_field_are_refused(
    studio: Served, params: dict[str, str], title: str
) -> None:
    assert studio.problem("/api/groups", **params)[0] == 422
    assert studio.problem("/api/groups", **params)[1]["title"] == title


def test_a_tree_keeps_the_parents_of_matching_children(studio: Served) -> None:
    found = studio.get("/api/runs", f="id = child", tree=True)

    assert found["ids"] == ["good", "child"]
    assert found["depths"] == [0, 1]
    assert found["matches"] == [False, True]
    assert found["total"] == 2
    whole = studio.get("/api/runs", tree=True)
    assert whole["ids"][whole["ids"].index("good") + 1] == "child"
    assert all(whole["matches"])


# --- files ------------------------------------------------------------------------------------


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_shown_table_is_a_file(studio: Served) -> None:
    params: dict[str, Any] = {"cols": COLUMNS, "f": "experiment = vision", "sort": "name"}
    answer = studio.client.get("/api/runs.csv", params=params)
    shown = studio.get("/api/runs", **params)

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="runs.csv"'
    rows = rows_of(answer.text)
    assert [row["id"] for row in rows] == shown["ids"]
    assert [row["status"] for row in rows] == shown["data"][0]
    loss = {row["id"]: row["metrics.loss"] for row in rows}
    assert loss == {"good": "1.0", "bad": ""}
    assert answer.text.count("\r\n") == 3


def test_groups_are_a_file_too(studio: Served) -> None:
    params = {"group": "status", "cols": ["metrics.loss", "experiment"]}
    rows = rows_of(studio.client.get("/api/groups.csv", params=params).text)

    assert rows[0].keys() == {
        "status", "runs", "mean of metrics.loss", "std of metrics.loss", "experiment"
    }  # fmt: skip
    assert sum(int(row["runs"]) for row in rows) == 4


def test_hostile_texts_stay_texts_in_a_file(studio: Served) -> None:
    answer = studio.client.get("/api/runs.csv", params={"cols": ["tags.say"], "q": "hostile"})

    (row,) = rows_of(answer.text)
    assert row["name"] == NAME
    assert row["tags.say"] == HOSTILE
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1",
                                  '"=1+1"', '=HYPERLINK("http://evil.example")'])  # fmt: skip
def test_no_text_is_a_formula(text: str) -> None:
    made = csv_text([text], [[text], [-1.5], [float("nan")], [10**20], [True], [None]])

    rows = list(csv.reader(io.StringIO(made, newline="")))
    assert rows == [[f"'{text}"], [f"'{text}"], ["-1.5"], ["nan"], [str(10**20)], ["True"], [""]]

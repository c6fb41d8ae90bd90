"""Exports that other tools read."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from runlore import Workspace
from runlore.domain.errors import RunNotFound


def test_events_are_lines_of_json_with_their_values_as_numbers(
    ws: Workspace, tmp_path: Path
) -> None:
    parent = ws.get_run("parent")
    parent.log("odd", float("nan"))
    parent.flush()

    said = ws.audit.export_jsonl(tmp_path / "events.jsonl", run="parent")

    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert said["events"] == len(lines)
    tag = next(line for line in lines if line["topic"] == "run.tag_set")
    assert tag["data"] == {"key": "quality", "value": "poor"}
    values = [line["values"] for line in lines if line["topic"] == "run.values_logged"]
    assert [block["values"] for block in values[0]] == [[[0.5]], [[0.1], [0.7]]]
    assert values[-1][0]["values"] == [["nan"]]
    assert "payload" not in lines[-1]["data"]


def test_an_event_that_nobody_here_knows_is_base64(ws: Workspace, tmp_path: Path) -> None:
    from runlore.testing.logs import new_event

    ws.log.append([new_event("run/parent", 99, "run.of_tomorrow", b"\x00\xff")])

    ws.audit.export_jsonl(tmp_path / "events.jsonl")

    last = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert base64.b64decode(last["state"]) == b"\x00\xff"


def test_views_are_parquet_files(ws: Workspace, tmp_path: Path) -> None:
    said = ws.audit.export_parquet(tmp_path / "views")

    tables = {path.stem: pq.read_table(path) for path in (tmp_path / "views").iterdir()}
    assert said["rows"] == {name: len(table) for name, table in tables.items()}
    assert sorted(tables["runs"]["run_id"].to_pylist()) == [
        "child-0", "child-1", "elsewhere", "parent"
    ]  # fmt: skip
    assert tables["metric_points"]["value"].to_pylist().count(0.5) == 1
    assert tables["artifacts"]["name"].to_pylist() == ["outputs/model.bin"]
    assert tables["events"].num_rows == ws.log.head().size


def test_views_of_a_selection_have_its_runs_only(ws: Workspace, tmp_path: Path) -> None:
    ws.audit.export_parquet(tmp_path, run="child-1")

    for name in ("runs", "metrics", "events"):
        assert set(pq.read_table(tmp_path / f"{name}.parquet")["run_id"].to_pylist()) == {"child-1"}


def test_nothing_is_left_of_a_selection_of_nobody(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(RunNotFound):
        ws.audit.export_jsonl(tmp_path / "events.jsonl", run="nobody")

    assert not (tmp_path / "events.jsonl").exists()

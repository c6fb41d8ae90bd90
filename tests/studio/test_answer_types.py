"""The types of answers that the pages rely on are those of the answers, field by field."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore import ComputeTarget, Experiment, ScriptRunConfig, Workspace
from runlore.run import Run
from tests.processes import wait_until
from tests.studio.asking import Served, served
from tests.workspaces import start

pytestmark = [pytest.mark.processes, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
MATRIX = {
    "schema_type": "confusion_matrix",
    "data": {"class_labels": ["cat", "dog"], "matrix": [[3, 1], [0, 4]]},
}
COLS = ["config.lr", "metrics.loss", "status", "duration", "created"]

QUESTIONS: dict[str, dict[str, Any]] = {
    "runs": {"cols": COLS, "tree": True},
    "groups": {"group": "config.lr", "cols": COLS},
    "columns": {},
    "conditions": {"f": "metrics.loss > 1 and status = Failed", "q": "nothing"},
    "first": {},
    "charts": {"run": ["all", "plain"], "metric": "loss", "group": "config.lr", "smooth": 2},
    "live": {"run": ["plain"]},
    "live/cells": {"run": ["plain"], "cols": ["metrics.loss"]},
    "workspace": {},
    "experiments": {},
    "timeline": {},
    "position": {"at": "2100-01-01T00:00:00Z"},
    "diff": {"from": 1},
    "targets": {},
    "views": {},
    "runs/all": {},
    "runs/plain": {},
    "runs/bad": {},
    "runs/all/metrics": {},
    "runs/all/history": {},
    "runs/all/rollup": {"metric": "loss"},
    "runs/all/files": {},
    "runs/all/logged": {},
    "runs/all/table": {"metric": "table"},
    "runs/all/documents": {"metric": "matrix"},
    "runs/all/snapshot": {},
    "runs/plain/snapshot": {},
    "runs/all/snapshot/diff": {"other": "old"},
    "runs/all/snapshot/text/train.py": {},
    "runs/all/text/notes.md": {},
    "runs/all/logs/logs/train.txt": {},
    "runs/all/log-search/logs/train.txt": {"text": "error"},
    "runs/submitted/definition": {},
    "runs/plain/definition": {},
}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The Studio of a workspace with something for each question."""
    folder = tmp_path_factory.mktemp("answers")
    with Workspace.create("lab", path=folder / "lab", show_output=False) as ws:
        vision = Experiment(ws, "vision")
        for name, text in (("old", "a\n"), ("all", "b\n")):
            source = folder / name
            source.mkdir()
            (source / "train.py").write_text(text)
            run = start(vision, run_id=name, display_name=name)
            run.take_snapshot(source)
        _fill(run, folder)
        bad = start(vision, run_id="bad")
        bad.fail("out of memory", error_code="OOM")
        ComputeTarget.attach(ws, "pool", slots=1)
        config = ScriptRunConfig(
            str(folder / "old"), command=["sleep", "600"], compute_target="pool"
        )
        first = vision.submit(config, run_id="first")
        waiting = vision.submit(config, run_id="submitted")
        wait_until(lambda: first.get_status() == "Running", "the first run to start")
        plain = start(vision, run_id="plain")
        plain.log("loss", 2.0)
        with served(ws) as found:
            view = {"url": "/runs?f=status+%3D+Failed"}
            assert found.send("PUT", "/api/views/failed", view).status_code == 200
            yield found
        waiting.cancel()
        first.cancel()


def _fill(run: Run, folder: Path) -> None:
    """All that a run can have."""
    run.add_config({"lr": 0.1, "deep": {"er": [1, None, "x"]}})
    run.log_batch("loss", [3.0, float("nan"), float("inf"), 1.0])
    run.tag("stage", "one")
    run.tag("flag")
    run.description = "# a *resnet*"
    run.add_properties({"fixed": "1"})
    for name, content in (
        ("picture.png", b"\x89PNG\r\n\x1a\n"),
        ("notes.md", b"# Notes\n\n[a](https://example.org)"),
        ("train.txt", b"first\nAn error here\n"),
    ):
        (folder / name).write_bytes(content)
    run.upload_file("notes.md", folder / "notes.md")
    run.upload_file("logs/train.txt", folder / "train.txt")
    run.add_reference("outside", "s3://bucket/key")
    run.log_image("pictures", path=str(folder / "picture.png"))
    run.log_confusion_matrix("matrix", MATRIX)
    run.log_row("table", epoch=1, note="x")
    child = run.child_run(run_id="child")
    child.log("loss", 0.5)
    child.complete()
    run.complete()


def test_each_answer_has_exactly_the_fields_of_its_type(studio: Served, tmp_path: Path) -> None:
    lines = ['import type { AnswerTo, BulkAnswer, SqlResult } from "answers";']
    answers: list[tuple[str, Any]] = [
        (f"AnswerTo<{json.dumps(path)}>", studio.get(f"/api/{path}", **params))
        for path, params in QUESTIONS.items()
    ]
    sql = {"query": "SELECT run_id, number, created_at FROM runs", "limit": 10, "id": "of-types"}
    bulk = {"op": "cancel", "ids": ["bad"]}
    answers += [
        ("SqlResult", studio.send("POST", "/api/sql", sql).json()),
        ("BulkAnswer", studio.send("POST", "/api/bulk", bulk).json()),
    ]
    lines += [
        f"export const a{number}: {kind} = {json.dumps(answer)};"
        for number, (kind, answer) in enumerate(answers)
    ]
    assert _faults(tmp_path / "answers.ts", lines) == ""
    assert "'nothing' does not exist" in _faults(
        tmp_path / "wrong.ts", [lines[0], 'export const a: AnswerTo<"position"> = { nothing: 1 };']
    )


def _faults(file: Path, lines: list[str]) -> str:
    """What the checker of types says of some lines; nothing if they are right."""
    file.write_text("\n".join(lines))
    asked = ["check", "--quiet", "--no-remote", "--config", str(ROOT / "deno.json"), str(file)]
    told = subprocess.run(
        [sys.executable, "-m", "deno", *asked],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1"},
    )
    return told.stderr if told.returncode else ""

"""docs/sql.md documents the views, and these columns are all that they have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runlore import Workspace

ROOT = Path(__file__).parents[2]
VIEWS = (
    "experiments",
    "runs",
    "tags",
    "properties",
    "metrics",
    "metric_points",
    "run_tree",
    "events",
    "tag_history",
    "status_history",
)


def documented() -> dict[str, list[str]]:
    text = (ROOT / "docs" / "sql.md").read_text()
    views, _, _ = text.partition("## The views")[2].partition("\n## ")
    sections = re.split(r"^### (\w+)$", views, flags=re.MULTILINE)[1:]
    return {
        name: re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE)
        for name, body in zip(sections[::2], sections[1::2], strict=True)
    }


def test_every_view_is_documented() -> None:
    assert tuple(documented()) == VIEWS


@pytest.mark.parametrize("view", VIEWS)
def test_the_documented_columns_are_those_of_the_view(view: str, tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        columns = workspace.sql(f"SELECT * FROM {view}").columns

    assert documented()[view] == columns

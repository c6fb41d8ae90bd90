"""docs/sql.md documents the views, and these columns are all that they have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runlore import Workspace

ROOT = Path(__file__).parents[2]
VIEWS = (
    *(
        "experiments",
        "experiment_tags",
        "runs",
        "tags",
        "properties",
        "config",
        "metrics",
        "metric_points",
    ),
    *("run_tree", "run_rollup", "metric_rollup", "artifacts", "environments", "alerts"),
    *("losses", "rewinds", "refused_changes", "events"),
    *("tag_history", "property_history", "config_history", "status_history"),
    *("writers", "saved_views", "identities", "damaged"),
)


def documented() -> dict[str, list[tuple[str, str]]]:
    """The columns of each view with their types."""
    text = (ROOT / "docs" / "sql.md").read_text()
    views, _, _ = text.partition("## The views")[2].partition("\n## ")
    sections = re.split(r"^### (\w+)$", views, flags=re.MULTILINE)[1:]
    return {
        name: re.findall(r"^\| `(\w+)` \| (\w+) \| \S", body, re.MULTILINE)
        for name, body in zip(sections[::2], sections[1::2], strict=True)
    }


def test_every_view_is_documented() -> None:
    assert tuple(documented()) == VIEWS


@pytest.mark.parametrize("view", VIEWS)
def test_the_documented_columns_are_those_of_the_view(view: str, tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        described = workspace.sql(f"DESCRIBE {view}").fetchall()

    columns = [
        (name, type_.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"))
        for name, type_, *_ in described
    ]
    assert documented()[view] == columns


def test_there_are_no_other_views(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        found = workspace.sql("SHOW TABLES").fetchall()

    assert sorted(name for (name,) in found) == sorted(VIEWS)

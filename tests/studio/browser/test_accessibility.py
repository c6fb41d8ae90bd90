"""The pages as axe judges them: for people who use a screen reader, a keyboard, or little light."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from runlore import Experiment, Workspace
from tests.studio.browser.conftest import Opened

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

_AXE: Final = Path(__file__).with_name("vendor") / "axe-core@4.14.1" / "axe.min.js"
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_PAGES: Final = {
    "experiments": "/",
    "runs": "/e/vision",
    "all runs": "/runs",
    "no run": "/e/vision?f=tags.model+%3D+nothing",
    "a wrong filter": "/e/vision?f=status+%3D",
    "compare": "/compare?run={first}&run={second}",
    "details": "/run/{first}/details",
    "metrics": "/run/{first}/metrics",
    "children": "/run/{first}/children",
    "logs": "/run/{first}/logs",
    "files": "/run/{first}/files",
    "history": "/run/{first}/history",
    "groups": "/e/vision?group=tags.model",
    "a tree with a baseline": "/e/vision?tree=1&pin={first}",
    "a run beside the table": "/e/vision?drawer={first}&run={second}",
    "charts below the table": "/e/vision?split=230",
    "all selected": "/e/vision?all=1&run={second}",
    "views": "/views",
    "targets": "/targets",
    "new run": "/new",
    "sql": "/sql?sql=SELECT+status%2C+number+FROM+runs&y=number",
    "the past": "/e/vision?asof=30",
}


def faults_of(page: Page, rules: dict[str, Any]) -> list[str]:
    """What axe finds by the rules: each that is broken, and the first elements that break it."""
    found: dict[str, Any] = page.evaluate(
        "(rules) => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules
    )
    return [
        f"{fault['id']}: {fault['help']}: {[node['html'][:160] for node in fault['nodes'][:3]]}"
        for fault in found["violations"]
    ]


@pytest.mark.parametrize("name", _PAGES)
def test_axe_finds_nothing_in_light_and_dark(
    name: str, open_page: Opened, wrong: list[str], lab: Workspace
) -> None:
    first, second = [run.id for run in Experiment(lab, "vision").get_runs()][:2]
    page = open_page(_PAGES[name].format(first=first, second=second), color_scheme="light")
    expect(page.locator("main")).to_be_visible()
    expect(page.locator(".muted", has_text="Loading")).to_have_count(0)
    assert wrong == []
    page.evaluate(_AXE.read_text())
    assert faults_of(page, {"type": "tag", "values": _RULES}) == []
    page.emulate_media(color_scheme="dark")
    assert faults_of(page, {"type": "rule", "values": ["color-contrast"]}) == []
    wrong.clear()  # Axe tries styles and preloads, which the policy refuses.

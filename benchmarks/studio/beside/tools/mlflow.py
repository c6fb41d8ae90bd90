"""The tasks in MLflow, from an experiment's table of runs in its mode "Model training"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from benchmarks.studio.beside.person import Person, Way
from benchmarks.studio.beside.trainings import ERROR, FAILED, LIVE

PATH: Final = "/#/experiments/1/runs?workflowType=machine_learning"
_DRAWN_MS: Final = 3_000
_ASSISTANT: Final = "[data-component-id='mlflow.assistant.chat_panel.close']"


def ready(person: Person) -> None:
    """The table, without the assistant beside it: who has closed it once never sees it again."""
    person.sees(person.page.get_by_role("link", name=FAILED))
    if person.page.locator(_ASSISTANT).is_visible():
        person.page.locator(_ASSISTANT).click()


def _best(person: Person) -> None:
    page = person.page
    search = page.get_by_role("textbox").or_(page.get_by_role("combobox"))
    person.types(search.first, 'tags.model = "resnet"')
    person.sees("matching runs")
    person.clicks(page.get_by_test_id("sort-select-dropdown"))
    person.clicks(page.get_by_test_id("sort-select-val_loss"))
    person.clicks(page.get_by_test_id("sort-header-val_loss"))  # The least first.
    person.sees(page.locator("[row-index='0']").get_by_text("resnet-0.01-s0"))


def _why(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_role("link", name=FAILED))
    person.clicks(page.get_by_role("tab", name="Artifacts"))
    person.clicks(page.get_by_text("logs", exact=True))
    person.clicks(page.get_by_text("train.log", exact=True).first)
    person.sees(re.compile(ERROR))


def _live(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_role("link", name=LIVE))
    person.clicks(page.get_by_role("tab", name="Model metrics"))
    page.wait_for_timeout(_DRAWN_MS)


def _differences(person: Person) -> None:
    page = person.page
    for run in ("vit-0.01-s3", "resnet-0.01-s3"):
        row = page.locator(".ag-row", has=page.get_by_role("link", name=run))
        person.clicks(row.get_by_label("Press Space to toggle row selection").first)
    person.clicks(page.get_by_role("button", name="Compare"))
    person.sees("Show diff only")
    page.get_by_text("Show diff only").first.scroll_into_view_if_needed()


def _seeds(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_text("Group by", exact=True))
    person.clicks(
        page.get_by_role("menuitemcheckbox", name="lr")
        .or_(page.get_by_text("lr", exact=True))
        .first
    )
    person.clicks(page.locator("label", has=page.locator("input[value=CHART]")))
    page.wait_for_timeout(_DRAWN_MS)


def _since(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_test_id("start-time-select-dropdown"))
    person.clicks(page.get_by_text("Last 24 hours"))


def _csv(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_label("More options"))
    saved = person.saves(page.get_by_text("Download 41 runs"))
    assert FAILED in saved.path().read_text()


def _link(person: Person) -> None:
    address = person.copies_the_address()
    assert "searchFilter" in address


def _log(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_role("link", name=LIVE))
    person.clicks(page.get_by_role("tab", name="Artifacts"))
    person.clicks(page.get_by_text("logs", exact=True))
    person.clicks(page.get_by_text("train.log", exact=True).first)
    person.sees(re.compile("epoch 1 of"))


def _stop(person: Person) -> None:
    person.clicks(person.page.get_by_role("link", name=LIVE))


WAYS: Final[Mapping[str, Way]] = {
    "best": Way(_best),
    "why": Way(_why, note="an artifact that the script has logged; MLflow keeps no traceback"),
    "live": Way(_live),
    "differences": Way(_differences, note="below the charts, to which one scrolls"),
    "seeds": Way(_seeds, "groups have a mean, a minimum or a maximum, but no deviation"),
    "since": Way(_since, "it has no history of changes: which runs began in the last 24 hours"),
    "csv": Way(_csv),
    "link": Way(_link, note="the address bar has filter and order; columns stay in the browser"),
    "log": Way(_log, note="the beginning of an artifact; one scrolls, and loads it again"),
    "stop": Way(_stop, "its pages can delete a run, but cannot stop one"),
}

"""The tasks in Aim, from its runs explorer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from benchmarks.studio.beside.person import Person, Way
from benchmarks.studio.beside.trainings import ERROR, FAILED, LIVE

PATH: Final = "/runs"
_DRAWN_MS: Final = 3_000


def ready(person: Person) -> None:
    """The table, without the invitation that comes once."""
    person.sees(FAILED)
    person.page.wait_for_timeout(1500)
    if person.page.get_by_text("Skip", exact=True).is_visible():
        person.page.get_by_text("Skip", exact=True).click()


def _asks(person: Person, query: str) -> None:
    person.writes(person.page.locator(".monaco-editor").first, query)


def _best(person: Person) -> None:
    _asks(person, 'run.model == "resnet"')
    person.page.get_by_text("vit-0.001-s3").wait_for(state="detached")


def _why(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_text(FAILED))
    person.clicks(page.get_by_text("Logs", exact=True))
    person.sees(re.compile(ERROR))


def _live(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_text(LIVE))
    person.clicks(page.locator("a[href*='/runs/'][href$='/metrics']").first)
    page.wait_for_timeout(_DRAWN_MS)


def _differences(person: Person) -> None:
    _asks(person, 'run.name in ("vit-0.01-s3", "resnet-0.01-s3")')
    person.page.get_by_text("vit-0.001-s3").wait_for(state="detached")
    person.clicks(person.page.get_by_text("Show Table Diff"))


def _seeds(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_role("link", name="Metrics"))
    person.clicks(page.get_by_role("button", name="Metrics"))
    person.clicks(page.get_by_text("val_loss", exact=True).last)
    person.presses("Escape")
    person.clicks(page.get_by_role("button", name="Search"))
    person.sees("Hide Lines")
    person.clicks_at(1110, 95)  # Group by colour.
    person.clicks(page.locator(".MuiAutocomplete-root input").locator("visible=true").last)
    person.clicks(page.get_by_role("option", name="run.hparams.lr").first)
    page.wait_for_timeout(_DRAWN_MS)
    person.presses("Escape")
    person.clicks_at(600, 20)
    page.wait_for_timeout(_DRAWN_MS)
    person.clicks_at(1250, 165)  # Aggregate the groups.
    page.wait_for_timeout(_DRAWN_MS)
    person.clicks_at(1228, 165)  # How they are aggregated.
    page.wait_for_timeout(_DRAWN_MS)
    person.clicks(page.get_by_text(re.compile("standard deviation|std", re.IGNORECASE)).first)


def _since(person: Person) -> None:
    _asks(person, "run.created_at >= datetime(2026, 11, 30)")


def _csv(person: Person) -> None:
    saved = person.saves(person.page.get_by_text("Export", exact=True))
    assert FAILED in saved.path().read_text()


def _link(person: Person) -> None:
    _asks(person, 'run.model == "resnet"')
    person.page.get_by_text("vit-0.001-s3").wait_for(state="detached")
    person.actions = 0  # That was what is to be shown.
    assert "select=" in person.copies_the_address()


def _log(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_text(LIVE))
    person.clicks(page.get_by_text("Logs", exact=True))
    person.sees(re.compile("epoch"))


def _stop(person: Person) -> None:
    person.clicks(person.page.get_by_text(LIVE))
    person.clicks(person.page.get_by_text("Settings", exact=True))


WAYS: Final[Mapping[str, Way]] = {
    "best": Way(_best, "its table of runs filters, but has no order by a metric"),
    "why": Way(_why, note="the end of what it printed; Aim has no status for a failure"),
    "live": Way(_live),
    "differences": Way(_differences, note="hash, date and duration differ as well"),
    "seeds": Way(_seeds, note="as curves of a metric, in another page; three actions close menus"),
    "since": Way(_since, "it has no history of changes: which runs began after a date"),
    "csv": Way(_csv),
    "link": Way(_link, note="the address bar has the query; columns stay in the browser"),
    "log": Way(_log),
    "stop": Way(_stop, "its pages archive or delete a run, but cannot stop one"),
}

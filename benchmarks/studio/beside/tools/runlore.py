"""The tasks in the Studio, from an experiment's table of runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from playwright.sync_api import Locator

from benchmarks.studio.beside.person import Person, Way
from benchmarks.studio.beside.trainings import ERROR, FAILED, LIVE

PATH: Final = "/e/vision"


def ready(person: Person) -> None:
    person.sees(person.page.locator(".grid-row .run-name"))


def _details(person: Person, run: str) -> None:
    person.clicks(person.page.get_by_role("button", name=f"Details of {run}"))


def _drawer(person: Person) -> Locator:
    return person.page.get_by_role("complementary")


def _best(person: Person) -> None:
    page = person.page
    person.types(page.locator("#filter"), "tags.model = resnet")
    person.clicks(page.get_by_role("button", name="m.val_loss"))
    person.sees("21 runs")
    person.sees(page.locator(".grid-row .run-name").first.filter(has_text="resnet-0.01-s0"))


def _why(person: Person) -> None:
    _details(person, FAILED)
    person.sees(_drawer(person).get_by_text(ERROR))


def _live(person: Person) -> None:
    _details(person, LIVE)
    person.sees(_drawer(person).get_by_role("figure", name="loss", exact=True))


def _differences(person: Person) -> None:
    box = person.page.get_by_role("checkbox")
    for run in ("vit-0.01-s3", "resnet-0.01-s3"):
        person.clicks(box.and_(person.page.get_by_label(f"Select {run}")))
    person.clicks(person.page.get_by_role("link", name="Differences"))
    person.sees(person.page.get_by_role("row", name="tags.model"))


def _seeds(person: Person) -> None:
    person.chooses(person.page.get_by_label("Group"), "config.lr")
    person.sees(re.compile(r"\d ± \d"))


def _since(person: Person) -> None:
    person.clicks(person.page.get_by_role("button", name="Since yesterday"))
    person.sees("quality")


def _csv(person: Person) -> None:
    saved = person.saves(person.page.get_by_role("link", name="CSV"))
    assert FAILED in saved.path().read_text()


def _link(person: Person) -> None:
    person.clicks(person.page.get_by_role("button", name="Link"))
    person.sees(person.page.get_by_role("button", name="Copied"))
    assert person.page.evaluate("navigator.clipboard.readText()") == person.page.url


def _log(person: Person) -> None:
    _details(person, LIVE)
    log = person.page.get_by_role("log")
    person.sees(log.get_by_text(re.compile(r"epoch \d+ of")).last)
    log.scroll_into_view_if_needed()


def _stop(person: Person) -> None:
    _details(person, LIVE)
    person.clicks(_drawer(person).get_by_role("button", name="Cancel"))
    person.sees(_drawer(person).get_by_text(re.compile("CancelRequested|Canceled")))


WAYS: Final[Mapping[str, Way]] = {
    "best": Way(_best),
    "why": Way(_why),
    "live": Way(_live),
    "differences": Way(_differences),
    "seeds": Way(_seeds),
    "since": Way(_since),
    "csv": Way(_csv),
    "link": Way(_link),
    "log": Way(_log),
    "stop": Way(_stop, note="asks the script; a submitted run's processes are ended"),
}

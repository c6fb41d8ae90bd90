"""The tasks in trackio, from a project's first page: the list of its runs beside their curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.studio.beside.person import Person, Way
from benchmarks.studio.beside.trainings import ERROR, FAILED, LIVE

PATH: Final = "/?project=vision"


def ready(person: Person) -> None:
    person.sees(FAILED)
    person.sees("val_loss")


def _best(person: Person) -> None:
    person.types(person.page.get_by_placeholder("Type to filter..."), "resnet")
    person.sees("Runs (21)")


def _why(person: Person) -> None:
    person.clicks(person.page.get_by_text(ERROR))
    person.sees("Traceback (most recent call last)")


def _live(person: Person) -> None:
    person.clicks(person.page.get_by_text("Latest only"))


def _differences(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_text("Runs (41)"))
    for run in ("vit-0.01-s3", "resnet-0.01-s3"):
        person.clicks(page.get_by_text(run, exact=True).first)
    person.clicks(page.get_by_text("Show run comparer"))
    person.clicks(page.get_by_text("Diff only"))
    person.sees("Run comparer")


def _seeds(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_placeholder("Select..."))
    person.clicks(page.get_by_role("option", name="lr"))


def _since(person: Person) -> None:
    person.clicks(person.page.get_by_text("Alerts & Reports"))


def _csv(person: Person) -> None:
    person.clicks(person.page.get_by_text("Runs", exact=True).last)


def _link(person: Person) -> None:
    person.page.get_by_placeholder("Type to filter...").fill("0.01-s3")
    person.sees("Runs (2)")
    assert "0.01" not in person.copies_the_address()


def _log(person: Person) -> None:
    page = person.page
    person.clicks(page.get_by_text("Files", exact=True).last)
    person.clicks(page.get_by_text(f"{LIVE}.log"))
    person.sees("epoch 1 of")


def _stop(person: Person) -> None:
    person.clicks(person.page.get_by_text("Runs", exact=True).last)
    person.clicks(person.page.get_by_text(LIVE).last)


WAYS: Final[Mapping[str, Way]] = {
    "best": Way(_best, "it filters runs by name alone, and no table has their metrics"),
    "why": Way(_why, note="the script has sent the traceback as an alert"),
    "live": Way(_live),
    "differences": Way(_differences),
    "seeds": Way(_seeds, "its groups put runs of a value together, without a mean"),
    "since": Way(_since, "it has no history of changes; alerts are what scripts have sent"),
    "csv": Way(_csv, "its table of runs has no metrics and no export; each chart saves its points"),
    "link": Way(_link, "the address has the project, but neither filter nor choice of runs"),
    "log": Way(_log, note="the beginning of a file that the script saved; one scrolls"),
    "stop": Way(_stop, "its pages rename or delete a run, but cannot stop one"),
}

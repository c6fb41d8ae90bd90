"""What people do most often takes few actions: a click, a choice, a key, a text with enter."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from benchmarks.studio.beside.person import Person
from runlore import Experiment, Workspace
from tests.studio.browser.conftest import Opened
from tests.studio.browser.demo import Hours
from tests.workspaces import start

pytestmark = [pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Runs of two days ago, one of which failed; later one more tag, and a run that goes on."""
    hours = Hours()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "time_ns", hours)
        folder = tmp_path_factory.mktemp("tasks") / "lab"
        with Workspace.create("lab", path=folder, show_output=False) as ws:
            vision = Experiment(ws, "vision")
            for number in range(4):
                with start(vision, run_id=f"seed-{number}", display_name=f"seed {number}") as run:
                    run.add_config({"seed": number, "lr": 0.1 * (1 + number // 2)})
                    run.log_batch("loss", [2.0 + number, 1.0 + number])
                    if number == 3:
                        run.fail("the disk was full")
            hours.ago = 0
            run.tag("seen", "yes")
            live = start(vision, run_id="live", display_name="live")
            live.log("loss", 0.5)
            (folder.parent / "log.txt").write_text("first\n" * 500 + "the last line\n")
            live.upload_file("logs/log.txt", folder.parent / "log.txt")
            yield ws
            if live.get_status() != "Canceled":
                live.complete()


def at(open_page: Opened, path: str) -> Person:
    page = open_page(path)
    expect(page.locator("main h1").first).to_be_visible()
    expect(page.get_by_text("Loading")).to_have_count(0)
    return Person(page)


def test_why_a_run_failed_takes_one(open_page: Opened) -> None:
    person = at(open_page, "/e/vision")
    person.clicks(person.page.get_by_role("link", name="seed 3"))
    expect(person.page.get_by_text("the disk was full").first).to_be_visible()
    assert person.actions <= 1


def test_the_live_loss_of_the_newest_run_takes_one(open_page: Opened, lab: Workspace) -> None:
    person = at(open_page, "/e/vision")
    person.clicks(person.page.get_by_role("link", name="Compare", exact=True))
    chart = person.page.get_by_role("figure", name="loss")
    expect(chart).to_contain_text("9 points of 5 runs")
    lab.get_run("live").log("loss", 0.25)
    expect(chart).to_contain_text("10 points of 5 runs")
    assert person.actions <= 1


def test_the_differences_of_two_runs_take_three(open_page: Opened) -> None:
    person = at(open_page, "/e/vision")
    page = person.page
    for name in ("seed 0", "seed 2"):
        person.clicks(page.get_by_role("checkbox", name=f"Select {name}"))
    person.clicks(page.get_by_role("link", name="Differences"))
    rows = page.locator("tbody th")
    expect(rows.filter(has_text="config.lr")).to_have_count(1)
    expect(page.locator("thead .run-name")).to_have_count(2)
    assert person.actions <= 3


def test_mean_and_deviation_over_seeds_take_two(open_page: Opened) -> None:
    person = at(open_page, "/compare?" + "&".join(f"run=seed-{number}" for number in range(4)))
    page = person.page
    person.chooses(page.get_by_role("combobox", name="group"), "config.lr")
    person.chooses(page.get_by_role("combobox", name="band"), "std")
    chart = page.get_by_role("figure", name="loss")
    expect(chart).to_contain_text("in 2 groups with 0 single curves, band: std")
    assert person.actions <= 2


def test_what_changed_since_yesterday_takes_one(open_page: Opened) -> None:
    person = at(open_page, "/e/vision")
    person.clicks(person.page.get_by_role("button", name="Since yesterday"))
    changes = person.page.get_by_role("region", name="What changed since")
    expect(changes.get_by_role("row").filter(has_text="seen")).to_have_count(1)
    expect(changes.get_by_role("link", name="live").first).to_be_visible()
    expect(changes.get_by_role("row").filter(has_text="seed 0")).to_have_count(0)
    assert person.actions <= 1
    person.page.get_by_role("button", name="Back to now").click()
    expect(person.page).not_to_have_url(re.compile("since|asof"))


def test_the_end_of_a_log_takes_one(open_page: Opened) -> None:
    person = at(open_page, "/run/live")
    person.clicks(person.page.get_by_role("link", name="logs"))
    expect(person.page.get_by_text("the last line")).to_be_in_viewport()
    assert person.actions <= 1


def test_a_link_to_exactly_this_takes_none(open_page: Opened) -> None:
    page = at(open_page, "/compare?run=seed-0&run=seed-1").page
    page.get_by_role("combobox", name="band").select_option("none")
    page.get_by_role("checkbox", name="Show seed 1").click()
    other = open_page("/" + page.url.split("/", 3)[3])
    expect(other.get_by_role("figure", name="loss")).to_contain_text(
        "2 points of 1 runs, band: none"
    )


def test_stopping_a_run_takes_two(open_page: Opened, lab: Workspace) -> None:
    person = at(open_page, "/e/vision")
    person.clicks(person.page.get_by_role("link", name="live"))
    person.clicks(person.page.get_by_role("button", name="Cancel"))
    expect(person.page.locator(".status").first).to_contain_text("Cancel")
    assert person.actions <= 2
    if lab.get_run("live").get_status() == "CancelRequested":
        lab.get_run("live").cancel()

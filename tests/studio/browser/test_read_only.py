"""A Studio on a folder that its user may read only, as a colleague or an auditor has it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from runlore import ComputeTarget, Experiment, Run, Workspace
from tests.hostile.users import User, group_of
from tests.workspaces import start

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)

SERVE = """
sys.argv = ["runlore", "studio", "--path", shared + "/lab", "--port", "0", "--no-browser"]
from runlore.cli import main
main()
"""
PAGES = ("/", "/runs", "/e/vision", "/compare?run=first&run=live", "/targets", "/views", "/sql")
TABS = (
    *("details", "metrics", "images", "tables", "children", "logs", "files", "snapshot"),
    *("system", "history"),
)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with group_of(1) as [one]:
        yield one


@pytest.fixture(scope="module")
def live(user: User) -> Iterator[Run]:
    """A run that its owner, who is another user, goes on with; there is one that has ended."""
    with Workspace.create("lab", path=user.shared / "lab", show_output=False) as ws:
        ComputeTarget.attach(ws, "pool", slots=1)
        vision = Experiment(ws, "vision")
        with start(vision, run_id="first", display_name="first") as run:
            run.log_batch("loss", [3.0, 2.0, 1.0])
            run.tag("model", "vit")
        run = start(vision, run_id="live", display_name="live")
        run.log("loss", 1.0)
        run.flush()
        for path in (user.shared, *user.shared.rglob("*")):
            os.chown(path, 0, 0)
            path.chmod(path.stat().st_mode & ~0o022)
        yield run
        run.complete()


@pytest.fixture(scope="module")
def origin(user: User, live: Run) -> Iterator[str]:
    """The address of the other user's Studio."""
    process = user.start(SERVE)
    assert process.stdout
    try:
        found = re.search(r"http://[\w.:]+", process.stdout.readline())
        assert found, process.communicate()
        yield found[0]
    finally:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in which no script fails, and no answer is a refusal."""
    wrong: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    found = context.new_page()
    found.on("pageerror", lambda error: wrong.append(str(error)))
    found.on(
        "response",
        lambda answer: (
            wrong.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        ),
    )
    yield found
    context.close()
    assert wrong == []


def writable(folder: Path) -> list[str]:
    """What others than the owner may write below a folder."""
    return [str(path) for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o022]


@pytest.mark.parametrize("path", [*PAGES, *(f"/run/first/{tab}" for tab in TABS)])
def test_each_page_is_shown_now_and_as_it_was(
    path: str, page: Page, origin: str, live: Run, user: User
) -> None:
    assert writable(user.shared / "lab") == []
    page.goto(origin + path)
    settled(page)
    expect(page.get_by_role("button", name="Save view")).to_have_count(0)  # Nothing is changed.

    page.get_by_role("button", name="As of…").click()
    slider = page.get_by_label("As of", exact=True)
    expect(slider).to_be_enabled()  # Until then a place is held for it.
    slider.focus()
    for key in ("End", "ArrowLeft"):
        slider.press(key)
    expect(page).to_have_url(re.compile(r"asof=\d+"))
    expect(page.get_by_text("As it was on")).to_be_visible()
    settled(page)


def settled(page: Page) -> None:
    """Wait until all is there."""
    expect(page.locator("main h1, main .empty").first).to_be_visible()
    expect(page.get_by_text("Loading")).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_viewer_sees_values_as_they_are_logged(page: Page, origin: str, live: Run) -> None:
    page.goto(f"{origin}/run/live/metrics")
    expect(page.get_by_role("figure", name="loss")).to_contain_text("1 points of 1 runs")
    live.log("loss", 0.5)
    expect(page.get_by_role("figure", name="loss")).to_contain_text("2 points of 1 runs")
    page.get_by_role("link", name="details").click()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.get_by_role("button", name="Edit")).to_have_count(0)


def test_sql_is_asked_of_a_folder_that_cannot_be_written(page: Page, origin: str) -> None:
    page.goto(f"{origin}/sql?sql=SELECT+display_name+FROM+runs+ORDER+BY+number")
    expect(page.locator(".grid-row")).to_have_count(2)
    expect(page.locator(".grid-row").first).to_contain_text("first")

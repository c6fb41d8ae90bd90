"""What a person does with runs: submit one, watch it, cancel it; tags; SQL; targets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from runlore import ComputeTarget, Experiment, ScriptRunConfig, Workspace
from runlore.domain.status import TERMINAL
from tests.processes import wait_until
from tests.studio.browser.conftest import HOSTILE, Opened
from tests.studio.browser.test_paper import printed

pytestmark = [pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)

SCRIPT = """
import os, sys, time
print("executed by", os.getpid(), sys.argv[1:], flush=True)
time.sleep(600)
"""
OPTIONS: dict[str, Any] = {"outputs": False, "snapshot_directory": None}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    (folder / "train.py").write_text(SCRIPT)
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Three runs that have ended, and a pool with one slot."""
    folder: Path = tmp_path_factory.mktemp("acting") / "lab"
    with Workspace.create("lab", path=folder, show_output=False) as ws:
        ComputeTarget.attach(ws, "gpus", slots=1)
        for number in range(3):
            with Experiment(ws, "vision").start_logging(**OPTIONS) as run:
                run.display_name = f"run-{number}"
                run.tag("model", "vit")
                run.log("loss", 1.0 + number)
        yield ws
        for run in Experiment(ws, "vision").get_runs():
            if run.get_status() not in TERMINAL:
                run.cancel()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def submit(page: Page, source: Path, arguments: str = "") -> str:
    """Fill in the form of a new run; the run's id."""
    page.get_by_label("Folder", exact=True).fill(str(source))
    page.get_by_label("Script in it").fill("train.py")
    page.get_by_label("Arguments").fill(arguments)
    page.get_by_label("Experiment").fill("vision")
    page.get_by_label("Target").select_option("gpus")
    page.get_by_role("button", name="Submit").click()
    expect(page).to_have_url(re.compile(r"/run/[^/]+/logs"))
    return page.url.split("/run/")[1].split("/")[0]


def test_a_cluster_is_shown_with_its_kind_and_without_slots(
    open_page: Opened, lab: Workspace
) -> None:
    ray = {"address": "http://ray-head:8265", "gpus": 1, "this_machine": True}
    ComputeTarget.attach(lab, "rays", type="ray", **ray)
    ComputeTarget.attach(lab, "cluster", type="slurm", partition="gpu", this_machine=True)

    page = open_page("/targets")

    for name, kind in (("rays", "ray"), ("cluster", "slurm")):
        region = page.get_by_role("region", name=name)
        expect(region.get_by_role("heading")).to_have_text(f"{name} {kind}")
        expect(region).to_contain_text("As many as its cluster starts · 0 running")
        expect(region).not_to_contain_text("free")
    expect(page.get_by_role("region", name="local")).to_contain_text("No limit")
    for name in ("rays", "cluster"):
        lab.compute_targets[name].delete()


def test_a_run_is_submitted_watched_live_and_cancelled_until_its_process_has_ended(
    open_page: Opened, lab: Workspace, source: Path
) -> None:
    page = open_page("/targets")
    page.get_by_role("link", name="New run").click()
    run_id = submit(page, source, "--lr 0.1")
    log = page.get_by_role("log")
    expect(log).to_contain_text("executed by")
    expect(log).to_contain_text("['--lr', '0.1']")
    found = re.search(r"executed by (\d+)", log.inner_text())
    assert found is not None
    pid = int(found[1])
    assert is_alive(pid)
    expect(page.locator(".status").first).to_contain_text("Running")

    second = open_page("/new")  # Its slot is taken.
    second.get_by_label("Experiment").wait_for()
    second.get_by_label("Target").select_option("gpus")
    second.get_by_role("button", name="Submit").click()
    expect(second).to_have_url(re.compile(r"/run/[^/]+/logs"))
    targets = open_page("/targets")
    pool = targets.get_by_role("region", name="gpus")
    expect(pool).to_contain_text("1 waiting")
    expect(pool).to_contain_text("It is the next one: waits for a slot of 'gpus' (1 in all)")
    expect(pool.get_by_role("img", name="1 of 1 slots are used")).to_be_visible()
    second.get_by_role("button", name="Cancel").click()
    expect(second.locator(".status").first).to_contain_text("Canceled")

    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".status").first).to_contain_text("Canceled")
    wait_until(lambda: not is_alive(pid), "the script to be gone")
    assert lab.get_run(run_id).get_status() == "Canceled"
    expect(pool).to_contain_text("Nothing runs here.")

    page.get_by_role("button", name="Submit again").click()
    expect(page).not_to_have_url(re.compile(run_id))
    expect(page.get_by_role("log")).to_contain_text("executed by")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".status").first).to_contain_text("Canceled")


def test_the_first_page_says_what_executes_where(
    open_page: Opened, lab: Workspace, source: Path
) -> None:
    ComputeTarget.attach(lab, "two", slots=2)
    config = ScriptRunConfig(source, script="train.py", compute_target="two")
    runs = [Experiment(lab, "queueing").submit(config) for _ in range(3)]
    try:
        page = open_page("/")
        row = page.get_by_role("row").filter(has_text="queueing")
        expect(row).to_contain_text("two 2 running, 1 waiting")
        expect(page.get_by_role("img", name="2 of 2 slots are used")).to_be_visible()
        spark = row.get_by_role("img", name="3 runs in 30 days, at most 3 a day")
        expect(spark.locator("rect:not(.none)")).to_have_count(1)
        runs[0].cancel()
        expect(row).to_contain_text("two 2 running")
        expect(row).not_to_contain_text("waiting")
        ended = page.get_by_role("row").filter(has_text="vision")
        expect(ended.locator(".lasted")).to_have_text(re.compile(r"\d s"))  # The median.
        row.get_by_role("link", name="two").click()
        expect(page.locator(".grid-row")).to_have_count(2)
    finally:
        for run in runs:
            run.cancel()


def test_what_cannot_be_submitted_says_why(open_page: Opened) -> None:
    page = open_page("/new")
    radio = page.get_by_label("a folder of this machine")
    page.get_by_role("button", name="Submit").wait_for()
    if radio.count():
        radio.check()
    page.get_by_label("Folder", exact=True).fill("/nowhere")
    page.get_by_label("Script in it").fill("train.py")
    page.get_by_label("Experiment").fill("vision")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_contain_text("/nowhere")


def test_tags_name_and_description_are_changed_where_they_stand(
    open_page: Opened, lab: Workspace
) -> None:
    (run,) = (run for run in Experiment(lab, "vision").get_runs() if run.display_name == "run-1")
    page = open_page(f"/run/{run.id}")
    page.get_by_role("button", name="Change model").click()
    page.get_by_label("Value of model").fill(HOSTILE)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("dd", has_text="onerror")).to_be_visible()
    assert run.get_tags() == {"model": HOSTILE}

    page.keyboard.press("e")
    page.get_by_role("textbox", name="Name", exact=True).fill("the best one")
    page.get_by_label("Description").fill("why it is")
    page.get_by_role("button", name="Remove model").click()
    page.get_by_role("button", name="+ Tag").click()
    page.get_by_label("Key", exact=True).fill("stage")
    page.get_by_label("Value of stage").fill("done")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="the best one")).to_be_visible()
    expect(page.get_by_text("why it is")).to_be_visible()
    assert run.get_tags() == {"stage": "done"}

    expect(page.get_by_role("link", name="Next run")).to_be_visible()
    page.keyboard.press("]")
    expect(page.get_by_role("heading", name="run-2")).to_be_visible()
    previous = page.get_by_role("link", name="Previous run")
    expect(previous).to_have_attribute("href", f"/run/{run.id}")
    page.keyboard.press("[")
    expect(page.get_by_role("heading", name="the best one")).to_be_visible()


def test_a_refused_change_says_who_holds_it(open_page: Opened, lab: Workspace) -> None:
    run = Experiment(lab, "vision").start_logging(**OPTIONS)
    page = open_page(f"/run/{run.id}", status=409)
    before = page.request.get(page.url.replace("/run/", "/api/runs/")).text()
    page.route(  # It learns of nothing new.
        f"**/api/runs/{run.id}",
        lambda route: route.fulfill(body=before, content_type="application/json"),
    )
    button = page.get_by_role("button", name="Cancel")
    button.wait_for()
    run.complete()
    button.click()
    expect(page.get_by_role("alert").first).to_contain_text("completed by")


def test_sql_is_asked_stopped_drawn_and_saved(open_page: Opened, lab: Workspace) -> None:
    page = open_page("/sql")
    query = page.get_by_label("Query")
    query.fill("SELECT display_name, number, created_at FROM runs ORDER BY number LIMIT 2")
    query.press("Control+Enter")
    expect(page.get_by_text("2 rows in")).to_be_visible()
    expect(page.locator(".grid-row")).to_have_count(2)
    page.get_by_label("Values of the chart").select_option("number")
    expect(page.locator(".bar-of")).to_have_count(2)  # Names make bars.
    page.get_by_label("Axis of the chart").select_option("created_at")
    expect(page.locator(".uplot")).to_have_count(1)

    elsewhere = open_page("/" + page.url.split("/", 3)[3])  # The address asks, too.
    expect(elsewhere.locator(".uplot")).to_have_count(1)

    query.fill("SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000) c")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("alert")).to_contain_text("was stopped")
    query.fill("SELECT nothing")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("nothing")
    query.fill(f"SELECT '{HOSTILE}' AS said")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".grid-row")).to_contain_text("onerror")


def test_rows_of_a_query_are_printed(open_page: Opened) -> None:
    page = open_page("/sql?sql=SELECT+range+AS+n+FROM+range(1200)")
    expect(page.locator(".grid-row").first).to_be_visible()
    printed(page)
    expect(page.locator(".on-paper tbody tr")).to_have_count(1000)
    expect(page.get_by_text("The first 1,000 of 1,200 rows; 200 are left out.")).to_be_visible()

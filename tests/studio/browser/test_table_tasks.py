"""What people come for is done in the table of runs alone, in at most so many actions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from runlore import Experiment, Workspace
from tests.studio.browser.conftest import Opened
from tests.studio.browser.test_pages import rows_of

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

COLUMNS = "cols=status&cols=config.seed&cols=metrics.val_loss"
Action = Callable[[], object]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Two models with three seeds each; one run has failed, the newest one is running."""
    folder: Path = tmp_path_factory.mktemp("tasks") / "lab"
    options: dict[str, Any] = {"outputs": False, "snapshot_directory": None}
    with Workspace.create("lab", path=folder, show_output=False) as ws:
        vision = Experiment(ws, "vision")
        for number in range(6):
            with vision.start_logging(**options) as run:
                run.display_name = f"run-{number}"
                run.add_config({"seed": number // 2, "fixed": 1})
                run.tag("model", "resnet" if number % 2 else "vit")
                run.log("val_loss", [0.5, 0.4, 0.1, 0.2, 0.7, 0.3][number])
                if number == 4:
                    run.fail("out of memory")
        live = vision.start_logging(**options)
        live.display_name = "live"
        live.log_batch("val_loss", [0.9, 0.8])
        (folder / "log.txt").write_text("\n".join(f"epoch {number}" for number in range(90)))
        live.upload_file("logs/log.txt", folder / "log.txt")
        yield ws
        live.complete()


@pytest.fixture
def page(open_page: Opened) -> Page:
    page = open_page(f"/e/vision?{COLUMNS}")
    rows_of(page)
    return page


def details(page: Page, name: str) -> Action:
    return page.get_by_role("button", name=f"Details of {name}").click


def done(most: int, *actions: Action) -> None:
    assert len(actions) <= most
    for action in actions:
        action()


def test_the_best_run_of_a_model(page: Page) -> None:
    def of_resnet() -> None:
        page.locator("#filter").fill("tags.model = resnet")
        page.locator("#filter").press("Enter")

    done(2, of_resnet, page.get_by_role("button", name="m.val_loss").click)
    expect(page.get_by_text("3 runs")).to_be_visible()
    expect(page.locator(".grid-row .run-name").first).to_have_text("run-3")
    assert rows_of(page) == ["run-3", "run-5", "run-1"]


def test_why_a_run_has_failed(page: Page) -> None:
    done(1, details(page, "run-4"))
    expect(page.get_by_role("region", name="Why it failed")).to_contain_text("out of memory")


def test_the_live_curve_of_the_newest_run(page: Page) -> None:
    done(1, details(page, "live"))
    expect(page.get_by_role("figure", name="val_loss")).to_contain_text("2 points of 1 runs")


def test_only_the_differences_of_two_runs(page: Page) -> None:
    box = page.get_by_role("checkbox")
    done(
        3,
        lambda: box.and_(page.get_by_label("Select run-1")).click(),
        lambda: box.and_(page.get_by_label("Select run-2")).click(),
        page.get_by_role("link", name="Differences").click,
    )
    expect(page.get_by_role("row", name="config.seed")).to_be_visible()
    expect(page.get_by_text("config.fixed")).to_have_count(0)


def test_mean_and_deviation_over_seeds(page: Page) -> None:
    done(2, lambda: page.get_by_label("Group").select_option("tags.model"))
    expect(page.locator(".grid-row", has_text="resnet")).to_contain_text("0.3 ± 0.1")


def test_the_table_as_a_file(page: Page) -> None:
    with page.expect_download() as waiting:
        done(1, page.get_by_role("link", name="CSV").click)
    assert "run-3" in waiting.value.path().read_text()


def test_a_link_to_exactly_this(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    done(1, page.get_by_role("button", name="Link").click)
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_the_end_of_a_log_is_beside_the_table(page: Page) -> None:
    done(1, details(page, "live"))
    log = page.get_by_role("log")
    expect(log).to_contain_text("epoch 89")
    expect(log).to_be_in_viewport(ratio=1)


def test_a_run_is_stopped(page: Page, lab: Workspace) -> None:
    stopped = Experiment(lab, "vision").start_logging(outputs=False, snapshot_directory=None)
    stopped.display_name = "stopped"
    expect(page.locator(".grid-row .run-name").first).to_have_text("stopped")
    drawer = page.get_by_role("complementary")
    done(2, details(page, "stopped"), drawer.get_by_role("button", name="Cancel").click)
    expect(drawer.locator(".status")).to_contain_text(re.compile("CancelRequested|Canceled"))
    assert stopped.get_status() in ("CancelRequested", "Canceled")

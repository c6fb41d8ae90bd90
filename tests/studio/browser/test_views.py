"""Saving a view, and opening it by its name in another browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from runlore import Workspace
from tests.studio.browser.conftest import HOSTILE, Opened
from tests.studio.browser.test_pages import path_of, rows_of

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

NAME = f"vits/50% {HOSTILE}"


def test_a_view_is_saved_found_opened_elsewhere_and_deleted(
    open_page: Opened, lab: Workspace
) -> None:
    page = open_page("/e/vision?f=tags.model+%3D+vit&sort=config.lr&cols=config.lr")
    shown = rows_of(page)
    page.get_by_role("button", name="Save view").click()
    page.get_by_role("textbox", name="Name", exact=True).fill(NAME)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(".chip")).to_contain_text(NAME)
    (saved,) = lab.events(topics="view.saved")
    assert saved.data is not None
    assert saved.data["name"] == NAME

    page.get_by_role("link", name="Views").click()
    expect(page.get_by_role("heading", name="Views")).to_be_visible()
    link = page.get_by_role("link", name=NAME)
    address = link.get_attribute("title")
    assert address is not None
    assert address.startswith("/v/vits/50%25")

    elsewhere = open_page(address)  # Another browser: it has nothing but the address.
    assert rows_of(elsewhere) == shown
    assert path_of(elsewhere).startswith("/e/vision?f=tags.model")

    page.get_by_role("button", name=f"Delete {NAME}").click()
    expect(page.get_by_text("No saved view yet")).to_be_visible()
    assert elsewhere.request.get(elsewhere.url.split("/e/")[0] + address).status == 404


def test_a_view_of_another_log_is_not_found(open_page: Opened) -> None:
    page = open_page("/views")
    expect(page.get_by_text("No saved view yet")).to_be_visible()
    page.get_by_role("link", name="list of runs").click()
    expect(page.get_by_role("heading", name="All runs")).to_be_visible()


def test_a_name_that_is_missing_is_said(open_page: Opened) -> None:
    page = open_page("/v/nothing", status=404)
    expect(page.get_by_role("alert")).to_contain_text("No view is saved as nothing")

"""Somebody who acts on a page; each action counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from playwright.sync_api import Download, Locator, Page

SEEN_MS: Final = 60_000


class Person:
    """Counts a click, a choice, a key, and a text with Enter as one action each.

    Looking, waiting and moving the pointer are no actions. The address bar is not part of the
    page: copying from it is one.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.actions = 0

    def clicks(self, on: Locator) -> None:
        self.actions += 1
        on.click()

    def types(self, into: Locator, text: str) -> None:
        self.actions += 1
        into.fill(text)
        into.press("Enter")

    def chooses(self, in_: Locator, value: str) -> None:
        self.actions += 1
        in_.select_option(value)

    def clicks_at(self, x: float, y: float) -> None:
        """Clicks on an icon that has no name; `x` and `y` are pixels of the page."""
        self.actions += 1
        self.page.mouse.click(x, y)

    def presses(self, key: str) -> None:
        self.actions += 1
        self.page.keyboard.press(key)

    def writes(self, into: Locator, text: str) -> None:
        """Types into an editor that is no input, with Enter."""
        self.actions += 1
        into.click()
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def saves(self, by: Locator) -> Download:
        """Clicks on what saves a file."""
        with self.page.expect_download() as waiting:
            self.clicks(by)
        return waiting.value

    def copies_the_address(self) -> str:
        self.actions += 1
        return self.page.url

    def sees(self, shown: str | re.Pattern[str] | Locator) -> None:
        """Waits until a text or an element is in view. Raises if it does not come."""
        found = shown if isinstance(shown, Locator) else self.page.get_by_text(shown)
        found.locator("visible=true").first.wait_for(timeout=SEEN_MS)


@dataclass(frozen=True)
class Way:
    """How a tool does a task, or why it cannot; then `act` goes as far as one can."""

    act: Callable[[Person], None]
    not_possible: str = ""
    note: str = ""

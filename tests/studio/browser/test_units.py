"""The unit tests of the pages' modules, in the browser for which they are written.

Each file units/NAME.test.js tests NAME.js, and exports `tests`: functions that throw, by name.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Route

from tests.studio.browser.conftest import Opened

pytestmark = [pytest.mark.processes, pytest.mark.slow]

UNITS = Path(__file__).with_name("units")

_RUN = """async (address) => {
    const { tests } = await import(address);
    const failed = [];
    for (const [name, test] of Object.entries(tests)) {
        try {
            await test();
        } catch (error) {
            failed.push(`${name}: ${error.message}`);
        }
    }
    return [Object.keys(tests).length, failed];
}"""


@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.glob("*.test.js")))
def test_a_module_does_what_its_tests_say(name: str, open_page: Opened) -> None:
    page = open_page("/")
    script = page.locator("script[type=module]").get_attribute("src")
    assert script is not None
    folder = script.rpartition("/")[0]

    def give(route: Route) -> None:
        file = UNITS / re.sub(r".*/units/", "", route.request.url)
        route.fulfill(path=file, content_type="text/javascript")

    page.route(f"**{folder}/units/*", give)
    count, failed = page.evaluate(_RUN, f"{folder}/units/{name}")
    assert count > 0
    assert failed == []

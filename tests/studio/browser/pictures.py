"""The pictures of docs/studio.md: each page of the Studio.

    python -m tests.studio.browser.pictures

writes them to docs/images/studio/. The trainings are the same each time; the moment is not.
"""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright

from tests.browsers import ARGUMENTS, browser_path
from tests.studio.asking import served
from tests.studio.browser.demo import demo

IMAGES: Final = Path(__file__).parents[3] / "docs" / "images" / "studio"
_COLOURS: Final = 256  # A picture of a page has few: a palette halves its size.
_SIZE: Final[ViewportSize] = {"width": 1280, "height": 640}


class Shown(NamedTuple):
    """A page with what is to be seen on it before the picture is taken."""

    path: str
    awaited: str
    number: int = 1


_COMPARED: Final = "&".join(f"run=demo-{number:02}" for number in (0, 3, 6, 9))
_RUNS: Final = "/e/vision?f=tags.data+%3D+imagenet-100&sort=-metrics.val%2Facc.max"
_SQL: Final = (
    "/sql?sql=SELECT+display_name%2C+duration_s%2F60+AS+minutes+FROM+runs+"
    "WHERE+status+%3D+%27Completed%27+ORDER+BY+minutes&y=minutes"
)
PICTURES: Final = {
    "experiments": Shown("/", "main td a"),
    "runs": Shown(_RUNS, ".grid-row", 12),
    "run": Shown("/run/demo-04/metrics", ".uplot", 4),
    "compare": Shown(f"/compare?{_COMPARED}", ".uplot", 4),
    "targets": Shown("/targets", ".target .run-name", 4),
    "new": Shown("/new", "main select", 2),
    "sql": Shown(_SQL, ".bar-of", 10),
    "views": Shown("/views", "main td a"),
    "past": Shown("/e/vision?asof={middle}", ".past-on ~ main .grid-row", 3),
}
"""Each page by the name of its picture; `past` is a page of a moment that is over."""


def picture(browser: Browser, origin: str, shown: Shown, middle: int) -> bytes:
    """A PNG of a page; `middle` is the position of the past."""
    context = browser.new_context(
        viewport=_SIZE, reduced_motion="reduce", timezone_id="UTC", locale="en-US"
    )
    try:
        page = context.new_page()
        page.goto(origin + shown.path.format(middle=middle))
        expect(page.locator(shown.awaited).nth(shown.number - 1)).to_be_attached(timeout=60_000)
        expect(page.get_by_text("Loading…")).to_have_count(0)
        expect(page.get_by_role("alert")).to_have_count(0)
        page.evaluate("() => document.fonts.ready.then(() => undefined)")
        return _small(page.screenshot())
    finally:
        context.close()


def _small(png: bytes) -> bytes:
    found = BytesIO()
    image = Image.open(BytesIO(png)).convert("RGB")
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(found, "PNG", optimize=True)
    return found.getvalue()


def main() -> None:
    IMAGES.mkdir(exist_ok=True, parents=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        demo(Path(folder) / "demo") as ws,
        served(ws) as studio,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=browser_path(), args=[*ARGUMENTS])
        for name, shown in PICTURES.items():
            png = picture(browser, studio.origin, shown, ws.position // 2)
            (IMAGES / f"{name}.png").write_bytes(png)
        browser.close()


if __name__ == "__main__":
    main()

"""The pictures of the docs can be made at any time: each page shows what its picture is about."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser

from runlore import Workspace
from runlore.studio.addresses import PATHS
from tests.studio.asking import served
from tests.studio.browser.demo import demo
from tests.studio.browser.pictures import PICTURES, picture

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with demo(tmp_path_factory.mktemp("pictures") / "demo") as ws:
        yield ws


@pytest.fixture(scope="module")
def origin(lab: Workspace) -> Iterator[str]:
    with served(lab) as studio:
        yield studio.origin


def test_each_page_has_a_picture() -> None:
    assert set(PICTURES) == {*PATHS.values(), "past"}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_made(
    name: str, browser: Browser, lab: Workspace, origin: str, tmp_path: Path
) -> None:
    png = picture(browser, origin, PICTURES[name], lab.position // 2)

    assert Image.open(BytesIO(png)).size == (1280, 640)
    assert len(png) < 150_000
    (tmp_path / f"{name}.png").write_bytes(png)  # Kept, to be looked at.

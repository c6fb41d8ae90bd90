"""The Studio of an installed wheel: all of its files are there, and none comes from elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Response, expect

from runlore import Experiment, Workspace
from tests.workspaces import start

pytestmark = [pytest.mark.processes, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
SOURCES = ("src", "domain", "projections", "storage")


def installed(folder: Path) -> Path:
    """A folder with runlore as pip installs it from a wheel."""
    source = folder / "source"
    for name in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--quiet", f"--target={folder}/installed"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, source], check=True)
    return folder / "installed"


def test_an_installed_wheel_serves_all_that_its_pages_need(
    browser: Browser, tmp_path: Path
) -> None:
    packages = installed(tmp_path)
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        run = start(Experiment(ws, "vision"), display_name="first")
        run.log_batch("loss", [3.0, 2.0, 1.0])
        run.complete()
    program = (
        "import runlore; assert 'installed' in runlore.__file__, runlore.__file__; "
        "from runlore.cli import main; main()"
    )
    server = subprocess.Popen(
        [sys.executable, "-P", "-c", program, "studio", "-w", tmp_path / "lab", "--no-browser"],
        env={**os.environ, "PYTHONPATH": str(packages)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        answers: list[Response] = []
        page = browser.new_page()
        page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108  (it binds a mark)
        page.goto(f"{address.rstrip('/')}/e/vision")
        expect(page.get_by_role("link", name="first")).to_be_visible(timeout=60_000)
        page.goto(f"{address.rstrip('/')}/run/{run.id}/metrics")
        expect(page.locator(".chart .uplot")).to_have_count(1, timeout=60_000)
        fonts = page.evaluate("document.fonts.ready.then((fonts) => fonts.size)")
        page.close()
    finally:
        server.terminate()
        server.communicate(timeout=60)
    assert fonts == 2
    assert len(answers) > 10
    assert [answer.url for answer in answers if answer.status >= 400] == []
    assert [answer.url for answer in answers if not answer.url.startswith(address)] == []

"""The files of others that the Studio brings: unchanged, with licences, asked of nobody."""

from __future__ import annotations

import gzip
import re
from hashlib import sha256
from pathlib import Path

import pytest

from runlore.studio.addresses import PATHS
from runlore.studio.shell.modules import modules_of
from runlore.studio.shell.pages import STATIC

VENDOR = STATIC / "vendor"


def test_each_file_is_the_one_that_was_taken() -> None:
    lines = (VENDOR / "vendor.lock").read_text().splitlines()
    locked = dict(line.split("  ")[::-1] for line in lines if not line.startswith("#"))
    there = {
        str(path.relative_to(VENDOR)): sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "vendor.lock"
    }
    assert there == locked


def test_each_package_has_its_licence() -> None:
    packages = [path for path in VENDOR.iterdir() if path.is_dir()]
    assert packages
    for package in packages:
        assert (package / "LICENSE").read_text().strip(), package.name
        assert re.search(
            rf"^# {re.escape(package.name)}: \S", (VENDOR / "vendor.lock").read_text(), re.M
        )


def test_no_file_names_another_host() -> None:
    own = [path for path in STATIC.rglob("*") if path.suffix in (".js", ".css", ".svg")]
    assert len(own) > 10
    for path in own:
        if path.is_relative_to(VENDOR) and path.suffix == ".js":
            continue  # Namespaces and comments of theirs; the policy of pages forbids requests.
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.", text), path


@pytest.mark.parametrize("page", sorted(set(PATHS.values())))
def test_what_a_page_loads_first_is_small(page: str) -> None:
    """60 kB of scripts, compressed, before the first content."""
    scripts = [(STATIC / name).read_bytes() for name in modules_of(STATIC, page)]
    assert sum(len(gzip.compress(script)) for script in scripts) < 60_000


def test_each_module_imports_files_that_are_there() -> None:
    for path in STATIC.rglob("*.js"):
        if path.is_relative_to(VENDOR):
            continue
        for name in re.findall(r'from "(\.[^"]+)"', path.read_text()):
            assert (path.parent / name).resolve().is_file(), f"{path.name} imports {name}"


def test_the_wheel_would_hold_all_of_them() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert '"runlore.studio" = ["static/**"]' in project

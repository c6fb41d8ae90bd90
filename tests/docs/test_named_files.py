"""What CONTRIBUTING.md and docs/architecture.md name is there: files, folders, modules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.source import Checkout

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("CONTRIBUTING.md", "docs/architecture.md")

OF_A_WORKSPACE = {"segments/"}
PLANNED = {"integrations/"}
ENTRY_POINTS = {"runlore.commands", "runlore.recorders", "runlore.targets"}

_FILE = re.compile(r"(?<![\w<>/.])(?:[\w.-]+/)*[\w-]+\.(?:py|sql|toml|html)\b(?!\()")
_FOLDER = re.compile(r"(?:`|<b>)((?:[\w-]+/)+)(?:`|</b>)")
_MODULE = re.compile(r"`(runlore(?:\.\w+)+)`")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_files_that_a_document_names_exist(document: str) -> None:
    named = set(_FILE.findall((ROOT / document).read_text()))
    names_of_files = {path.name for path in sources()}

    assert named
    assert [
        file
        for file in sorted(named)
        if not is_there(file) and ("/" in file or file not in names_of_files)
    ] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_folders_that_a_document_names_exist(document: str) -> None:
    named = set(_FOLDER.findall((ROOT / document).read_text())) - OF_A_WORKSPACE - PLANNED

    assert named
    assert [folder for folder in sorted(named) if not is_there(folder)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_modules_that_a_document_names_exist(document: str) -> None:
    named = set(_MODULE.findall((ROOT / document).read_text())) - ENTRY_POINTS

    assert named
    assert sorted(named - set(Checkout(ROOT).modules)) == []


def test_what_is_planned_is_not_there_yet() -> None:
    assert [folder for folder in sorted(PLANNED) if is_there(folder)] == []


def is_there(path: str) -> bool:
    """Whether there is a file or folder of the path, below the root or inside the package."""
    return (ROOT / path).exists() or (ROOT / "src" / "runlore" / path).exists()


def sources() -> list[Path]:
    folders = ("domain", "storage", "projections", "src", "tests")
    return [path for folder in folders for path in (ROOT / folder).rglob("*.*")]

"""Every block of the README and the docs is run: Python with its output, shell by name."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fresh_python import without_settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "docs/audit.md",
    "docs/bundles.md",
    "docs/erasure.md",
    "docs/notebooks.md",
    "docs/projections.md",
    "docs/sql.md",
    "docs/time-travel.md",
)

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "--- end of block ---"


class Block(NamedTuple):
    language: str
    text: str


def blocks_of(document: str) -> list[Block]:
    return [Block(*found) for found in _FENCE.findall((ROOT / document).read_text())]


def expected_outputs(blocks: list[Block]) -> list[str]:
    """For each Python block, the text block that follows it, or nothing."""
    followers = [*blocks[1:], Block("", "")]
    return [
        follower.text if follower.language == "text" else ""
        for block, follower in zip(blocks, followers, strict=True)
        if block.language == "python"
    ]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_python_blocks_print_what_the_document_says(document: str, tmp_path: Path) -> None:
    blocks = blocks_of(document)
    code = [block.text for block in blocks if block.language == "python"]
    script = tmp_path / "blocks.py"
    script.write_text("".join(f"{text}\nprint({_MARK!r})\n" for text in code))
    environment = without_settings(os.environ)

    ran = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    printed = ran.stdout.split(f"{_MARK}\n")[:-1]
    check = doctest.OutputChecker().check_output
    for source, expected, got in zip(code, expected_outputs(blocks), printed, strict=True):
        assert check(expected, got, doctest.ELLIPSIS), f"{source}\nprinted:\n{got}"


@pytest.mark.parametrize("document", ["README.md", "docs/audit.md"])
def test_the_transcript_of_the_command_line_is_what_a_shell_shows(
    document: str, tmp_path: Path
) -> None:
    text = "".join(block.text for block in blocks_of(document) if block.language == "console")
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    python = shlex.quote(sys.executable)
    commands = f'python() {{ {python} "$@"; }}\nrunlore() {{ python -m runlore.cli "$@"; }}\n'
    environment = without_settings(os.environ)
    folder = tmp_path

    for command, expected in steps:
        if command.startswith("cd "):
            folder = folder / command.removeprefix("cd ")
            continue
        ran = subprocess.run(
            ["sh", "-c", commands + command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        check = doctest.OutputChecker().check_output
        assert check(expected, ran.stdout, doctest.ELLIPSIS), f"{command}\n{ran.stdout}"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_that_a_document_names_exist(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    shell = "".join(block.text for block in blocks_of(document) if block.language == "sh")
    named = re.findall(r"make ([\w-]+)", shell)

    assert named
    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_links_between_documents_lead_to_files() -> None:
    for document in (
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/audit.md",
        "docs/azure.md",
        "docs/cli.md",
        "docs/erasure.md",
        "docs/time-travel.md",
    ):
        folder = (ROOT / document).parent
        links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text())
        assert [link for link in links if not (folder / link).exists()] == [], document

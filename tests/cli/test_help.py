"""Every command explains itself, by an example, and stands in docs/cli.md."""

from __future__ import annotations

import gc
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from runlore.cli import main
from runlore.cli.app import root

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "cli.md").read_text()


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(root))
PERSONAL = ("completion", "trust")
"""Those that are about the user, not about a workspace."""
SERVING = ("studio",)
"""Those that have no data to put out."""


def help_of(name: str) -> str:
    context = click.Context(COMMANDS[name], info_name=f"runlore {name}")
    return COMMANDS[name].get_help(context)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_worked_example(name: str) -> None:
    example = help_of(name).partition("Example:")[2]

    assert f"runlore {name}" in example


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_use_options_that_exist(name: str) -> None:
    [example] = re.findall(r"Example:\n(.*?)\n\n", help_of(name) + "\n\n", re.DOTALL)
    known = {option for param in COMMANDS[name].params for option in param.opts}
    script = r" \w+\.py .*"  # What follows a script is the script's.

    used = re.findall(r"(?<= )--?[a-z][a-z-]*", re.sub(script, "", example))
    assert [option for option in used if option not in known] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_documented(name: str) -> None:
    assert f"`runlore {name}" in DOCUMENT or f"(runlore {name})" in DOCUMENT


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    silent = [
        param.name
        for param in COMMANDS[name].params
        if isinstance(param, click.Option) and not param.help
    ]

    assert silent == []


def test_the_document_names_only_commands_that_exist() -> None:
    named = [name.split() for name in re.findall(r"`runlore ([a-z]+(?: [a-z-]+){0,2})", DOCUMENT)]
    # A command, a group, or a command with its first argument.
    known = {tuple(name.split()[:words]) for name in COMMANDS for words in (1, 2, 3)}
    whole = {tuple(name.split()) for name in COMMANDS}

    assert [
        words
        for words in named
        if tuple(words) not in known and not {tuple(words[:1]), tuple(words[:2])} & whole
    ] == []


def test_nothing_deletes_runs() -> None:
    assert not {"run rm", "run delete"} & set(COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in PERSONAL])
def test_options_mean_the_same_everywhere(name: str) -> None:
    known = {option for param in COMMANDS[name].params for option in param.opts}

    shared = {"--query", "-o", "--output", "-t", "--output-metadata-file", "--debug", "--verbose"}
    place = {"--subscription-id", "-g", "--resource-group", "-w", "--workspace-name", "--path"}
    assert (place if name in SERVING else shared | place) <= known


def test_every_line_of_the_article_stands_in_the_document() -> None:
    article = (ROOT / "tests" / "e2e" / "manage-runs.md").read_text()
    blocks = re.findall(r"```azurecli-interactive\n(.*?)```", article, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("az ")]

    assert lines and [line for line in lines if f"| `{line}` |" not in DOCUMENT] == []


def test_the_console_script_is_this_one() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

    assert scripts == {"runlore": "runlore.cli:main"}
    assert callable(main)


def test_a_program_that_runs_a_command_keeps_its_collector_as_it_was() -> None:
    before = gc.get_threshold()
    main(["--version"])
    assert gc.get_threshold() == before

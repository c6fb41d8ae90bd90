"""Commands of other packages, found by their entry points, in real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.shell import in_new_process

MODULE = """
import click
print("imported")

@click.command
@click.argument("text")
def echo(text):
    "Repeats a text."
    click.echo(f"plug-in says {text}")

@click.group
def tools():
    "Has commands of its own."

tools.add_command(echo)
not_a_command = 5
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder of installed packages: one that works, one that is broken."""
    install(
        tmp_path,
        "lore-tools",
        {
            "echo": "lore_tools:echo",
            "tools": "lore_tools:tools",
            "sql": "lore_tools:echo",
            "number": "lore_tools:not_a_command",
        },
    )
    (tmp_path / "lore_tools.py").write_text(MODULE)
    install(tmp_path, "lore-broken", {"broken": "lore_broken:command"})
    (tmp_path / "lore_broken.py").write_text("raise RuntimeError('no luck')\n")
    install(tmp_path, "lore-missing", {"missing": "lore_missing:command"})
    return tmp_path


def install(folder: Path, name: str, commands: dict[str, str]) -> None:
    """What pip leaves of a package."""
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{command} = {value}" for command, value in commands.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[runlore.commands]", *lines]) + "\n")


def test_a_package_adds_a_command(packages: Path) -> None:
    ran = in_new_process("echo", "hello", cwd=packages, PYTHONPATH=str(packages))

    assert ran.out == "imported\nplug-in says hello\n"


def test_a_package_adds_a_group(packages: Path) -> None:
    ran = in_new_process("tools", "echo", "hello", cwd=packages, PYTHONPATH=str(packages))

    assert ran.out.endswith("plug-in says hello\n")


def test_help_lists_the_commands_of_packages_and_imports_none(packages: Path) -> None:
    ran = in_new_process("--help", cwd=packages, PYTHONPATH=str(packages))

    lines = [line.split(maxsplit=1) for line in ran.out.splitlines()]
    assert ["echo", "Comes with lore-tools."] in lines
    assert ["broken", "Comes with lore-broken."] in lines
    assert "imported" not in ran.out and ran.err == ""


def test_completion_knows_the_commands_of_packages_and_imports_none(packages: Path) -> None:
    ran = in_new_process(
        cwd=packages,
        PYTHONPATH=str(packages),
        _RUNLORE_COMPLETE="bash_complete",
        COMP_WORDS="runlore ",
        COMP_CWORD="1",
    )

    assert {"plain,echo", "plain,broken", "plain,run"} <= set(ran.out.splitlines())
    assert "imported" not in ran.out


def test_the_commands_of_runlore_win_over_equal_names(packages: Path) -> None:
    ran = in_new_process("sql", "--help", cwd=packages, PYTHONPATH=str(packages))

    assert "Usage: runlore sql [OPTIONS] SELECT" in ran.out
    assert "imported" not in ran.out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "'broken' of lore-broken cannot be loaded (RuntimeError: no luck)"),
        ("missing", "'missing' of lore-missing cannot be loaded (ModuleNotFoundError"),
        ("number", "'number' of lore-tools cannot be loaded (lore_tools:not_a_command is not"),
    ],
)
def test_a_broken_package_is_named(packages: Path, name: str, message: str) -> None:
    ran = in_new_process(name, cwd=packages, code=1, PYTHONPATH=str(packages))

    assert message in ran.err
    assert "uninstall" in ran.err


def test_a_broken_package_does_not_break_other_commands(packages: Path) -> None:
    ran = in_new_process("workspace", "list", cwd=packages, PYTHONPATH=str(packages))

    assert ran.data == []

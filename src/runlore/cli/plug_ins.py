"""Commands that other packages bring, by entry points in the group `runlore.commands`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from runlore.cli.lazy import LazyGroup

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS: Final = "runlore.commands"


class PlugInGroup(LazyGroup):
    """A group that installed packages can add to; its own commands win over equal names.

    A package's command is imported when it is called, not for `--help` or completion. An entry
    point's name is the command's, its value a `click.Command`.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = super().list_commands(ctx)
        return [*own, *sorted(_entries().keys() - set(own))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        entry = _entries().get(cmd_name)
        return None if entry is None else _Unloaded(entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, _Unloaded) else command, rest


class _Unloaded(click.Command):
    """Stands for a package's command where only its name is needed."""

    def __init__(self, entry: EntryPoint) -> None:
        super().__init__(entry.name, short_help=f"Comes with {_package(entry)}.")
        self._entry = entry

    def load(self) -> click.Command:
        """The command itself. Raises ClickException if the package is broken."""
        entry = self._entry
        try:
            command = entry.load()
        except Exception as error:  # The package's code may raise anything at its import.
            raise _broken(entry, f"{type(error).__name__}: {error}") from error
        if not isinstance(command, click.Command):
            raise _broken(entry, f"{entry.value} is not a click command")
        return command


def _entries() -> dict[str, EntryPoint]:
    """The entry points by name; of equal names the first on the import path."""
    from importlib.metadata import entry_points

    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        found.setdefault(entry.name, entry)
    return found


def _package(entry: EntryPoint) -> str:
    return entry.value if entry.dist is None else entry.dist.name


def _broken(entry: EntryPoint, reason: str) -> click.ClickException:
    return click.ClickException(
        f"the command {entry.name!r} of {_package(entry)} cannot be loaded ({reason}); update or "
        "uninstall that package. Other commands are not affected"
    )

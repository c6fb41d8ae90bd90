"""Groups that import a command only when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group of commands, each at a place: `module:attribute` below this package."""

    def __init__(self, *args: Any, places: Mapping[str, str], **kwargs: Any) -> None:
        # `Any`: the arguments are those of click's constructor.
        super().__init__(*args, **kwargs)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._places.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command = getattr(import_module(f"runlore.cli.{module}"), attribute)
        assert isinstance(command, click.Command), "a place holds a command"
        return command

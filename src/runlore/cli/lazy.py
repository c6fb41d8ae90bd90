"""Groups that import a command only when it is called, and know what `az ml` has beside them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click


class LazyGroup(click.Group):
    """A group of commands, each at a place: `module:attribute` below this package.

    `uncovered` are commands of `az ml` that runlore does not have, each with the advice.
    """

    def __init__(
        self,
        *args: Any,
        places: Mapping[str, str],
        uncovered: Mapping[str, str] = MappingProxyType({}),
        **kwargs: Any,
    ) -> None:
        # `Any`: the arguments are those of click's constructor.
        super().__init__(*args, **kwargs)
        self._places = places
        self._uncovered = uncovered

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the advice for what is not covered."""
        if args and args[0] in self._uncovered:
            raise click.UsageError(
                f"runlore does not cover {args[0]!r} of `az ml`; {self._uncovered[args[0]]}", ctx
            )
        return super().resolve_command(ctx, args)

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

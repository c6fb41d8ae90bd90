"""`runlore workspace`: workspaces, which are folders."""

from __future__ import annotations

from pathlib import Path

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.lazy import LazyGroup
from runlore.cli.options import output_options, reading_options, workspace_options
from runlore.cli.output import Output

workspace = LazyGroup(
    "workspace",
    help="Makes, shows and lists workspaces, which are folders.",
    places={
        "create": "workspace:create",
        "show": "workspace:show",
        "list": "workspace:list_",
    },
)


@click.command
@click.option("-l", "--location", help="Kept and shown; means nothing here.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the workspace lies; default: the folder of its name below --path.",
)
@click.option("--exist-ok", is_flag=True, help="Takes a workspace that is there already.")
@click.option("--erasable", is_flag=True, help="Keeps each run under a key of its own.")
@workspace_options
@output_options
def create(
    location: str | None,
    folder: Path | None,
    exist_ok: bool,
    erasable: bool,
    context: CommandContext,
    out: Output,
) -> None:
    """Makes a workspace.

    \b
    Example:
      runlore workspace create -w myworkspace
    """
    from runlore.workspace import Workspace

    name = context.workspace_name
    if name is None:
        raise click.UsageError("Missing option '-w' / '--workspace-name'.")
    with Workspace.create(
        name,
        path=folder or context.path / name,
        subscription_id=context.subscription_id,
        resource_group=context.resource_group,
        location=location,
        exist_ok=exist_ok,
        erasable=erasable,
    ) as made:
        out.put(made.get_details())


@click.command
@reading_options
@output_options
def show(context: CommandContext, out: Output) -> None:
    """Shows the workspace that the folder leads to, or the one of a name.

    \b
    Example:
      runlore workspace show
    """
    out.put(context.open().get_details())


@click.command("list")
@workspace_options
@output_options
def list_(context: CommandContext, out: Output) -> None:
    """Lists the workspaces in a folder (--path) and its subfolders.

    \b
    Example:
      runlore workspace list --path ~/projects -o table
    """
    from runlore.workspace import Workspace

    found = Workspace.list(
        context.subscription_id, resource_group=context.resource_group, path=context.path
    )
    out.put(
        [
            one.get_details()
            for name, those in found.items()
            if context.workspace_name in (None, name)
            for one in those
        ],
        columns=[
            ("name", lambda one: one["name"]),
            ("folder", lambda one: one["storageAccount"]),
            ("created", lambda one: one["creationTime"]),
        ],
    )

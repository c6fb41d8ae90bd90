"""`runlore workspace`: creating, showing and listing workspaces."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.lazy import LazyGroup
from runlore.cli.options import output_options, reading_options, workspace_options
from runlore.cli.output import Output
from runlore.entry.workspace_address import create_workspace, open_workspace
from runlore.storage import open_log
from runlore.storage.log_opener import Rights
from runlore.storage.open_log import locate
from runlore.workspace import Workspace

workspace = LazyGroup(
    "workspace",
    help="Creates, shows and lists workspaces.",
    places={
        "create": "workspace:create",
        "copy": "workspace:copy",
        "show": "workspace:show",
        "list": "workspace:list_",
        "grant": "workspace:grant",
    },
)


@click.command
@click.option("-l", "--location", help="A location to store and show; it has no effect.")
@click.option(
    "--folder",
    metavar="FOLDER",
    help="The workspace's folder or URI; default: the folder of its name below --path.",
)
@click.option("--exist-ok", is_flag=True, help="Accept a workspace that exists already.")
@click.option(
    "--erasable", is_flag=True, help="Encrypt each run with its own key, so that it can be erased."
)
@workspace_options
@output_options
def create(
    location: str | None,
    folder: str | None,
    exist_ok: bool,
    erasable: bool,
    context: CommandContext,
    out: Output,
) -> None:
    """Creates a workspace, and shows it.

    \b
    Example:
      runlore workspace create -w myworkspace
    """
    with create_workspace(
        context.path,
        context.required_workspace(),
        folder=folder,
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
    """Shows a workspace: where it is, what it holds, its size, what waits, and who writes.

    It is that of the project's folder, or the one given by -w.

    \b
    Example:
      runlore workspace show
    """
    found = context.open()
    out.put({"name": found.name, **found.overview(), **found.get_details()})


@click.command
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@workspace_options
@output_options
def copy(source: str, target: str, context: CommandContext, out: Output) -> None:
    """Moves a workspace to a new folder or URI, events unchanged; the original can only be read.

    FROM is its folder, URI or name. What was interrupted can be repeated.

    \b
    Example:
      runlore workspace copy ./lab 'postgresql://db.example/lab?schema=team'
    """
    if context.workspace is not None:
        raise click.UsageError("FROM names the workspace; leave out -w.")
    with open_workspace(
        context.path,
        source,
        resource_group=context.resource_group,
        subscription_id=context.subscription_id,
    ) as workspace:
        out.put(asdict(workspace.copy_to(target)))


@click.command("list")
@workspace_options
@output_options
def list_(context: CommandContext, out: Output) -> None:
    """Lists the workspaces in a folder (--path) and in its subfolders.

    \b
    Example:
      runlore workspace list --path ~/projects -o table
    """
    found = Workspace.list(
        context.subscription_id, resource_group=context.resource_group, path=context.path
    )
    out.put(
        [
            workspace.get_details()
            for name, workspaces in found.items()
            if context.workspace in (None, name)
            for workspace in workspaces
        ],
        columns=[
            ("name", lambda details: details["name"]),
            ("folder", lambda details: details["storageAccount"]),
            ("created", lambda details: details["creationTime"]),
        ],
    )


@click.command
@click.option("--role", required=True, metavar="ROLE", help="A role of the server.")
@click.option(
    "--as",
    "rights",
    required=True,
    type=click.Choice([*map(str, Rights)]),
    help="What it may do: a writer appends, readers and auditors read, nobody does neither.",
)
@workspace_options
@output_options
def grant(role: str, rights: str, context: CommandContext, out: Output) -> None:
    """Gives a role of the server the rights of a writer, or of one who reads.

    For workspaces in PostgreSQL, by the owner of the schema. The role loses all other rights there.

    \b
    Example:
      runlore workspace grant -w 'postgresql://db/lab?schema=team' --role alice --as writer
    """
    place = locate(context.find_address())
    open_log.grant(place, role, Rights(rights))
    out.put({"workspace": place.uri, "role": role, "as": rights, "may": _MAY[Rights(rights)]})


_MAY: Final = {
    Rights.WRITER: "read everything, and append under its own name; change nothing",
    Rights.READER: "read and verify everything; write nothing",
    Rights.AUDITOR: "read and verify everything; write nothing",
    Rights.NOBODY: "nothing",
}

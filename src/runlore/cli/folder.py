"""`runlore folder` and `runlore trust`: where a project's workspace is, and whose may be used."""

from __future__ import annotations

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.lazy import LazyGroup
from runlore.cli.options import experiment_option, output_options, workspace_options
from runlore.cli.output import Output
from runlore.entry.attached_folder import attach as attach_folder
from runlore.storage import ownership

folder = LazyGroup(
    "folder",
    help="Attaches a project's folder to a workspace.",
    places={"attach": "folder:attach"},
)


@click.command
@experiment_option
@workspace_options
@output_options
def attach(experiment_name: str | None, context: CommandContext, out: Output) -> None:
    """Finds or creates a workspace, and writes .azureml/ with a config and sample runconfigs.

    A new workspace becomes a subfolder of the project's folder (--path), unless -w is a folder or
    a URI. The experiment, by default named after the project's folder, is the one that later
    commands use without -e.

    \b
    Example:
      runlore folder attach -w myworkspace -g myresourcegroup -e myexperiment
    """
    out.put(
        attach_folder(
            context.path,
            context.required_workspace(),
            experiment_name=experiment_name,
            resource_group=context.resource_group,
            subscription_id=context.subscription_id,
        )
    )


@click.command
@click.argument("folders", metavar="[FOLDER]...", nargs=-1)
@click.option("--list", "lists", is_flag=True, help="Only show the trusted folders.")
@click.option("--remove", "removes", is_flag=True, help="Trust the folders no more.")
@output_options
def trust(folders: tuple[str, ...], lists: bool, removes: bool, out: Output) -> None:
    """Trusts folders of other users, and places that a log may name for its files.

    Without -w, a workspace is searched in the working folder and above. What is found there counts
    only if it belongs to you or to root, or lies in a trusted folder. The files of runs are
    fetched from a place that the log names, such as s3://bucket/prefix, only if it is trusted. The
    list is kept in ~/.config/runlore/config.json, and is yours alone.

    \b
    Example:
      runlore trust /data/team
      runlore trust s3://team-bucket/lab
      runlore trust --list
      runlore trust --remove /data/team
    """
    if lists == bool(folders) or (lists and removes):
        raise click.UsageError("Give the folders to trust, or --list.")
    if lists:
        trusted = ownership.trusted_folders()
    elif removes:
        trusted = ownership.distrust(folders)
    else:
        trusted = ownership.trust(folders)
    out.put(
        [{"folder": folder} for folder in trusted],
        columns=[("folder", lambda row: row["folder"])],
    )

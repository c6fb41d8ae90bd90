"""`runlore folder`: attaching a project's folder to a workspace."""

from __future__ import annotations

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.lazy import LazyGroup
from runlore.cli.options import experiment_option, output_options, workspace_options
from runlore.cli.output import Output
from runlore.entry.attached_folder import attach as attach_folder

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

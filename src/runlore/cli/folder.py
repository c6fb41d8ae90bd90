"""`runlore folder`: a project's folder and the workspace it is attached to."""

from __future__ import annotations

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.lazy import LazyGroup
from runlore.cli.options import experiment_option, output_options, workspace_options
from runlore.cli.output import Output

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
    """Finds or makes a workspace, and writes .azureml/ with a config and sample runconfigs.

    A new workspace is the folder of its name below the project's (--path). The experiment, by
    default named after the folder, is what later commands take without -e.

    \b
    Example:
      runlore folder attach -w myworkspace -g myresourcegroup -e myexperiment
    """
    from runlore.entry.attached_folder import attach as attach_folder

    if context.workspace_name is None:
        raise click.UsageError("Missing option '-w' / '--workspace-name'.")
    out.put(
        attach_folder(
            context.path,
            context.workspace_name,
            experiment_name=experiment_name,
            resource_group=context.resource_group,
            subscription_id=context.subscription_id,
        )
    )

"""`runlore experiment`: the names under which runs are gathered."""

from __future__ import annotations

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.lazy import LazyGroup
from runlore.cli.options import (
    experiment_option,
    output_options,
    reading_options,
    trailing_query,
    workspace_options,
)
from runlore.cli.output import Columns, Output

experiment = LazyGroup(
    "experiment",
    help="Lists, archives and reactivates experiments. Nothing is ever deleted.",
    places={
        "list": "experiment:list_",
        "archive": "experiment:archive",
        "reactivate": "experiment:reactivate",
    },
)

_COLUMNS: Columns = (
    ("name", lambda one: one["name"]),
    ("created", lambda one: one["created"]),
    ("archived", lambda one: one["archived"]),
    ("tags", lambda one: one["tags"]),
)


@click.command("list")
@click.option("--archived", is_flag=True, help="The archived experiments instead.")
@click.option("--all", "show_all", is_flag=True, help="Archived experiments, too.")
@trailing_query
@reading_options
@output_options
def list_(archived: bool, show_all: bool, context: CommandContext, out: Output) -> None:
    """Lists the workspace's experiments in order of creation.

    \b
    Example:
      runlore experiment list --query "[].name" -o tsv
    """
    from runlore.experiment import Experiment, ViewType

    view = ViewType.All if show_all else ViewType.ActiveOnly
    view = ViewType.ArchivedOnly if archived else view
    found = Experiment.list(context.open(), view_type=view)
    out.put([one.get_record() for one in found], _COLUMNS)


@click.command
@experiment_option
@workspace_options
@output_options
def archive(experiment_name: str | None, context: CommandContext, out: Output) -> None:
    """Hides an experiment from lists; its runs stay, and its name is free.

    \b
    Example:
      runlore experiment archive -e old-experiment
    """
    from runlore.experiment import Experiment

    found = Experiment.find(context.open(), context.experiment_name(experiment_name))
    found.archive()
    out.put(found.get_record())


@click.command
@experiment_option
@workspace_options
@output_options
def reactivate(experiment_name: str | None, context: CommandContext, out: Output) -> None:
    """Brings the experiment of this name back that was archived last.

    \b
    Example:
      runlore experiment reactivate -e old-experiment
    """
    from runlore.experiment import Experiment

    found = Experiment.find(context.open(), context.experiment_name(experiment_name), archived=True)
    found.reactivate()
    out.put(found.get_record())

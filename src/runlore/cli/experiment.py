"""`runlore experiment`: the names that group runs."""

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
from runlore.experiment import Experiment, ViewType

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
    ("name", lambda record: record["name"]),
    ("created", lambda record: record["created"]),
    ("archived", lambda record: record["archived"]),
    ("tags", lambda record: record["tags"]),
)


@click.command("list")
@click.option("--archived", is_flag=True, help="Archived experiments only.")
@click.option("--all", "show_all", is_flag=True, help="Archived experiments as well.")
@trailing_query
@reading_options
@output_options
def list_(archived: bool, show_all: bool, context: CommandContext, out: Output) -> None:
    """Lists the workspace's experiments in order of creation.

    \b
    Example:
      runlore experiment list --query "[].name" -o tsv
    """
    view = ViewType.All if show_all else ViewType.ActiveOnly
    view = ViewType.ArchivedOnly if archived else view
    found = Experiment.list(context.open(), view_type=view)
    out.put([experiment.get_record() for experiment in found], _COLUMNS)


@click.command
@experiment_option
@workspace_options
@output_options
def archive(experiment_name: str | None, context: CommandContext, out: Output) -> None:
    """Hides an experiment from lists and frees its name; its runs stay.

    \b
    Example:
      runlore experiment archive -e old-experiment
    """
    found = Experiment.find(context.open(), context.experiment_name(experiment_name))
    found.archive()
    out.put(found.get_record())


@click.command
@experiment_option
@workspace_options
@output_options
def reactivate(experiment_name: str | None, context: CommandContext, out: Output) -> None:
    """Restores the experiment of this name that was archived last.

    \b
    Example:
      runlore experiment reactivate -e old-experiment
    """
    found = Experiment.find(context.open(), context.experiment_name(experiment_name), archived=True)
    found.reactivate()
    out.put(found.get_record())

"""`runlore run update|tag|untag`: the tags of a run."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import (
    experiment_option,
    output_options,
    reason_option,
    run_option,
    workspace_options,
)
from runlore.cli.output import Output
from runlore.cli.run.columns import RUN_FIELDS
from runlore.cli.run.key_values import pairs


@click.command
@run_option
@click.option(
    "--add-tag",
    multiple=True,
    required=True,
    metavar="KEY[=VALUE]",
    help="A tag to set or replace; may be given more than once.",
)
@reason_option
@experiment_option
@workspace_options
@output_options
def update(
    run_id: str,
    add_tag: Sequence[str],
    reason: str | None,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Sets tags of a run in one commit, and shows the run's record.

    \b
    Example:
      runlore run update -r myexperiment_1700000000_0a1b2c3d --add-tag quality='fantastic run'
    """
    _set_tags(run_id, add_tag, "--add-tag", reason, context, out)


@click.command
@run_option
@click.argument("tags", nargs=-1, required=True, metavar="KEY[=VALUE]...")
@reason_option
@experiment_option
@workspace_options
@output_options
def tag(
    run_id: str,
    tags: Sequence[str],
    reason: str | None,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Sets tags of a run in one commit, and shows the run's record.

    \b
    Example:
      runlore run tag -r myexperiment_1700000000_0a1b2c3d quality=good "worth another look"
    """
    _set_tags(run_id, tags, "a tag", reason, context, out)


@click.command
@run_option
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@reason_option
@experiment_option
@workspace_options
@output_options
def untag(
    run_id: str,
    keys: Sequence[str],
    reason: str | None,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Removes tags of a run by key, and shows the run's record. The history keeps them.

    \b
    Example:
      runlore run untag -r myexperiment_1700000000_0a1b2c3d "worth another look"
    """
    run = context.find_run(run_id)
    run.remove_tags(keys, reason=reason)
    out.put(run.get_record(), RUN_FIELDS)


def _set_tags(
    run_id: str,
    given: Sequence[str],
    option: str,
    reason: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    tags = pairs(given, option)
    run = context.find_run(run_id)
    run.set_tags(tags, reason=reason)
    out.put(run.get_record(), RUN_FIELDS)

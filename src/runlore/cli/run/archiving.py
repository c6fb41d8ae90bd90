"""`runlore run archive|reactivate`: hiding a run from lists."""

from __future__ import annotations

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


@click.command
@run_option
@reason_option
@experiment_option
@workspace_options
@output_options
def archive(
    run_id: str,
    reason: str | None,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Hides a run from lists, and shows its record. The log keeps the run.

    \b
    Example:
      runlore run archive -r myexperiment_1700000000_0a1b2c3d --reason "wrong dataset"
    """
    run = context.find_run(run_id)
    run.archive(reason=reason)
    out.put(run.get_record(), RUN_FIELDS)


@click.command
@run_option
@reason_option
@experiment_option
@workspace_options
@output_options
def reactivate(
    run_id: str,
    reason: str | None,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Shows an archived run in lists again, and shows its record.

    \b
    Example:
      runlore run reactivate -r myexperiment_1700000000_0a1b2c3d
    """
    run = context.find_run(run_id)
    run.reactivate(reason=reason)
    out.put(run.get_record(), RUN_FIELDS)

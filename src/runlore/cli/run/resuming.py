"""`runlore run resume`: a run that has ended goes on."""

from __future__ import annotations

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import experiment_option, output_options, run_option, workspace_options
from runlore.cli.output import Output
from runlore.cli.run.columns import RUN_FIELDS


@click.command
@run_option
@click.option("--reason", required=True, help="Why it goes on; its history shows it.")
@experiment_option
@workspace_options
@output_options
def resume(
    run_id: str,
    reason: str,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Lets a run that has ended go on, and shows its record: it is Running.

    It stays so until a process ends it, such as a script with
    `runlore.init(run_id=..., resume="must")`. A submitted run cannot go on: resubmit it.

    \b
    Example:
      runlore run resume -r myexperiment_1700000000_0a1b2c3d --reason "20 more epochs"
    """
    run = context.find_run(run_id)
    run.resume(reason=reason, end_at_exit=False)
    out.put(run.get_record(), RUN_FIELDS)

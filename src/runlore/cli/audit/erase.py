"""`runlore audit erase`: destroy the data of a run."""

from __future__ import annotations

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import output_options, run_option, workspace_options
from runlore.cli.output import Output
from runlore.cli.run.columns import RUN_FIELDS


@click.command
@run_option
@click.option("--reason", required=True, help="Why; the reason stays in the log.")
@click.option("--recursive", is_flag=True, help="Erase all its descendants as well.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    default=10.0,
    show_default=True,
    help="How many seconds to wait for processes that have copies open.",
)
@workspace_options
@output_options
def erase(
    run_id: str,
    reason: str,
    recursive: bool,
    yes: bool,
    timeout_s: float,
    context: CommandContext,
    out: Output,
) -> None:
    """Destroys the data of a run that has ended, and shows what is left of its record.

    Only in a workspace that was created with --erasable. It cannot be undone.

    \b
    Example:
      runlore audit erase -r myexperiment_1700000000_0a1b2c3d --reason "consent withdrawn" --yes
    """
    workspace = context.open()
    run = context.find_run(run_id)
    if not yes:
        click.confirm(f"Erase run {run.id} for ever?", abort=True, err=True)
    workspace.erase_run(run.id, reason=reason, recursive=recursive, timeout_s=timeout_s)
    out.put(run.get_record(), RUN_FIELDS)

"""`runlore run correct-property`: correcting a property."""

from __future__ import annotations

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import (
    experiment_option,
    output_options,
    run_option,
    workspace_options,
)
from runlore.cli.output import Output
from runlore.cli.run.columns import RUN_FIELDS
from runlore.cli.run.key_values import pairs


@click.command("correct-property")
@run_option
@click.argument("given", metavar="KEY=VALUE")
@click.option("--reason", required=True, help="Why the present value is wrong.")
@experiment_option
@workspace_options
@output_options
def correct_property(
    run_id: str,
    given: str,
    reason: str,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Corrects a property of a run, and shows the run's record. The history keeps both values.

    \b
    Example:
      runlore run correct-property -r myexperiment_1700000000_0a1b2c3d auc=0.71 --reason "a typo"
    """
    ((key, value),) = pairs([given], "a property").items()
    run = context.find_run(run_id)
    run.correct_property(key, value, reason=reason)
    out.put(run.get_record(), RUN_FIELDS)

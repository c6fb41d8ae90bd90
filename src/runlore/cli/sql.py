"""`runlore sql`: one SELECT over the workspace's views."""

from __future__ import annotations

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import output_options, reading_options
from runlore.cli.output import Output


@click.command
@click.argument("select")
@reading_options
@output_options
def sql(select: str, context: CommandContext, out: Output) -> None:
    """Runs one SELECT over the views: runs, tags, metrics and more; see docs/sql.md.

    \b
    Example:
      runlore sql "SELECT experiment, count(*) AS runs FROM runs GROUP BY ALL" -o csv
    """
    result = context.open().sql(select)
    columns = result.columns
    out.put([dict(zip(columns, row, strict=True)) for row in result], heads=columns)

"""`runlore sql`: one SELECT over the workspace's views."""

from __future__ import annotations

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import output_options, reading_options
from runlore.cli.output import Output
from runlore.projections.query_limits import QueryLimits
from runlore.projections.sql_process.watched import Unwatched, watched


@click.command
@click.argument("select")
@click.option("--timeout", type=float, metavar="SECONDS", help="Stop the query after this time.")
@click.option(
    "--memory-limit",
    metavar="SIZE",
    default="1GB",
    show_default=True,
    help="The memory for the query, its result and its output.",
)
@reading_options
@output_options
def sql(
    select: str, timeout: float | None, memory_limit: str, context: CommandContext, out: Output
) -> None:
    """Runs one SELECT over the views: runs, tags, metrics and more; see docs/sql.md.

    \b
    Example:
      runlore sql "SELECT experiment, count(*) AS runs FROM runs GROUP BY ALL" -o csv
    """
    limits = QueryLimits.of(timeout, memory_limit, of_process=True)
    # From here on this is a child of the process that was started, which only watches it.
    owns_process = context.diagnostics.owns_process
    run = watched(select, limits) if owns_process else Unwatched(select, limits)
    workspace = context.open()
    of_duckdb = limits.of_duckdb_nbytes
    workspace.sql("SELECT 1", memory_limit=of_duckdb)  # Brings the tables up to date, unlimited.
    with run.running():
        result = workspace.sql(select, timeout_s=timeout, memory_limit=of_duckdb)
    columns = result.columns
    out.put([dict(zip(columns, row, strict=True)) for row in result], heads=columns)

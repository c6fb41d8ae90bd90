"""`runlore run watch`: a live table of runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import experiment_option, output_options, workspace_options
from runlore.cli.output import Columns, Output
from runlore.cli.run.columns import run_columns
from runlore.cli.run.listing import DEFAULT_LAST, filter_options, matching_records
from runlore.domain.status import TERMINAL
from runlore.projections.filters import RunFilter

Records = list[dict[str, Any]]


@click.command
@filter_options
@click.option(
    "--last", type=click.IntRange(min=1), default=DEFAULT_LAST, help="At most this many runs."
)
@click.option("--once", is_flag=True, help="Show the table once, without waiting.")
@click.option(
    "--interval", type=click.FloatRange(min=0.05), default=1.0, help="Seconds between updates."
)
@experiment_option
@workspace_options
@output_options
def watch(
    which: RunFilter,
    sort: str | None,
    last: int,
    once: bool,
    interval: float,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Shows runs in a live table until all have ended, or until Ctrl-C.

    If stdout is not a terminal, or -o asks for another form, only the final state is printed.

    \b
    Example:
      runlore run watch -e myexperiment --tag sweep=7
    """

    def look() -> Records:
        return matching_records(context, experiment_name, which, sort=sort, last=last)

    records = look()
    if not once:
        if out.is_table and out.is_terminal:
            _live(look, records, interval, run_columns(context.open(), records))
            return
        records = _wait(look, records, interval)
    out.put(records, run_columns(context.open(), records) if out.is_table else None)


def _ended(records: Records) -> bool:
    return all(record["status"] in TERMINAL for record in records)


def _wait(look: Callable[[], Records], records: Records, interval: float) -> Records:
    while not _ended(records):
        time.sleep(interval)
        records = look()
    return records


def _live(look: Callable[[], Records], records: Records, interval: float, columns: Columns) -> None:
    from rich.live import Live

    from runlore.cli.output.tables import console, table_of

    with Live(table_of(records, columns), console=console(), auto_refresh=False) as live:
        while not _ended(records):
            time.sleep(interval)
            records = look()
            live.update(table_of(records, columns), refresh=True)

"""`runlore run watch`: runs as they go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import experiment_option, output_options, workspace_options
from runlore.cli.output import Output
from runlore.cli.run.columns import run_columns
from runlore.cli.run.listing import DEFAULT_LAST, filter_options, matching_records
from runlore.domain.status import TERMINAL
from runlore.projections.filters import RunFilter
from runlore.run.run import handle_of

if TYPE_CHECKING:
    from runlore.cli.run.live_table import Watched

Record = dict[str, Any]
Records = list[Record]

_METRICS_OF_ONE: Final = 12
_METRICS_OF_MANY: Final = 4


@click.command
@filter_options
@click.option("-r", "--run", "run_id", help="This run only: its id, or a beginning of it.")
@click.option(
    "--last", type=click.IntRange(min=1), default=DEFAULT_LAST, help="At most this many runs."
)
@click.option(
    "--total",
    type=click.IntRange(min=1),
    help="How many steps a run takes, if its config does not say so.",
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
    run_id: str | None,
    last: int,
    total: int | None,
    once: bool,
    interval: float,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Shows runs with step, rate, metrics and their curves until all have ended, or until Ctrl-C.

    Progress is shown where the config has a key such as total_steps, max_steps or epochs, or with
    --total. If stdout is not a terminal, or -o asks for another form, only the final state is
    printed.

    \b
    Example:
      runlore run watch -e myexperiment --tag sweep=7
      runlore run watch -r myexperiment_1700000000_0a1b2c3d --total 10000
    """
    if run_id is not None:
        chosen = (context.find_run(run_id).id,)
        which = replace(which, run_ids=chosen, include_children=True, include_archived=True)

    def look() -> Records:
        return matching_records(context, experiment_name, which, sort=sort, last=last)

    records = look()
    if out.is_table:
        metrics = _METRICS_OF_ONE if len(records) == 1 else _METRICS_OF_MANY
        _Table(context, total, metrics).show(look, records, None if once else interval, out)
        return
    if not once:
        while not _ended(records):
            time.sleep(interval)
            records = look()
    out.put(records)


def _ended(records: Records) -> bool:
    return all(record["status"] in TERMINAL for record in records)


class _Table:
    """The table of runs; those that have ended are read once."""

    def __init__(self, context: CommandContext, total: int | None, metrics: int) -> None:
        self._context = context
        self._total = total
        self._metrics = metrics
        self._over: dict[str, Watched] = {}

    def show(
        self, look: Callable[[], Records], records: Records, interval: float | None, out: Output
    ) -> None:
        """Show the records, and with an interval, go on until all runs have ended."""
        from rich.live import Live

        from runlore.cli.output.tables import console, rendered
        from runlore.cli.run.live_table import runs_shown

        if interval is not None and out.is_terminal:
            screen = console()
            with Live(console=screen, auto_refresh=False) as live:
                while True:
                    shown = self._rows(records)
                    live.update(runs_shown(shown, screen.width) if shown else "", refresh=True)
                    if _ended(records):
                        out.keep(records)
                        return
                    time.sleep(interval)
                    records = look()
        while interval is not None and not _ended(records):
            time.sleep(interval)
            records = look()
        rows = self._rows(records)
        width = console().width if out.is_terminal else _PIPE_WIDTH
        out.put_drawn(records, rendered(runs_shown(rows, width)) if rows else "")

    def _rows(self, records: Records) -> Sequence[Watched]:
        columns = run_columns(self._context.open(), records)
        short_id = next(show for head, show in columns if head == "run_id")
        return [self._row(record, str(short_id(record))) for record in records]

    def _row(self, record: Record, short_id: str) -> Watched:
        from runlore.cli.run.live_table import Watched, progress_of
        from runlore.notebook.metric_facts import metric_facts

        run_id = record["run_id"]
        if run_id in self._over:
            return self._over[run_id]
        run = handle_of(self._context.open().get_run(run_id))
        metrics, more = metric_facts(run, self._metrics)
        config = {key: held.value for key, held in run.state.config.items()}
        name = record["display_name"]
        row = Watched(
            record,
            short_id if name == run_id else name,
            _seconds(record),
            metrics,
            more,
            *progress_of(config, metrics, self._total),
        )
        if not row.is_active:
            self._over[run_id] = row
        return row


_PIPE_WIDTH: Final = 80


def _seconds(record: Record) -> float | None:
    """The time from start to end, or to now; None for a run that has not started."""
    if record["start_time_utc"] is None:
        return None
    started = datetime.fromisoformat(record["start_time_utc"])
    ended = record["end_time_utc"]
    end = datetime.now(started.tzinfo) if ended is None else datetime.fromisoformat(ended)
    return max(0.0, (end - started).total_seconds())

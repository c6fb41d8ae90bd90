"""`runlore run show|metrics|history|compare`: single runs in detail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import (
    experiment_option,
    output_options,
    reading_options,
    run_option,
)
from runlore.cli.output import Columns, Output
from runlore.cli.run.columns import RUN_FIELDS, short_number

if TYPE_CHECKING:
    from runlore.run import Run
    from runlore.run.comparison import Row


_ID_CHARS: Final = 8


@click.command
@run_option
@experiment_option
@reading_options
@output_options
def show(run_id: str, experiment_name: str | None, context: CommandContext, out: Output) -> None:
    """Shows the record of a run. Ids are unique in a workspace, so -e is not needed.

    \b
    Example:
      runlore run show -r myexperiment_1700000000_0a1b2c3d --query status -o tsv
    """
    run = context.find_run(run_id)
    seen = {"alerts": run.get_alerts(), "environment": dict(run.environment)}
    out.put({**run.get_record(), **seen}, RUN_FIELDS)


@click.command
@run_option
@click.option(
    "--values", "all_values", is_flag=True, help="Show every value instead of a line per metric."
)
@click.option(
    "--csv", "as_csv", is_flag=True, help="Show every value as CSV, like --values -o csv."
)
@click.option(
    "--system", is_flag=True, help="Show the system metrics, which are left out otherwise."
)
@experiment_option
@reading_options
@output_options
def metrics(
    run_id: str,
    all_values: bool,
    as_csv: bool,
    system: bool,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Shows the count, last, min, max and mean of a run's metrics. CSV holds every value.

    \b
    Example:
      runlore run metrics -r myexperiment_1700000000_0a1b2c3d
      runlore run metrics -r myexperiment_1700000000_0a1b2c3d --csv > metrics.csv
      runlore run metrics -r myexperiment_1700000000_0a1b2c3d --system
    """
    from runlore.run.metric_rows import VALUE_COLUMNS, summary_rows, value_rows

    found = context.find_run(run_id)
    if as_csv:
        out = out.as_form("csv")
    if all_values or out.form == "csv":
        out.put(value_rows(found, sampled=system), heads=VALUE_COLUMNS)
    else:
        out.put(summary_rows(found, sampled=system), _SUMMARY)


_SUMMARY: Columns = (
    ("metric", lambda row: row["metric"] + (f".{row['column']}" if row["column"] else "")),
    ("count", lambda row: row["count"]),
    ("last", lambda row: short_number(row["last"])),
    ("min", lambda row: short_number(row["min"])),
    ("max", lambda row: short_number(row["max"])),
    ("mean", lambda row: short_number(row["mean"])),
    ("last step", lambda row: row["last_step"]),
)


@click.command
@run_option
@experiment_option
@reading_options
@output_options
def history(run_id: str, experiment_name: str | None, context: CommandContext, out: Output) -> None:
    """Shows every change of a run: when, by whom, the old and the new value.

    \b
    Example:
      runlore run history -r myexperiment_1700000000_0a1b2c3d -o table
    """
    changes = context.find_run(run_id).history()
    out.put(
        [{**change._asdict(), "time": change.time.isoformat()} for change in changes],
        _HISTORY,
    )


_HISTORY: Columns = (
    ("time", lambda change: change["time"][:19].replace("T", " ")),
    ("who", lambda change: change["who"]),
    ("what", lambda change: change["what"]),
    ("key", lambda change: change["key"]),
    ("old", lambda change: change["old"]),
    ("new", lambda change: change["new"]),
    ("reason", lambda change: change["reason"]),
)


@click.command
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN RUN ...")
@click.option("--differing", is_flag=True, help="Only rows in which the runs differ.")
@experiment_option
@reading_options
@output_options
def compare(
    run_ids: Sequence[str],
    differing: bool,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Shows runs side by side: tags, properties, script parameters, last metrics.

    \b
    Example:
      runlore run compare first-run second-run --differing -o table
    """
    from runlore.run.comparison import compare_runs

    workspace = context.open()
    runs = [workspace.find_run(run_id) for run_id in run_ids]
    rows = [row for row in compare_runs(runs) if not (differing and row["equal"])]
    out.put(rows, _compared(runs) if out.is_table else None)


def _compared(runs: Sequence[Run]) -> Columns:
    """A column per run, under its display name; under its id where several have the same name."""
    ids = {run.id: run.id[:_ID_CHARS] for run in runs}
    names = {
        run.id: ids[run.id] if run.display_name == run.id else run.display_name for run in runs
    }
    shown = list(names.values())
    heads = {run_id: name if shown.count(name) == 1 else run_id for run_id, name in names.items()}
    return (
        ("kind", lambda row: row["kind"]),
        ("name", lambda row: row["name"]),
        ("", lambda row: "" if row["equal"] else "≠"),
        *((head, _value_of(run_id)) for run_id, head in heads.items()),
    )


def _value_of(run_id: str) -> Callable[[Row], object]:
    return lambda row: short_number(row[run_id])

"""`runlore run list`, and the filters of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import (
    decorated,
    experiment_option,
    output_options,
    reading_options,
    trailing_query,
)
from runlore.cli.output import Output
from runlore.cli.run.columns import run_columns
from runlore.cli.run.key_values import filter_of
from runlore.domain.status import Status
from runlore.projections.filters import RunFilter
from runlore.workspace import session_of

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_LAST = 10


def filter_options(command: F) -> F:
    """Add the filters of runs; the command takes them as the filter `which`."""

    @wraps(command)
    def with_filters(
        *args: Any,
        tag: Sequence[str],
        property_: Sequence[str],
        status: Sequence[str],
        compute_target_name: str | None,
        recursive: bool,
        parent_run_id: str | None,
        where: str | None,
        **kwargs: Any,
    ) -> Any:
        which = RunFilter(
            tags=filter_of(tag, "--tag"),
            properties=filter_of(property_, "--property"),
            statuses=status,
            target=compute_target_name,
            include_children=recursive,
            below_run=parent_run_id,
            where=where,
        )
        return command(*args, which=which, **kwargs)

    made: F = decorated(with_filters, *_FILTERS)
    return made


_FILTERS = (
    click.option("--parent-run-id", help="Children of this run only."),
    click.option(
        "--status",
        multiple=True,
        type=click.Choice([str(status) for status in Status], case_sensitive=False),
        metavar="STATUS",
        help="Runs in this status, such as Completed; may be given more than once.",
    ),
    click.option("--compute-target-name", help="Runs on this compute target."),
    click.option(
        "--tag",
        "--tags",
        multiple=True,
        metavar="KEY[=VALUE]",
        help="Runs with this tag; if given more than once, with all of them.",
    ),
    click.option(
        "--property",
        "--properties",
        "property_",
        multiple=True,
        metavar="KEY[=VALUE]",
        help="Runs with this property; if given more than once, with all of them.",
    ),
    click.option(
        "--where",
        metavar="FILTER",
        help="Runs that a filter finds, such as 'config.lr < 0.01'; see docs/filters.md.",
    ),
    click.option("--recursive", is_flag=True, help="Include child runs at any depth."),
    click.option(
        "--sort",
        metavar="FIELD",
        help="A field such as start_time_utc or metrics.loss.min; --sort=-FIELD reverses. Default: "
        "newest first.",
    ),
)


@click.command("list")
@filter_options
@click.option(
    "--last",
    type=click.IntRange(min=1),
    help=f"At most this many runs. Default: {DEFAULT_LAST}; with a query, all.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME[.min|.max|...]",
    help="Show the last value of a metric, or another aggregate; may be given more than once.",
)
@click.option("--minimal", is_flag=True, help="Only seven fields of each run.")
@experiment_option
@trailing_query
@reading_options
@output_options
def list_(
    which: RunFilter,
    sort: str | None,
    last: int | None,
    metrics: Sequence[str],
    minimal: bool,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Lists runs, newest first: of an experiment, or of all.

    Without -e it lists the experiment that the folder is attached to, or else the runs of all
    experiments. A query is a JMESPath expression over the records, given by --query or as a last
    argument that starts with '['. A query without --last considers all runs.

    \b
    Example:
      runlore run list -e myexperiment --tag quality --status Completed --last 5
      runlore run list --metric val/acc --sort=-metrics.val/acc.max --where 'config.lr < 0.01'
      runlore run list -e myexperiment "[?properties.author=='azureml-user'].run_id"
    """
    if last is None and out.query is None:
        last = DEFAULT_LAST
    records = matching_records(
        context, experiment_name, which, sort=sort, last=last, metrics=metrics
    )
    if minimal:
        from runlore.azure.records import minimal as minimal_of

        out.put([minimal_of(record) for record in records])
    else:
        out.put(records, run_columns(context.open(), records, metrics) if out.is_table else None)


def matching_records(
    context: CommandContext,
    experiment_name: str | None,
    which: RunFilter,
    *,
    sort: str | None,
    last: int | None,
    metrics: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The records of an experiment's runs, of all, or of a run's children in any experiment.

    With `metrics` each has `_metrics`, the values of these that the run has.
    """
    from runlore.azure.records import records_of

    session = session_of(context.open())
    if which.below_run is None:
        experiment_name = context.experiment_name_or_all(experiment_name)
    else:
        which = replace(which, below_run=context.find_run(which.below_run).id)
    records = records_of(session, which, experiment_name=experiment_name, sort=sort, last=last)
    if metrics:
        shown = dict.fromkeys(metrics)
        held = session.reader().metrics_of([record["run_id"] for record in records], list(shown))
        for record in records:
            values = held.get(record["run_id"], ())
            record["_metrics"] = dict(zip(shown, values, strict=False))
    return records

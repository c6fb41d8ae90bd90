"""`runlore run tree`: runs with their descendants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import (
    experiment_option,
    output_options,
    reading_options,
)
from runlore.cli.output import Output
from runlore.cli.run.columns import duration, name


@click.command
@click.option(
    "-r", "--run", "run_id", help="The run at the top; default: all runs of the experiment."
)
@experiment_option
@reading_options
@output_options
def tree(
    run_id: str | None, experiment_name: str | None, context: CommandContext, out: Output
) -> None:
    """Shows a run, or all runs of an experiment, with their children at any depth.

    In JSON each record has its `children`.

    \b
    Example:
      runlore run tree -r myexperiment_1700000000_0a1b2c3d
    """
    from runlore.azure.records import nested

    workspace = context.open()
    if run_id is None:
        experiment = context.experiment_name(experiment_name)
        records = list(
            workspace.get_run_records(experiment, include_children=True, include_archived=True)
        )
    else:
        top = workspace.find_run(run_id)
        below = workspace.get_run_records(parent_run_id=top.id, include_children=True)
        records = [top.get_record(), *below]
    trees = nested(records)
    if out.form == "table" and out.query is None:
        out.say(*(line for record in trees for line in _lines(record, "", "")), data=trees)
    else:
        out.put(trees)


def _lines(record: dict[str, Any], before: str, below: str) -> Iterator[str]:
    facts = [record["run_id"], name(record), record["status"], duration(record)]
    yield before + "  ".join(fact for fact in facts if fact)
    children = record["children"]
    for child in children:
        is_last = child is children[-1]
        branch, rest = ("└── ", "    ") if is_last else ("├── ", "│   ")
        yield from _lines(child, below + branch, below + rest)

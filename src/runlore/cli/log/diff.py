"""`runlore diff`: the changes between two moments."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import output_options, workspace_options
from runlore.cli.output import Columns, Output

if TYPE_CHECKING:
    from runlore.engine.net_changes import NetChange


@click.command
@click.argument("a", metavar="MOMENT")
@click.argument("b", metavar="[LATER]", required=False)
@click.option(
    "-r",
    "--run",
    "run_id",
    help="Only changes of this run: its id, or an unambiguous beginning of it.",
)
@workspace_options
@output_options
def diff(a: str, b: str | None, run_id: str | None, context: CommandContext, out: Output) -> None:
    """Shows what was created, changed and removed between two moments; by default until now.

    A moment is a time (2026-03-03T12:00:00+00:00, yesterday, '2 hours ago'), a position in the
    log, or the file of a checkpoint. A time without a zone is local. A change that was undone in
    between is not shown.

    \b
    Example:
      runlore diff yesterday -o table
      runlore diff 120 168 -r myexperiment_1700000000_0a1b2c3d
    """
    workspace = context.open()
    run = None if run_id is None else context.find_run(run_id)
    out.put([_document(change) for change in workspace.diff(a, b, run=run)], _COLUMNS)


def _document(change: NetChange) -> dict[str, Any]:
    def shown(value: Any) -> Any:
        return value._asdict() if hasattr(value, "_asdict") else value

    return {
        **asdict(change),
        "old": shown(change.old),
        "new": shown(change.new),
        "time": change.time.isoformat(),
    }


_COLUMNS: Columns = (
    ("time", lambda change: change["time"][:19].replace("T", " ")),
    ("who", lambda change: change["who"]),
    ("what", lambda change: f"{change['what']} {change['kind']}"),
    ("of", lambda change: change["run_id"] or change["experiment"]),
    ("key", lambda change: change["key"]),
    ("old", lambda change: change["old"]),
    ("new", lambda change: change["new"]),
    ("reason", lambda change: change["reason"]),
)

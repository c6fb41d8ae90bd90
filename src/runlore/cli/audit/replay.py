"""`runlore audit replay`: compare what is shown with what was logged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import output_options, workspace_options
from runlore.cli.output import Columns, Output
from runlore.domain.visible_text import visible

if TYPE_CHECKING:
    from runlore.audit.replay import ReplayMismatch


@click.command
@click.option("--to", metavar="MOMENT", help="As of this moment; default: now.")
@click.option(
    "--generations", is_flag=True, help="Also compare the copies that new processes start from."
)
@click.option(
    "--against-bundle",
    "bundle",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Compare with a bundle that was exported from this workspace.",
)
@workspace_options
@output_options
def replay(
    to: str | None, generations: bool, bundle: Path | None, context: CommandContext, out: Output
) -> None:
    """Rebuilds all tables from the log and compares each row with the tables in use.

    A row that differs is shown with both values and its event, damaged events are named on stderr,
    and the exit code is 1. A moment is a time (2026-03-03, yesterday), a position of the log, or a
    checkpoint's file.

    \b
    Example:
      runlore audit replay
      runlore audit replay --to 1200 -o json
    """
    audit = context.open().audit
    if bundle is not None:
        if to is not None or generations:
            raise click.UsageError("--against-bundle goes with neither --to nor --generations.")
        found = audit.replay_bundle(bundle)
    else:
        found = audit.replay(to=to, generations=generations)
    rows = sum(found.rows.values())
    more = "" if found.complete else " or more"
    click.echo(
        f"replayed to position {found.position}: {rows:,} rows of {len(found.rows)} tables, "
        f"{len(found.mismatches):,}{more} mismatches",
        err=True,
    )
    for event in found.damaged:
        click.echo(visible(str(event)), err=True)
    out.put([_document(mismatch) for mismatch in found.mismatches], _COLUMNS, heads=_HEADS)
    if not found.holds:
        raise click.exceptions.Exit(1)


_HEADS = ("of", "table", "key", "column", "shown", "logged", "position", "topic", "stream")


def _document(mismatch: ReplayMismatch) -> dict[str, object]:
    event = mismatch.event
    return {
        "of": mismatch.of,
        "table": mismatch.table,
        "key": dict(mismatch.key),
        "column": mismatch.column,
        "shown": mismatch.shown,
        "logged": mismatch.logged,
        "position": event and event.position,
        "topic": event and event.topic,
        "stream": event and event.stream,
    }


_COLUMNS: Columns = (
    ("of", lambda row: row["of"]),
    ("table", lambda row: row["table"]),
    ("key", lambda row: ", ".join(f"{name} {value}" for name, value in row["key"].items())),
    ("column", lambda row: row["column"]),
    ("shown", lambda row: row["shown"]),
    ("logged", lambda row: row["logged"]),
    ("event", lambda row: row["topic"] and f"{row['topic']} at {row['position']}"),
)

"""`runlore audit replay`: whether what is shown is what was logged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import output_options, workspace_options
from runlore.cli.output import Columns, Output

if TYPE_CHECKING:
    from runlore.audit.replay import Difference


@click.command
@click.option("--to", type=click.IntRange(min=0), help="As of this position; default: the head.")
@click.option("--generations", is_flag=True, help="Also the copies that new processes start from.")
@click.option(
    "--against-bundle",
    "bundle",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Compares with what a bundle says that was exported from this workspace.",
)
@workspace_options
@output_options
def replay(
    to: int | None, generations: bool, bundle: Path | None, context: CommandContext, out: Output
) -> None:
    """Rebuilds all tables from the log and compares each row with those in use.

    Ends with exit code 1 if a row differs: each is shown with both values and its event.

    \b
    Example:
      runlore audit replay
      runlore audit replay --to 1200 -o json
    """
    from runlore.audit import replay as replays

    if bundle is not None:
        if to is not None or generations:
            raise click.UsageError("--against-bundle goes with neither --to nor --generations.")
        found = replays.replay_bundle(context.open(), bundle)
    else:
        found = replays.replay(context.open(), to=to, generations=generations)
    rows = sum(found.rows.values())
    more = "" if found.complete else " or more"
    click.echo(
        f"replayed to position {found.position}: {rows:,} rows of {len(found.rows)} tables, "
        f"{len(found.differences):,}{more} differences",
        err=True,
    )
    out.put([_shown(one) for one in found.differences], _COLUMNS, heads=_HEADS)
    if not found.holds:
        raise click.exceptions.Exit(1)


_HEADS = ("of", "table", "key", "column", "shown", "logged", "position", "topic", "stream")


def _shown(one: Difference) -> dict[str, object]:
    event = one.event
    return {
        "of": one.of,
        "table": one.table,
        "key": dict(one.key),
        "column": one.column,
        "shown": one.shown,
        "logged": one.logged,
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

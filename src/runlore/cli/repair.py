"""`runlore repair`: copied and moved folders."""

from __future__ import annotations

from typing import Final

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import output_options, workspace_options
from runlore.cli.output import Output
from runlore.engine.repair import adopt, condition_of, settle_moved
from runlore.workspace import session_of


@click.command
@click.option(
    "--adopt", "adopts", is_flag=True, help="Make this copy a workspace of its own, with a new id."
)
@click.option("--note", help="With --adopt: a text to keep with the origin; default: the folder.")
@click.option(
    "--moved", is_flag=True, help="The original of this folder is gone: this is the workspace now."
)
@workspace_options
@output_options
def repair(
    adopts: bool, note: str | None, moved: bool, context: CommandContext, out: Output
) -> None:
    """Says whether the workspace's folder is a copy, and makes it a workspace again.

    A copy made while processes wrote holds their lock files and unsaved values. It can be read;
    runs that were executing show the status "unknown (copied workspace)". Without an option
    nothing is changed.

    \b
    Example:
      runlore repair
      runlore repair --adopt --note "for the paper"
      runlore repair --moved
    """
    if adopts and moved:
        raise click.UsageError("--adopt and --moved exclude each other.")
    if note is not None and not adopts:
        raise click.UsageError("--note belongs to --adopt.")
    workspace = context.open()
    session = session_of(workspace).writable()
    before = workspace_id = session.workspace.workspace_id
    lost: list[str] = []
    if adopts:
        workspace_id = adopt(session, note)
        click.echo(f"the copy of {before} is the workspace {workspace_id} now", err=True)
    elif moved:
        lost = settle_moved(session)
        click.echo(f"{len(lost):,} runs of processes that are gone are lost", err=True)
    found = condition_of(session.require_held())
    if found.is_copy:
        click.echo(_ADVICE, err=True)
    out.put(
        {
            "workspace_id": workspace_id,
            "is_copy": found.is_copy,
            "lost_runs": lost,
            "writers": [
                {"id": writer_id, "is": state.life.value, "why": state.why}
                for writer_id, state in found.writers.items()
            ],
            "writers_with_waiting_values": list(found.waiting),
            "damaged_spools": [str(path) for path in found.damaged],
        }
    )


_ADVICE: Final = (
    "this folder is a copy: nothing is recorded in it of the processes that wrote to the original. "
    "Use --adopt to make it a workspace of its own, or --moved if the original is gone"
)

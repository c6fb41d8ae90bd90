"""`runlore audit checkpoint`: signed statements of the log's size and root."""

from __future__ import annotations

from pathlib import Path

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.lazy import LazyGroup
from runlore.cli.options import output_options, trust_options, workspace_options
from runlore.cli.output import Columns, Output

checkpoint = LazyGroup(
    "checkpoint",
    help="Signs the log's size and root, and verifies what was signed.",
    places={
        "create": "audit.checkpoint:create",
        "list": "audit.checkpoint:list_",
        "verify": "audit.checkpoint:verify",
        "auto": "audit.checkpoint:auto",
    },
)

_key = click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The key's file; default: the one of `checkpoint auto`, then the one of `key new`.",
)
_export = click.option(
    "--export",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write each checkpoint to this folder, best one that others keep.",
)


@click.command
@_key
@_export
@workspace_options
@output_options
def create(key: Path | None, export: Path | None, context: CommandContext, out: Output) -> None:
    """Signs the log as it is on disk now, and keeps the checkpoint in the workspace.

    \b
    Example:
      runlore audit checkpoint create --export /mnt/elsewhere
    """
    made, files = context.open().audit.checkpoint(key=key, export=export)
    out.put(
        {
            "origin": made.origin,
            "size": made.size,
            "root": made.root.hex(),
            "signed_by": made.signers,
            "files": [str(file) for file in files],
            "note": made.note,
        },
        [
            ("size", lambda data: data["size"]),
            ("files", lambda data: ", ".join(data["files"])),
            ("note", lambda data: data["note"]),
        ],
    )


@click.command("list")
@workspace_options
@output_options
def list_(context: CommandContext, out: Output) -> None:
    """Lists the checkpoints of the workspace; nothing is verified.

    \b
    Example:
      runlore audit checkpoint list -o table
    """
    out.put(
        [
            {
                "size": checkpoint.size,
                "root": checkpoint.root.hex(),
                "signed_by": checkpoint.signers,
                "note": checkpoint.note,
            }
            for checkpoint in context.open().audit.checkpoints()
        ],
        [
            ("size", lambda row: row["size"]),
            ("root", lambda row: row["root"]),
            ("signed by", lambda row: ", ".join(row["signed_by"])),
        ],
    )


@click.command
@trust_options
@workspace_options
@output_options
def verify(
    trusted: Path | None, checkpoints: tuple[Path, ...], context: CommandContext, out: Output
) -> None:
    """Verifies all checkpoints: their signatures, and their roots against the log's leaves.

    Faster than `audit verify`, because events are not read, only their stored leaves. The exit
    code is 0 only if all checkpoints hold.

    \b
    Example:
      runlore audit checkpoint verify --trusted keys.txt
    """
    checked = context.open().audit.verify_checkpoints(checkpoints=checkpoints, trusted=trusted)
    out.put([each.as_dict() for each in checked], _COLUMNS)
    if any(each.problem for each in checked):
        raise click.exceptions.Exit(1)


_COLUMNS: Columns = (
    ("size", lambda row: row["size"]),
    ("is", lambda row: "in doubt" if row["problem"] else "confirmed"),
    ("because", lambda row: row["problem"] or f"signed by {', '.join(row['signed_by'])}"),
)


@click.command
@_key
@_export
@click.option("--off", is_flag=True, help="Stop making them.")
@workspace_options
@output_options
def auto(
    key: Path | None, export: Path | None, off: bool, context: CommandContext, out: Output
) -> None:
    """Makes a checkpoint whenever a process of yours ends a run, from now on.

    It is kept in your own settings, for the folder in which the workspace is now. The process must
    be able to read the key. If it cannot, the run ends all the same, with a warning.

    \b
    Example:
      runlore audit checkpoint auto --key ~/keys/lab.key --export /mnt/elsewhere
      runlore audit checkpoint auto --off
    """
    settings = context.open().audit.checkpoint_run_ends(key=key, export=export, off=off)
    out.put(settings._asdict())

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
    help="Signs the log's size and root, and checks what was signed.",
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
    help="The key's file; default: that of `checkpoint auto`, then that of `key new`.",
)
_export = click.option(
    "--export",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also writes each checkpoint to this folder: best where others keep it.",
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
    from runlore.audit.audited import AuditedLog
    from runlore.audit.checkpoints import create_checkpoint

    audited = AuditedLog.of(context.open())
    made, files = create_checkpoint(audited, key=key, export=export)
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
    """Lists the checkpoints that the workspace has kept; nothing is checked.

    \b
    Example:
      runlore audit checkpoint list -o table
    """
    from runlore.audit.audited import AuditedLog

    kept = AuditedLog.of(context.open()).kept.checkpoints()
    out.put(
        [
            {"size": one.size, "root": one.root.hex(), "signed_by": one.signers, "note": one.note}
            for one in kept
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
    """Checks the signatures of all checkpoints, and their roots against the log's leaves.

    Faster than `audit verify`, because events are not read: their leaves are taken as they are
    stored. Ends with exit code 0 only if all checkpoints hold.

    \b
    Example:
      runlore audit checkpoint verify --trusted keys.txt
    """
    from runlore.audit.audited import AuditedLog
    from runlore.audit.folder import read_checkpoint
    from runlore.audit.keys import read_trusted
    from runlore.audit.verify import verify_checkpoints

    found = verify_checkpoints(
        AuditedLog.of(context.open()),
        checkpoints=[read_checkpoint(file) for file in checkpoints],
        trusted=None if trusted is None else read_trusted(trusted),
    )
    out.put([one.as_dict() for one in found], _COLUMNS)
    if any(one.problem for one in found):
        raise click.exceptions.Exit(1)


_COLUMNS: Columns = (
    ("size", lambda row: row["size"]),
    ("is", lambda row: "in doubt" if row["problem"] else "confirmed"),
    ("because", lambda row: row["problem"] or f"signed by {', '.join(row['signed_by'])}"),
)


@click.command
@_key
@_export
@click.option("--off", is_flag=True, help="No longer.")
@workspace_options
@output_options
def auto(
    key: Path | None, export: Path | None, off: bool, context: CommandContext, out: Output
) -> None:
    """Makes a checkpoint whenever a run reaches its end, from now on.

    The process that records the end makes it, so it must be able to read the key. If it cannot,
    the run ends all the same, with a warning.

    \b
    Example:
      runlore audit checkpoint auto --key ~/keys/lab.key --export /mnt/elsewhere
      runlore audit checkpoint auto --off
    """
    from dataclasses import asdict

    from runlore.audit.audited import AuditedLog
    from runlore.audit.checkpoints import set_automatic
    from runlore.audit.keys import default_path

    audited = AuditedLog.of(context.open())
    chosen = None if off else key or default_path(audited.origin)
    out.put(asdict(set_automatic(audited, key=chosen, export=export)))

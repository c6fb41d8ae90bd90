"""`runlore audit key`: the keys that sign checkpoints."""

from __future__ import annotations

from pathlib import Path

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.lazy import LazyGroup
from runlore.cli.options import output_options, workspace_options
from runlore.cli.output import Output

key = LazyGroup(
    "key",
    help="Makes and lists the keys that sign checkpoints.",
    places={"new": "audit.key:new", "list": "audit.key:list_"},
)


@click.command
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@workspace_options
@output_options
def new(file: Path | None, context: CommandContext, out: Output) -> None:
    """Makes a key for the workspace's checkpoints, in a new file that only you may read.

    The workspace trusts the public key from now on, and still trusts earlier ones, so that what
    they signed can be verified. Give the public key to auditors through a separate channel. By
    default the file is ~/.config/runlore/keys/WORKSPACE-ID.key.

    \b
    Example:
      runlore audit key new ~/keys/lab.key
    """
    verifier, path = context.open().audit.new_key(file)
    out.put({"file": str(path), "name": verifier.name, "verifier_key": str(verifier)})


@click.command("list")
@workspace_options
@output_options
def list_(context: CommandContext, out: Output) -> None:
    """Lists the public keys that the workspace trusts, the oldest first.

    \b
    Example:
      runlore audit key list --query "[].verifier_key" -o tsv > keys.txt
    """
    keys = context.open().audit.trusted_keys()
    out.put(
        [{"name": key.name, "hash": key.key_id.hex(), "verifier_key": str(key)} for key in keys],
        heads=("name", "hash", "verifier_key"),
    )

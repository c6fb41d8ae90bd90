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

    The public key is added to those that the workspace trusts; earlier ones stay, so that what
    they signed can be verified. Give it to auditors by a way of its own. By default the file is
    ~/.config/runlore/keys/WORKSPACE-ID.key.

    \b
    Example:
      runlore audit key new ~/keys/lab.key
    """
    from runlore.audit.audited import AuditedLog
    from runlore.audit.keys import default_path, new_key

    audited = AuditedLog.of(context.open())
    file = file or default_path(audited.origin)
    verifier = new_key(file, audited.origin).verifier
    audited.kept.trust(verifier)
    out.put({"file": str(file), "name": verifier.name, "verifier_key": str(verifier)})


@click.command("list")
@workspace_options
@output_options
def list_(context: CommandContext, out: Output) -> None:
    """Lists the public keys that the workspace trusts, the oldest first.

    \b
    Example:
      runlore audit key list --query "[].verifier_key" -o tsv > keys.txt
    """
    from runlore.audit.audited import AuditedLog

    keys = AuditedLog.of(context.open()).kept.trusted()
    out.put(
        [{"name": one.name, "hash": one.key_id.hex(), "verifier_key": str(one)} for one in keys],
        heads=("name", "hash", "verifier_key"),
    )

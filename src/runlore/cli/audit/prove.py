"""`runlore audit prove|consistency|verify-proof`: portable proofs."""

from __future__ import annotations

from pathlib import Path

import click

from runlore.audit import offline
from runlore.cli.command_context import CommandContext
from runlore.cli.options import output_options, workspace_options
from runlore.cli.output import Output


@click.command
@click.argument("event")
@workspace_options
@output_options
def prove(event: str, context: CommandContext, out: Output) -> None:
    """Proves that an event is in the log: JSON for people who have neither the log nor runlore.

    EVENT is a position, RUN_ID@VERSION, STREAM@VERSION, or an event's id. The proof leads to the
    newest checkpoint that covers the event.

    \b
    Example:
      runlore audit prove myexperiment_1700000000_0a1b2c3d@1 -o json > proof.json
    """
    out.put(context.open().audit.prove(event))


@click.command
@click.argument("earlier", type=click.IntRange(min=0))
@click.argument("later", type=click.IntRange(min=0))
@workspace_options
@output_options
def consistency(earlier: int, later: int, context: CommandContext, out: Output) -> None:
    """Proves that the log only grew between two checkpoints, named by their sizes.

    \b
    Example:
      runlore audit consistency 1200 5000 -o json > grown.json
    """
    out.put(context.open().audit.prove_growth(earlier, later))


@click.command("verify-proof")
@click.argument("proof", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--key", "keys", multiple=True, help="A verifier key that you trust; repeatable.")
@click.option("--no-key", is_flag=True, help="Verify the tree only, not who vouches for it.")
@workspace_options
@output_options
def verify_proof(
    proof: Path, keys: tuple[str, ...], no_key: bool, context: CommandContext, out: Output
) -> None:
    """Verifies a proof, as `python offline.py` does without runlore; no workspace is opened.

    \b
    Example:
      runlore audit verify-proof proof.json --key "$(cat lab.pub)"
    """
    if bool(keys) == no_key:
        raise click.UsageError("Give the --key that you trust, or --no-key.")
    try:
        document = offline.parse_proof(proof.read_text(encoding="utf-8"))
        lines = offline.verify_proof(document, [offline.VerifierKey.parse(key) for key in keys])
    except (offline.NotProved, ValueError, RecursionError) as error:
        raise click.ClickException(f"not proved: {error}") from error
    out.say("PROVED.", *lines, data={"proved": lines})

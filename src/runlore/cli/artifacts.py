"""`runlore artifacts`: gives up files that are not needed, and brings waiting ones to a store."""

from __future__ import annotations

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.lazy import LazyGroup
from runlore.cli.options import output_options, workspace_options
from runlore.cli.output import Output
from runlore.engine.runs.pruning import GOALS

artifacts = LazyGroup(
    "artifacts",
    help="Says where files are kept, gives up their content, brings them to their store.",
    places={
        "place": "artifacts:place_",
        "prune": "artifacts:prune",
        "deliver": "artifacts:deliver",
    },
)


@click.command
@click.option("--files", required=True, metavar="PATTERN", help="Names, such as 'checkpoints/*'.")
@click.option("--keep-last", type=click.IntRange(min=0), help="Keep this many files of each run.")
@click.option("--keep-best-by", metavar="METRIC", help="Keep all files of the best runs.")
@click.option(
    "--keep-best",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many runs are the best.",
)
@click.option(
    "--goal",
    type=click.Choice(GOALS),
    default="max",
    show_default=True,
    help="Whether high or low values of the metric are good.",
)
@click.option(
    "--keep-newer-than", metavar="MOMENT", help="Keep what was kept since ('30 days ago')."
)
@click.option("--reason", help="Why; the reason stays in the log.")
@click.option("--yes", is_flag=True, help="Do it; without it, only what would happen is shown.")
@click.option("-e", "--experiment-name", help="Only files of runs of this experiment.")
@workspace_options
@output_options
def prune(
    files: str,
    keep_last: int | None,
    keep_best_by: str | None,
    keep_best: int,
    goal: str,
    keep_newer_than: str | None,
    reason: str | None,
    yes: bool,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Gives up the content of files of ended runs, to free their bytes.

    A file stays if any of the --keep options says so; one of them must be given. Names, digests
    and sizes stay in the log, with who pruned and why. Without --yes nothing is changed: the
    command lists what it would give up.

    \b
    Example:
      runlore artifacts prune --files 'outputs/checkpoints/*' --keep-last 2 --keep-best-by acc
      runlore artifacts prune --files '*.pt' --keep-last 2 --reason "disk is full" --yes
    """
    pruned = context.open().prune_files(
        files,
        reason=reason,
        dry_run=not yes,
        experiment=experiment_name,
        keep_last=keep_last,
        keep_best_by=keep_best_by,
        keep_best=keep_best,
        goal=goal,
        keep_newer_than=keep_newer_than,
    )
    done = "pruned" if pruned.is_done else "would be pruned; add --reason and --yes to do it"
    click.echo(
        f"{len(pruned.files):,} files: {pruned.freed_nbytes:,} bytes freed, "
        f"{pruned.shared_nbytes:,} bytes still needed elsewhere ({done})",
        err=True,
    )
    for sha256 in pruned.needed_again:
        click.echo(
            f"warning: {sha256} was named by another run at this very moment, and its bytes are "
            "gone; upload that file once more",
            err=True,
        )
    out.put(
        [one._asdict() for one in pruned.files],
        columns=[
            ("run", lambda row: row["run_id"]),
            ("file", lambda row: row["name"]),
            ("bytes", lambda row: row["nbytes"]),
        ],
    )


@click.command("place")
@click.argument("place")
@workspace_options
@output_options
def place_(place: str, context: CommandContext, out: Output) -> None:
    """Keeps the files of all runs in another place, such as s3://bucket/prefix, for everybody.

    Files go there first, then the log says so. Everybody else who opens the workspace must trust
    the place: runlore trust PLACE. End the processes that use the workspace before.

    \b
    Example:
      runlore artifacts place s3://team-bucket/lab -w ./lab
    """
    out.put({"place": place, "copied": context.open().place_files(place)})


@click.command
@workspace_options
@output_options
def deliver(context: CommandContext, out: Output) -> None:
    """Brings files that wait on this machine to the workspace's object store.

    They wait because the store refused them, or did not answer, when a run kept them.

    \b
    Example:
      runlore artifacts deliver -w ./lab
    """
    out.put({"delivered": context.open().deliver_files()})

"""`runlore audit export|import|report`: events of the log in files, and back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import (
    output_options,
    output_options_beside_a_file,
    reading_options,
    workspace_options,
)
from runlore.cli.output import Output


@click.command
@click.option("-r", "--run", "run_id", help="This run and its descendants.")
@click.option("--no-descendants", is_flag=True, help="Only the run itself.")
@click.option("-e", "--experiment-name", help="The runs of this experiment.")
@click.option("--since", metavar="MOMENT", help="Runs with an event at or after this moment.")
@click.option("--until", metavar="MOMENT", help="Runs with an event at or before this moment.")
@click.option(
    "--artifacts",
    type=click.Choice(("bytes", "digests")),
    default="bytes",
    help="Include the runs' files, or only their digests.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("bundle", "jsonl", "parquet")),
    default="bundle",
    help="Default: a bundle, which can be verified and imported.",
)
@click.option(
    "-o",
    "--to",
    "destination",
    type=click.Path(path_type=Path),
    required=True,
    help="The file; for Parquet, the folder.",
)
@workspace_options
@output_options_beside_a_file
def export(
    run_id: str | None,
    no_descendants: bool,
    experiment_name: str | None,
    since: str | None,
    until: str | None,
    artifacts: str,
    form: str,
    destination: Path,
    context: CommandContext,
    out: Output,
) -> None:
    """Writes runs, or the whole log, with everything that proves them, to one file.

    A moment is a time (2026-03-03, yesterday), a position of the log, or a checkpoint's file.

    \b
    Example:
      runlore audit export -r myexperiment_1700000000_0a1b2c3d -o run.bundle
      runlore audit export --since 2026-03-03T00:00+00:00 --format jsonl -o march.jsonl
    """
    workspace = context.open()
    run = run_id and context.find_run(run_id).id
    selection: dict[str, Any] = {
        "run": run,
        "descendants": not no_descendants,
        "experiment": experiment_name,
        "since": since,
        "until": until,
    }
    match form:
        case "jsonl":
            out.put(workspace.audit.export_jsonl(destination, **selection))
        case "parquet":
            out.put(workspace.audit.export_parquet(destination, **selection))
        case _:
            manifest = workspace.export(destination, **selection, artifacts=artifacts)
            out.put({"file": str(destination), **manifest.model_dump(exclude={"entries"})})


@click.command("import")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@workspace_options
@output_options
def import_(bundle: Path, context: CommandContext, out: Output) -> None:
    """Adds the contents of a bundle to the workspace. Idempotent.

    \b
    Example:
      runlore audit import run.bundle -w myworkspace
    """
    out.put(asdict(context.open().import_bundle(bundle)))


@click.command
@click.option("-r", "--run", "run_id", help="The run's id, or an unambiguous beginning of it.")
@click.option("-e", "--experiment-name", help="All runs of this experiment.")
@click.option(
    "-o",
    "--to",
    "destination",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The HTML file.",
)
@reading_options
@output_options_beside_a_file
def report(
    run_id: str | None,
    experiment_name: str | None,
    destination: Path,
    context: CommandContext,
    out: Output,
) -> None:
    """Writes what the log says of a run, or of an experiment's runs, as one HTML page.

    \b
    Example:
      runlore audit report -r myexperiment_1700000000_0a1b2c3d -o report.html
    """
    run = run_id and context.find_run(run_id).id
    runs = context.open().audit.report(destination, run=run, experiment=experiment_name)
    out.put({"file": str(destination), "runs": runs})

"""`runlore audit export|import|report`: the log's events in a file, and back."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import (
    output_options,
    output_options_beside_a_file,
    workspace_options,
)
from runlore.cli.output import Output


class _Moment(click.ParamType[datetime | int]):
    """A position of the log, or an ISO time with its zone."""

    name = "position or time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime | int:
        if isinstance(value, datetime | int):
            return value
        text = str(value)
        if text.isdecimal():
            return int(text)
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            self.fail(
                f"{text!r} is neither a position nor a time such as 2026-03-03T12:00+00:00", param
            )
        if time.tzinfo is None:
            self.fail(f"{text!r} has no time zone; for UTC, write {time.isoformat()}+00:00", param)
        return time


@click.command
@click.option("-r", "--run", "run_id", help="This run, with its descendants.")
@click.option("--no-descendants", is_flag=True, help="The run alone.")
@click.option("-e", "--experiment-name", help="The runs of this experiment.")
@click.option("--since", type=_Moment(), help="Runs that anything happened to since then.")
@click.option("--until", type=_Moment(), help="Runs that anything happened to up to then.")
@click.option(
    "--artifacts",
    type=click.Choice(("bytes", "digests")),
    default="bytes",
    help="Whether the runs' files are in it, or only their digests.",
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
    help="The file; of Parquet, the folder.",
)
@workspace_options
@output_options_beside_a_file
def export(
    run_id: str | None,
    no_descendants: bool,
    experiment_name: str | None,
    since: datetime | int | None,
    until: datetime | int | None,
    artifacts: str,
    form: str,
    destination: Path,
    context: CommandContext,
    out: Output,
) -> None:
    """Writes runs, or the whole log, with all that proves them, to one file.

    \b
    Example:
      runlore audit export -r myexperiment_1700000000_0a1b2c3d -o run.bundle
      runlore audit export --since 2026-03-03T00:00+00:00 --format jsonl -o march.jsonl
    """
    from runlore.audit.bundles.selection import Selection

    workspace = context.open()
    selection = Selection(
        run=run_id and context.find_run(run_id).id,
        descendants=not no_descendants,
        experiment=experiment_name,
        since=since,
        until=until,
    )
    if form != "bundle":
        from runlore.audit.bundles import open_formats

        write = open_formats.export_jsonl if form == "jsonl" else open_formats.export_parquet
        out.put(write(workspace, destination, selection))
        return
    from runlore.audit.bundles import export as exports

    manifest = exports.export(workspace, destination, selection, artifacts=artifacts)
    out.put({"file": str(destination), **manifest.model_dump(exclude={"entries"})})


@click.command("import")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@workspace_options
@output_options
def import_(bundle: Path, context: CommandContext, out: Output) -> None:
    """Adds what a bundle holds to the workspace; doing it twice changes nothing.

    \b
    Example:
      runlore audit import run.bundle -w myworkspace
    """
    from dataclasses import asdict

    from runlore.audit.bundles.imports import import_bundle

    out.put(asdict(import_bundle(context.open(), bundle)))


@click.command
@click.option("-r", "--run", "run_id", help="The run's id, or enough of its beginning.")
@click.option("-e", "--experiment-name", help="All runs of this experiment.")
@click.option(
    "-o",
    "--to",
    "destination",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The HTML file.",
)
@workspace_options
@output_options_beside_a_file
def report(
    run_id: str | None,
    experiment_name: str | None,
    destination: Path,
    context: CommandContext,
    out: Output,
) -> None:
    """Writes what the log says of a run, or of an experiment's runs, as one page for people.

    \b
    Example:
      runlore audit report -r myexperiment_1700000000_0a1b2c3d -o report.html
    """
    from runlore.audit import report as reports

    workspace = context.open()
    run = run_id and context.find_run(run_id).id
    runs = reports.report(workspace, destination, run=run, experiment=experiment_name)
    out.put({"file": str(destination), "runs": runs})

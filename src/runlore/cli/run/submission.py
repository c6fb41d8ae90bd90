"""`runlore run submit-script|resubmit|cancel|monitor-logs|download-logs`: scripts as runs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.frame.guard import unguarded
from runlore.cli.options import (
    experiment_option,
    output_options,
    reading_options,
    reason_option,
    run_option,
    workspace_options,
)
from runlore.cli.output import Output
from runlore.cli.run.columns import RUN_FIELDS
from runlore.domain.status import Status
from runlore.domain.visible_text import visible
from runlore.entry.script_submission import submit_script as submit
from runlore.execution.explicit_start import QueuedWork, queued_work, start_queued
from runlore.run.run import handle_of

if TYPE_CHECKING:
    from runlore.run import Run

FAILED: Final = 3


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "-c",
    "--run-configuration-name",
    help="A runconfig in .azureml/, without its file extension. Default: none.",
)
@click.option(
    "--source-directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="The script's folder; default: the project's folder (--path).",
)
@click.option("--target", "--ct", help="The compute target; overrides the runconfig's.")
@click.option(
    "-d",
    "--conda-dependencies",
    type=click.Path(path_type=Path),
    help="A conda file to record with the run; nothing is installed.",
)
@click.option(
    "--not-secret",
    multiple=True,
    metavar="NAME",
    help="A variable or argument to record, though it looks like a secret; may be repeated.",
)
@click.option("--async", "is_async", is_flag=True, help="Do not wait for the run to end.")
@click.argument("command", nargs=-1, metavar="[SCRIPT [ARGUMENT]...]")
@experiment_option
@workspace_options
@output_options
def submit_script(
    run_configuration_name: str | None,
    source_directory: Path | None,
    target: str | None,
    conda_dependencies: Path | None,
    not_secret: Sequence[str],
    is_async: bool,
    command: Sequence[str],
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Submits a script as a run, shows its output until it ends, then the run's record.

    Options come before the script; all arguments after it are the script's. Without a script, that
    of the runconfig (-c) is submitted, with the runconfig's arguments. The script's output goes to
    stdout with -o table, otherwise to stderr. Exit code 3 if the run does not complete.

    \b
    Example:
      runlore run submit-script -c sklearn -e testexperiment train.py --alpha 0.3
    """
    run = submit(
        context.open(),
        context.experiment_name(experiment_name),
        command[0] if command else None,
        command[1:],
        project=context.path,
        source_directory=source_directory,
        run_configuration_name=run_configuration_name,
        target=target,
        conda_dependencies=conda_dependencies,
        not_secret=not_secret,
    )
    _follow(run, out, wait=not is_async)


@click.command
@run_option
@click.option("--async", "is_async", is_flag=True, help="Do not wait for the run to end.")
@experiment_option
@workspace_options
@output_options
def resubmit(
    run_id: str, is_async: bool, experiment_name: str | None, context: CommandContext, out: Output
) -> None:
    """Submits a run again, with its snapshot, arguments and target.

    \b
    Example:
      runlore run resubmit -r myexperiment_1700000000_0a1b2c3d
    """
    found = context.find_run(run_id)
    _follow(found.experiment.submit(found), out, wait=not is_async)


@click.command
@run_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@experiment_option
@workspace_options
@output_options
def start(
    run_id: str, yes: bool, experiment_name: str | None, context: CommandContext, out: Output
) -> None:
    """Starts a Queued run that you did not submit on this machine since it was restarted.

    Nothing else starts such a run: it may have come with a copied workspace. It executes as you,
    with the environment of this command, now or when its turn comes. Shows first what that is, and
    asks.

    \b
    Example:
      runlore run start -r myexperiment_1700000000_0a1b2c3d
    """
    run = context.find_run(run_id)
    handle = handle_of(run)
    work = queued_work(handle)
    if not yes:
        click.echo(_described(work), err=True)
        click.confirm("Execute this as yourself?", abort=True, err=True)
    start_queued(handle, work)
    out.put(run.get_record(), RUN_FIELDS)


@click.command
@run_option
@experiment_option
@reason_option
@workspace_options
@output_options
def cancel(
    run_id: str,
    experiment_name: str | None,
    reason: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Cancels a run: its processes get TERM, and later KILL.

    \b
    Example:
      runlore run cancel -r myexperiment_1700000000_0a1b2c3d --reason "diverged"
    """
    run = context.find_run(run_id)
    run.cancel(reason=reason)
    record = run.get_record()
    if record["status"] == Status.CANCELED:
        out.say("Experiment run canceled successfully.", data=record)
    else:
        out.say(f"Cancellation requested; run {run.id} is {record['status']}.", data=record)


@click.command
@run_option
@click.option("--local-directory", type=click.Path(), hidden=True, help="Azure's; unused.")
@experiment_option
@workspace_options
@output_options
def monitor_logs(
    run_id: str,
    local_directory: str | None,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Shows the output of a run until it ends, then its record. Exit code 3 if it did not complete.

    \b
    Example:
      runlore run monitor-logs -r myexperiment_1700000000_0a1b2c3d
    """
    _follow(context.find_run(run_id), out, wait=True)


@click.command
@run_option
@click.option(
    "-d",
    "--download-directory",
    "--local-directory",
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=".",
    help="The folder to write to; default: the working folder.",
)
@experiment_option
@reading_options
@output_options
def download_logs(
    run_id: str,
    download_directory: Path,
    experiment_name: str | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Writes the log files of a run to a folder, and lists them.

    \b
    Example:
      runlore run download-logs -r myexperiment_1700000000_0a1b2c3d -d logs
    """
    paths = context.find_run(run_id).get_all_logs(destination=str(download_directory))
    out.put([str(path) for path in paths])


def _described(work: QueuedWork) -> str:
    """What a queued run would execute, for people."""
    words = work.words if isinstance(work.words, str) else shlex.join(work.words)
    variables = work.definition.environment_variables
    lines = [
        f"Run {work.run_id}, submitted by {work.submitted_by}, would execute",
        f"  {words}",
        *([f"as {work.definition.ranks} processes,"] if work.definition.ranks > 1 else ()),
        f"in a copy of its snapshot {work.snapshot_manifest[:12]}, with the environment of this "
        "command",
        *(f"  and {name}={value}" for name, value in sorted(variables.items())),
    ]
    return "\n".join(map(visible, lines))


def _follow(run: Run, out: Output, *, wait: bool) -> None:
    """Put the run's record; with `wait`, show its output and wait for its end first."""
    if wait:
        # Past the guard: what shows the log escapes it, but for the colours of a script.
        with redirect_stdout(unguarded(sys.stdout if out.form == "table" else sys.stderr)):
            run.wait_for_completion(
                show_output=True, wait_post_processing=True, raise_on_error=False
            )
    record = run.get_record()
    out.put(record, RUN_FIELDS)
    if wait and record["status"] != Status.COMPLETED:
        click.get_current_context().exit(FAILED)

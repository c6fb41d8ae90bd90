"""Options that mean the same on every command, as decorators."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.frame.diagnostics import Diagnostics
from runlore.cli.output import Output

F = TypeVar("F", bound=Callable[..., Any])

FORMATS: Final = ("json", "jsonc", "table", "tsv", "csv")


def workspace_options(command: F) -> F:
    """Add the options that select a workspace; the command takes a `context`."""

    @wraps(command)
    def with_context(
        *args: Any,
        path: Path,
        workspace: str | None,
        resource_group: str | None,
        subscription_id: str | None,
        as_of: str | None = None,
        **kwargs: Any,
    ) -> Any:
        context = CommandContext(
            path, workspace, resource_group, subscription_id, _diagnostics(), as_of
        )
        return command(*args, context=context, **kwargs)

    made: F = decorated(
        with_context,
        click.option("--subscription-id", help="Only a workspace of this Azure subscription."),
        click.option("-g", "--resource-group", help="Only a workspace of this resource group."),
        click.option(
            "-w",
            "--workspace-name",
            "--workspace",
            "workspace",
            metavar="WORKSPACE",
            help="The workspace: its name, its folder (such as ./lab), or its URI.",
        ),
        click.option(
            "--path",
            type=click.Path(path_type=Path),
            default=".",
            help="The project's folder; its .azureml/config.json leads to the workspace.",
        ),
    )
    return made


def reading_options(command: F) -> F:
    """The same for a command that only reads; its `context` may be as of a moment."""
    made: F = click.option(
        "--as-of",
        metavar="MOMENT",
        help="The state at a time (2026-03-03, yesterday, '2 hours ago'), a position in the log, "
        "or a checkpoint's file.",
    )(workspace_options(command))
    return made


def output_options(command: F) -> F:
    """Add the options of the output; the command takes an `out`, to which it puts its data."""
    return _with_output(command, "-o", "--output")


def output_options_beside_a_file(command: F) -> F:
    """The same for a command whose `-o` is the file to write."""
    return _with_output(command, "--output")


def _with_output(command: F, *format_flags: str) -> F:
    @wraps(command)
    def with_output(
        *args: Any,
        output_format: str | None,
        query: str | None,
        output_metadata_file: Path | None,
        raw: bool,
        debug: bool,
        verbose: bool,
        **kwargs: Any,
    ) -> Any:
        diagnostics = _diagnostics()
        diagnostics.debug, diagnostics.verbose = debug, verbose
        trailing = kwargs.pop("trailing_query", None)
        if trailing is not None:
            query = _the_query(query, trailing)
        out: Output = Output.of(output_format, query, output_metadata_file, raw=raw)
        return command(*args, out=out, **kwargs)

    made: F = decorated(
        with_output,
        click.option("--query", metavar="JMESPATH", help="Select from the data; see jmespath.org."),
        click.option(
            *format_flags,
            "output_format",
            type=click.Choice(FORMATS),
            help="Default: table for a terminal, json for a pipe.",
        ),
        click.option(
            "-t",
            "--output-metadata-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Also write the result as JSON to this file, which must not exist.",
        ),
        click.option(
            "--raw",
            is_flag=True,
            help="With csv and tsv: leave texts as they are that a spreadsheet would calculate.",
        ),
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
        click.option("--verbose", is_flag=True, help="Print more to stderr."),
    )
    return made


def trust_options(command: F) -> F:
    """Add the options of trust; the command takes `trusted`, a file or None, and `checkpoints`."""
    made: F = decorated(
        command,
        click.option(
            "--trusted",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="Trusted public keys, one per line; default: the keys that the workspace lists, "
            "which anyone who can write to it can change.",
        ),
        click.option(
            "--checkpoint",
            "checkpoints",
            multiple=True,
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="A checkpoint that was kept elsewhere; may be given more than once.",
        ),
    )
    return made


def trailing_query(command: F) -> F:
    """Accept a query without `--query`: a last argument that starts with `[`."""
    return click.argument("trailing_query", required=False, metavar="[JMESPATH]")(command)


def reason_option(command: F) -> F:
    """Add the reason of a change; the command takes a `reason`."""
    return click.option("--reason", help="The reason, which the history shows.")(command)


def run_option(command: F) -> F:
    """Add the required option of a run; the command takes a `run_id`."""
    return click.option(
        "-r",
        "--run",
        "run_id",
        required=True,
        help="The run's id, or an unambiguous beginning of it.",
    )(command)


def experiment_option(command: F) -> F:
    """Add the option of an experiment; the command takes an `experiment_name`, or None."""
    return click.option(
        "-e",
        "--experiment-name",
        help="The experiment; default: the one that the folder is attached to.",
    )(command)


def _diagnostics() -> Diagnostics:
    return click.get_current_context().find_object(Diagnostics) or Diagnostics()


def _the_query(query: str | None, trailing: str) -> str:
    if not trailing.startswith("["):
        raise click.UsageError(
            f"Got unexpected extra argument ({trailing}); a query without --query starts with '['"
        )
    if query is not None:
        raise click.UsageError("Two queries: one after --query and one at the end.")
    return trailing


def decorated(command: Callable[..., Any], *decorators: Callable[[Any], Any]) -> Any:
    """The command with the decorators applied, the first one outermost."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command

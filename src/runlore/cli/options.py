"""Options that mean the same on every command, as decorators, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from runlore.cli.output import Output
    from runlore.run import Run
    from runlore.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])

FORMATS: Final = ("json", "jsonc", "table", "tsv", "csv")


@dataclass
class Talk:
    """How much is said on stderr: one for the whole command line."""

    debug: bool = False
    verbose: bool = False

    def say(self, text: str) -> None:
        """Says it where --verbose or --debug was given."""
        if self.verbose or self.debug:
            click.echo(text, err=True)


@dataclass
class Place:
    """Which workspace is meant, and the folder of the project."""

    path: Path
    workspace_name: str | None
    resource_group: str | None
    subscription_id: str | None
    talk: Talk
    as_of: str | None = None
    _opened: Workspace | None = None

    def open(self) -> Workspace:
        """The workspace, or what it was as of a moment; opened once, and closed at the end."""
        from runlore.entry.attached_folder import open_workspace

        if self._opened is not None:
            return self._opened
        found = open_workspace(
            self.path,
            self.workspace_name,
            resource_group=self.resource_group,
            subscription_id=self.subscription_id,
        )
        self.talk.say(f"workspace {found.name} in {found.path}")
        click.get_current_context().call_on_close(found.close)
        self._opened = found if self.as_of is None else found.as_of(self.as_of)
        return self._opened

    def find_folder(self) -> Path:
        """The workspace's folder, without opening it."""
        from runlore.entry.attached_folder import find_workspace

        return find_workspace(self.path, self.workspace_name)

    def find_run(self, run_id: str) -> Run:
        """The run of an id, or of the only id that starts so."""
        return self.open().find_run(run_id)

    def experiment_name(self, given: str | None) -> str:
        """The experiment that was given, else that of the attached folder."""
        from runlore.entry.attached_folder import attached_experiment

        return given or attached_experiment(self.path)


def workspace_options(command: F) -> F:
    """Gives the command a `place`."""

    @wraps(command)
    def with_place(
        *args: Any,
        path: Path,
        workspace_name: str | None,
        resource_group: str | None,
        subscription_id: str | None,
        as_of: str | None = None,
        **kwargs: Any,
    ) -> Any:
        talk = click.get_current_context().find_object(Talk) or Talk()
        place = Place(path, workspace_name, resource_group, subscription_id, talk, as_of)
        return command(*args, place=place, **kwargs)

    made: F = decorated(
        with_place,
        click.option("--subscription-id", help="Only a workspace of this Azure subscription."),
        click.option("-g", "--resource-group", help="Only a workspace of this resource group."),
        click.option(
            "-w",
            "--workspace-name",
            "--workspace",
            "workspace_name",
            help="The workspace's name.",
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
    """The same for a command that changes nothing: its `place` may be as of a moment."""
    made: F = click.option(
        "--as-of",
        metavar="MOMENT",
        help="As it was then: a time with its zone, a position of the log, or a checkpoint's file.",
    )(workspace_options(command))
    return made


def output_options(command: F) -> F:
    """Gives the command an `out`, to which it gives its data."""
    return _with_output(command, "-o", "--output")


def output_options_beside_a_file(command: F) -> F:
    """The same where `-o` is the file that the command writes."""
    return _with_output(command, "--output")


def _with_output(command: F, *format_flags: str) -> F:
    @wraps(command)
    def with_output(
        *args: Any,
        output_format: str | None,
        query: str | None,
        output_metadata_file: Path | None,
        debug: bool,
        verbose: bool,
        **kwargs: Any,
    ) -> Any:
        from runlore.cli.output import Output

        context = click.get_current_context()
        talk = context.find_object(Talk) or Talk()
        talk.debug, talk.verbose = debug, verbose
        trailing = kwargs.pop("trailing_query", None)
        if trailing is not None:
            query = _the_query(query, trailing)
        out: Output = Output.of(output_format, query, output_metadata_file)
        return command(*args, out=out, **kwargs)

    made: F = decorated(
        with_output,
        click.option("--query", metavar="JMESPATH", help="Shows what the expression selects."),
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
            help="Also writes the result as JSON to this file, which must not exist.",
        ),
        click.option("--debug", is_flag=True, help="Shows where an error comes from."),
        click.option("--verbose", is_flag=True, help="Says more on stderr."),
    )
    return made


def trust_options(command: F) -> F:
    """Gives the command `trusted`, a file or None, and `checkpoints`, which are files."""
    made: F = decorated(
        command,
        click.option(
            "--trusted",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="Public keys, one a line; default: those that the workspace says it trusts, "
            "which whoever may write to it can change.",
        ),
        click.option(
            "--checkpoint",
            "checkpoints",
            multiple=True,
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="A checkpoint that was kept elsewhere; repeatable.",
        ),
    )
    return made


def trailing_query(command: F) -> F:
    """Lets the command take its query without `--query`, as an argument that starts with `[`."""
    return click.argument("trailing_query", required=False, metavar="[JMESPATH]")(command)


def run_option(command: F) -> F:
    """Gives the command a `run_id`."""
    return click.option(
        "-r", "--run", "run_id", required=True, help="The run's id, or enough of its beginning."
    )(command)


def experiment_option(command: F) -> F:
    """Gives the command an `experiment_name`, which may be None."""
    return click.option(
        "-e",
        "--experiment-name",
        help="The experiment; default: that of the attached folder.",
    )(command)


def _the_query(query: str | None, trailing: str) -> str:
    if not trailing.startswith("["):
        raise click.UsageError(
            f"Got unexpected extra argument ({trailing}); a query without --query starts with '['"
        )
    if query is not None:
        raise click.UsageError("Two queries: one after --query and one at the end.")
    return trailing


def decorated(command: Callable[..., Any], *decorators: Callable[[Any], Any]) -> Any:
    """The command with the decorators, the first of them outermost."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command

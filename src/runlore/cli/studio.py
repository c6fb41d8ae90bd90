"""`runlore studio`: the workspace in a browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import workspace_options
from runlore.domain.errors import UserError

if TYPE_CHECKING:
    from runlore.studio.server import StudioServer


@click.command
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve at.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), help="8080 or the next free one by default."
)
@click.option("--base-path", default="", metavar="PATH", help="The path before all pages' paths.")
@click.option(
    "--name", "names", multiple=True, help="Another name of this host, as browsers see it."
)
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a read-only copy of runs into a new folder, instead of serving.",
)
@click.option(
    "-r", "--run", "run_ids", multiple=True, metavar="ID", help="A run of the copy; repeatable."
)
@workspace_options
def studio(
    host: str,
    port: int | None,
    base_path: str,
    names: tuple[str, ...],
    no_browser: bool,
    folder: Path | None,
    run_ids: tuple[str, ...],
    context: CommandContext,
) -> None:
    """Shows the workspace in a browser until Ctrl-C.

    Only you may look, from this machine. Another --host needs a token, which the printed address
    has. RUNLORE_STUDIO_TOKEN sets the token, and RUNLORE_STUDIO_VIEWER_TOKEN one that cannot change
    anything. Each is SECRET, or NAME:SECRET to record changes as NAME's, or several of these with
    spaces between them. See docs/studio.md.

    With --export, a browser opens DIR/index.html from disk, without a server. Without --run, the
    copy has the newest runs, at most 20.

    \b
    Example:
      runlore studio -w lab
      runlore studio -w lab --export paper -r RUN_ID -r RUN_ID
    """
    if run_ids and folder is None:
        raise click.UsageError("--run chooses the runs of a copy: give --export, too")
    try:
        from runlore.studio.copies.writing import newest_runs, write_copy
        from runlore.studio.server import Serving, StudioServer
    except ModuleNotFoundError as error:
        raise UserError(
            f"the Studio needs {error.name}: install it with `pip install 'runlore[studio]'`"
        ) from error
    if folder is not None:
        workspace = context.open()
        write_copy(workspace, folder, run_ids or newest_runs(workspace))
        click.echo(folder / "index.html")
        return
    serving = Serving(
        host=host,
        port=port,
        base_path=base_path,
        names=names,
        editor_tokens=_taken("RUNLORE_STUDIO_TOKEN"),
        viewer_tokens=_taken("RUNLORE_STUDIO_VIEWER_TOKEN"),
    )
    server = StudioServer(context.open(), serving)
    try:
        server.warm_up()
        server.run(lambda: _show(server, no_browser))
    finally:
        server.close()


def _taken(variable: str) -> list[str]:
    """The tokens of a variable, which no process that is started from here inherits."""
    return os.environ.pop(variable, "").split()


def _show(server: StudioServer, no_browser: bool) -> None:
    click.echo(server.url)
    # All users of a machine see how a process was started: a token stays out of it.
    if not (no_browser or server.needs_token) and _has_desktop():
        webbrowser.open(server.url)


def _has_desktop() -> bool:
    """Whether a browser would have a window, rather than this terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))

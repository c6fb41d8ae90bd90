"""`runlore alert`: tells a command or a webhook of what happens to runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from runlore.alerts.bookmark import Bookmark
from runlore.alerts.command import Command
from runlore.alerts.delivery import Channel, Patience, deliver
from runlore.alerts.occasions import Occasions
from runlore.alerts.watch import Watch
from runlore.alerts.webhook import Webhook
from runlore.cli.command_context import CommandContext
from runlore.cli.options import output_options, workspace_options
from runlore.cli.output import Output
from runlore.engine.moments import position_in
from runlore.workspace import session_of

if TYPE_CHECKING:
    from runlore.alerts.alert import Alert
    from runlore.workspace import Workspace

_WEBHOOK: Final = "RUNLORE_ALERT_WEBHOOK"


@click.command
@click.option(
    "--on",
    "occasions",
    multiple=True,
    default=("alert,failed,lost,nan",),
    show_default="alert,failed,lost,nan",
    help="What to watch for: alert (of run.alert), failed, lost, canceled, completed, nan (a "
    "series' first value that is not finite), a metric (each new value), or a condition such as "
    "'metrics.loss > 10' (once a run). Several with commas between, or more than once.",
)
@click.option(
    "--exec",
    "command",
    metavar="COMMAND",
    help="Run this command for each alert: with JSON on its stdin, and variables such as "
    "RUNLORE_ALERT_TEXT. Not through a shell.",
)
@click.option(
    "--webhook",
    metavar="URL",
    help=f"Send each alert there as JSON. Others see your arguments: the variable {_WEBHOOK} "
    "keeps the URL to yourself.",
)
@click.option("-e", "--experiment-name", help="Only runs of this experiment.")
@click.option(
    "--after",
    metavar="MOMENT",
    help="Begin after this moment; default: where the same watch ended, at first now.",
)
@click.option(
    "--name",
    help="Remember under this name how far the watch has come; default: its occasions and target.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=10.0,
    show_default=True,
    help="Seconds for one attempt to deliver.",
)
@click.option(
    "--retry-for",
    type=click.FloatRange(min=0, max=31_536_000),
    default=3600.0,
    show_default=True,
    help="Give up after so many seconds of attempts for one alert.",
)
@click.option("--once", is_flag=True, help="End when nothing is left to deliver.")
@workspace_options
@output_options
def alert(
    occasions: Sequence[str],
    command: str | None,
    webhook: str | None,
    experiment_name: str | None,
    after: str | None,
    name: str | None,
    timeout: float,
    retry_for: float,
    once: bool,
    context: CommandContext,
    out: Output,
) -> None:
    """Tells a command or a webhook of failed and lost runs, NaN, and whatever you name.

    Runs until it is stopped. Each alert is delivered at least once, in the order of the log: also
    those of the time in which no watch ran, except before the first one. A delivered alert is
    printed, as a line of JSON or, with -o table, of text.

    \b
    Example:
      runlore alert --on failed,lost,nan --webhook https://chat.example.com/hooks/1
      runlore alert --on 'metrics.loss > 10' --exec 'notify-send runlore'
    """
    wanted = Occasions.of(occasions)
    channel, secret = _channel(command, webhook, timeout)
    workspace = context.open()
    session = session_of(workspace)
    watch = name or f"{sorted(str(wanted).split(', '))} {experiment_name!r} {secret}"

    def delivered(alert: Alert) -> None:
        deliver(alert, channel, Patience(retry_for), say=_say)
        _show(alert, out)

    with Bookmark.of(session, watch) as bookmark:
        start = _start(workspace, bookmark, after)
        _say(f"watching {workspace.name} from position {start} on: {wanted}; for {channel.name}")
        watching = Watch(session, wanted, experiment_name, delivered, bookmark, _say)
        with workspace.subscribe(start, topics=wanted.topics) as feed:
            watching.follow(feed, once=once)


def _channel(command: str | None, webhook: str | None, timeout: float) -> tuple[Channel, str]:
    """Where alerts go, and the whole address, by which the watch is remembered."""
    if command is not None and webhook is not None:
        raise click.UsageError("Give one of --exec and --webhook; start two for both.")
    if command is not None:
        return Command(command, timeout), command
    webhook = webhook or os.environ.get(_WEBHOOK)
    if not webhook:
        raise click.UsageError("Missing option '--exec' or '--webhook'.")
    return Webhook(webhook, timeout), webhook


def _start(workspace: Workspace, bookmark: Bookmark, after: str | None) -> int:
    if after is not None:
        return position_in(session_of(workspace), after)
    head = workspace.position
    if bookmark.position is None:
        bookmark.keep(head)
        return head
    return min(bookmark.position, head)


def _show(alert: Alert, out: Output) -> None:
    if out.form == "table" and out.query is None:
        out.line(f"{alert.time.astimezone():%Y-%m-%d %H:%M:%S}  [{alert.level}] {alert.line}")
    else:
        out.json_line(out.chosen(alert.document()))


def _say(text: str) -> None:
    with suppress(OSError):  # A watch goes on when nobody reads what it says.
        click.echo(text, err=True)

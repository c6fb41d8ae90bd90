"""`runlore events`: the events of the log, recorded and to come."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.options import output_options, reading_options
from runlore.cli.output import Columns, Output

if TYPE_CHECKING:
    from runlore.engine.event_feed import LoggedEvent


@click.command
@click.option(
    "--after", metavar="MOMENT", default="0", help="Events after this moment; default: all."
)
@click.option("--stream", help="Events of this stream and the streams below it, such as run/<id>.")
@click.option(
    "--topic",
    "topics",
    multiple=True,
    help="Events of this topic, such as run.tag_set; may be given more than once.",
)
@click.option("--actor", help="Events by this actor.")
@click.option("--limit", type=click.IntRange(min=1), help="At most this many events.")
@click.option("--follow", is_flag=True, help="Continue with new events, a line for each.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    help="With --follow: end after this many seconds without an event.",
)
@reading_options
@output_options
def events(
    after: str,
    stream: str | None,
    topics: Sequence[str],
    actor: str | None,
    limit: int | None,
    follow: bool,
    timeout: float | None,
    context: CommandContext,
    out: Output,
) -> None:
    """Shows the events of the log: what happened, when, and who did it.

    With --follow each event becomes a line of JSON (or of text, with -o table) as soon as any
    process commits it. To resume, give the last position that you saw as --after.

    \b
    Example:
      runlore events --topic run.tag_set --topic run.tag_removed -o table
      runlore events --after 120 --follow
    """
    workspace = context.open()
    chosen: dict[str, Any] = {"stream": stream, "topics": topics, "actor": actor}
    if not follow:
        found = workspace.events(after, **chosen)
        out.put([_document(event) for event in islice(found, limit)], _COLUMNS)
        return
    with workspace.subscribe(after, timeout_s=timeout, **chosen) as feed:
        _follow(islice(feed, limit), out)


def _follow(feed: Iterable[LoggedEvent], out: Output) -> None:
    for event in feed:
        document = _document(event)
        if out.form == "table" and out.query is None:
            out.line("  ".join(str(show(document) or "") for _, show in _COLUMNS))
        else:
            out.json_line(out.chosen(document))


def _document(event: LoggedEvent) -> dict[str, Any]:
    """The event as JSON, without the values of a batch: `run metrics` shows them."""
    data = None if event.data is None else {k: v for k, v in event.data.items() if k != "payload"}
    return {**asdict(event), "time": event.time.isoformat(), "data": data}


_COLUMNS: Columns = (
    ("position", lambda event: event["position"]),
    ("time", lambda event: event["time"][:19].replace("T", " ")),
    ("who", lambda event: event["who"]),
    ("topic", lambda event: event["topic"]),
    ("stream", lambda event: event["stream"]),
    ("data", lambda event: json.dumps(event["data"], ensure_ascii=False, default=str)[:80]),
)

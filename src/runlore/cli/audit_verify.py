"""`runlore audit verify`: whether the log is what was recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from runlore.cli.options import Place, output_options, trust_options, workspace_options
from runlore.cli.output import Columns, Output


@click.command
@trust_options
@workspace_options
@output_options
def verify(trusted: Path | None, checkpoints: tuple[Path, ...], place: Place, out: Output) -> None:
    """Verifies every event, the head, the indexes and all checkpoints that were kept.

    Ends with exit code 0 only if all holds. Nothing is changed; writers may go on meanwhile. See
    docs/audit.md for what this shows and what it cannot.

    \b
    Example:
      runlore audit verify
      runlore audit verify --trusted keys.txt --checkpoint /mnt/elsewhere/1200.txt -o json
    """
    from runlore.audit.folder import read_checkpoint
    from runlore.audit.keys import read_trusted
    from runlore.audit.verify import verify_folder

    with _progress("verifying") as progress:
        found = verify_folder(
            place.find_folder(),
            checkpoints=[read_checkpoint(file) for file in checkpoints],
            trusted=None if trusted is None else read_trusted(trusted),
            progress=progress,
        )
    log = found.log
    count = len(log.findings) + log.more
    click.echo(
        f"{log.size:,} events, {count:,} findings, {len(found.checkpoints):,} checkpoints, "
        f"{sum(one.problem is not None for one in found.checkpoints):,} of them in doubt: "
        f"{'all holds' if found.holds else 'NOT as it was recorded'}",
        err=True,
    )
    data = found.as_dict()
    if out.form == "table" and out.query is None:
        out.put(_lines(data), _COLUMNS)
    else:
        out.put(data)
    if not found.holds:
        raise click.exceptions.Exit(1)


_COLUMNS: Columns = (
    ("what", lambda row: row["what"]),
    ("is", lambda row: row["is"]),
    ("where and how", lambda row: row["how"]),
)


def _lines(data: dict[str, Any]) -> list[dict[str, str]]:
    findings = [
        {"what": "event", "is": one["kind"], "how": one["message"]} for one in data["findings"]
    ]
    if data["more_findings"]:
        findings.append({"what": "", "is": "", "how": f"and {data['more_findings']:,} more"})
    checkpoints = [
        {
            "what": f"checkpoint {one['size']}",
            "is": "in doubt" if one["problem"] else "confirmed",
            "how": one["problem"] or f"signed by {', '.join(one['signed_by'])}",
        }
        for one in data["checkpoints"]
    ]
    return [*findings, *checkpoints]


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], object] | None]:
    """A bar on stderr, if people read it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)

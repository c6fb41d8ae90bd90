"""`runlore audit verify`: verify that the log is what was recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runlore.audit.folder import read_checkpoint
from runlore.audit.keys import read_trusted
from runlore.cli.command_context import CommandContext
from runlore.cli.frame.guard import unguarded
from runlore.cli.options import output_options, trust_options, workspace_options
from runlore.cli.output import Columns, Output
from runlore.workspace import session_of

if TYPE_CHECKING:
    from runlore.audit.bundles.checks import BundleReport


@click.command
@click.argument(
    "bundle", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@trust_options
@workspace_options
@output_options
def verify(
    bundle: Path | None,
    trusted: Path | None,
    checkpoints: tuple[Path, ...],
    context: CommandContext,
    out: Output,
) -> None:
    """Verifies every event, the head, the indexes and all checkpoints.

    The exit code is 0 only if all holds. Nothing is changed, and writers can go on. See
    docs/audit.md for what this shows and what it cannot. With BUNDLE, that file is verified by
    itself, without a workspace; with --trusted, a trusted key must have signed the log's head
    that its events lead to, and with -w, the events must be at their positions in that log.

    \b
    Example:
      runlore audit verify
      runlore audit verify run.bundle --trusted keys.txt
      runlore audit verify --trusted keys.txt --checkpoint /mnt/elsewhere/1200.txt -o json
    """
    from runlore.audit.verify import verify_folder

    if bundle is not None:
        if checkpoints:
            raise click.UsageError("A bundle has its own checkpoints: --checkpoint is for logs.")
        _verify_bundle(bundle, trusted, out)
        if context.workspace is not None:
            _compare(bundle, context)
        return
    with _progress("verifying") as progress:
        found = verify_folder(
            context.find_address(),
            checkpoints=[read_checkpoint(file) for file in checkpoints],
            trusted=None if trusted is None else read_trusted(trusted),
            progress=progress,
        )
    log = found.log
    count = len(log.findings) + log.more
    click.echo(
        f"{log.size:,} events, {count:,} findings, {len(found.checkpoints):,} checkpoints, "
        f"{sum(checked.problem is not None for checked in found.checkpoints):,} of them in doubt: "
        f"{'all holds' if found.holds else 'NOT as it was recorded'}",
        err=True,
    )
    if found.is_unsigned:
        click.echo("there is no checkpoint that a trusted key could have signed", err=True)
    if found.is_self_signed:
        names = ", ".join(found.strangers)
        click.echo(
            f"only the workspace itself says whose key has signed it: {names}; whoever made or "
            "changed the workspace can have made that key: to know that it is what somebody "
            "signed, get their public key another way and give it with --trusted",
            err=True,
        )
    data = found.as_dict()
    if out.form == "table" and out.query is None:
        out.put(_lines(data), _COLUMNS)
    else:
        out.put(data)
    if not found.holds:
        raise click.exceptions.Exit(1)


def _verify_bundle(bundle: Path, trusted: Path | None, out: Output) -> None:
    from runlore.audit.bundles.checks import verify_bundle

    report = verify_bundle(bundle, trusted=None if trusted is None else read_trusted(trusted))
    findings = [finding._asdict() for finding in report.findings]
    manifest = report.manifest
    if out.form in ("json", "jsonc") or out.query is not None:
        out.put(_bundle_document(report, findings))
    else:
        out.put(findings, _BUNDLE_COLUMNS, heads=_BUNDLE_HEADS)
    if report.findings or manifest is None:
        raise click.exceptions.Exit(1)
    click.echo(
        f"{manifest.events:,} events are whole, and in the log of {manifest.workspace.name} "
        f"of {manifest.head.size:,} events with the root {manifest.head.root}",
        err=True,
    )
    if report.unsigned is not None:
        raise click.ClickException(report.unsigned)


def _compare(bundle: Path, context: CommandContext) -> None:
    """Fails if the log of the workspace has other events at the positions of the bundle's."""
    from runlore.audit.bundles.copies import first_difference_in

    workspace = context.open()
    position = first_difference_in(session_of(workspace), bundle)
    if position is not None:
        raise click.ClickException(
            f"the log of {workspace.name} has another event at position {position}: the bundle is "
            "of another log, or of a copy of this one that was written to"
        )
    click.echo(f"the log of {workspace.name} has the same events at these positions", err=True)


def _bundle_document(report: BundleReport, findings: list[dict[str, Any]]) -> dict[str, Any]:
    manifest = report.manifest
    said: dict[str, Any] = {"holds": report.holds, "findings": findings}
    if manifest is not None:
        workspace, head = manifest.workspace, manifest.head
        said |= {"events": manifest.events, "workspace": workspace.name, "size": head.size}
        said |= {"root": head.root}
    return {**said, "unsigned": report.unsigned}


_BUNDLE_HEADS = ("problem", "message", "entry", "position")
_BUNDLE_COLUMNS: Columns = (
    ("problem", lambda row: row["problem"]),
    ("entry", lambda row: row["entry"]),
    ("message", lambda row: row["message"]),
)
_COLUMNS: Columns = (
    ("what", lambda row: row["what"]),
    ("is", lambda row: row["is"]),
    ("where and how", lambda row: row["how"]),
)


def _lines(data: dict[str, Any]) -> list[dict[str, str]]:
    findings = [
        {"what": "event", "is": finding["kind"], "how": finding["message"]}
        for finding in data["findings"]
    ]
    if data["more_findings"]:
        findings.append({"what": "", "is": "", "how": f"and {data['more_findings']:,} more"})
    checkpoints = [
        {
            "what": f"checkpoint {checked['size']}",
            "is": "in doubt" if checked["problem"] else "confirmed",
            "how": checked["problem"] or f"signed by {', '.join(checked['signed_by'])}",
        }
        for checked in data["checkpoints"]
    ]
    return [*findings, *checkpoints]


@contextmanager
def _progress(task_name: str) -> Iterator[Callable[[int, int], object] | None]:
    """A progress bar on stderr, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=unguarded(sys.stderr)), transient=True) as bar:
        task = bar.add_task(task_name)
        yield lambda done, total: bar.update(task, completed=done, total=total)

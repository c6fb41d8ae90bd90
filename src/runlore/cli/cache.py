"""`runlore cache`: the tables that queries read, kept for this user outside of workspaces."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.lazy import LazyGroup
from runlore.cli.options import output_options, workspace_options
from runlore.cli.output import Columns, Output
from runlore.domain.errors import UserError
from runlore.engine.places import folder_of, is_address
from runlore.projections.cached_tables import (
    CachedLog,
    cached_logs,
    clean,
    limit_nbytes,
    nbytes_in_workspace,
)
from runlore.projections.shared_tables import publish
from runlore.storage.user_cache import find_cache
from runlore.workspace import session_of

cache = LazyGroup(
    "cache",
    help="Shows, removes and shares the tables that queries read; they are made when needed.",
    places={
        "show": "cache:show",
        "clean": "cache:clean_",
        "publish": "cache:publish_",
    },
)

_PREFIXES: Final = ("", "k", "M", "G", "T")
_WHICH: Columns = (
    ("workspace", lambda row: row["workspace"]),
    ("folder", lambda row: row["folder"]),
)


@click.command
@workspace_options
@output_options
def show(context: CommandContext, out: Output) -> None:
    """Lists the workspaces whose tables are kept, the ones used last first.

    All of them, or those of -w, or those in the folder --path. The cache's folder, size and limit
    are printed to stderr.

    \b
    Example:
      runlore cache show -o table
    """
    limit = limit_nbytes()
    logs = _logs()
    total = sum(log.nbytes for log in logs)
    click.echo(f"{find_cache().folder}: {_size(total)} of at most {_size(limit)}", err=True)
    out.put(
        [_record(log) for log in logs if _is_of(log, context)],
        columns=(
            *_WHICH,
            ("versions", lambda row: len(row["versions"])),
            ("size", lambda row: _size(row["nbytes"])),
            ("last used", lambda row: (row["last_used"] or "")[:19]),
            ("processes", lambda row: " ".join(map(str, row["processes"]))),
        ),
    )


@click.command("clean")
@click.option(
    "--old-versions", is_flag=True, help="Keep the tables that were used last, of each workspace."
)
@workspace_options
@output_options
def clean_(old_versions: bool, context: CommandContext, out: Output) -> None:
    """Removes tables, but those that a living process has open, and shows what was freed.

    Those of all workspaces, or of -w, or of those in the folder --path. Also tables that earlier
    versions of runlore kept in these workspaces' own folders.

    \b
    Example:
      runlore cache clean -w myworkspace
    """
    out.put(
        [
            {**_identity(log), "freed_nbytes": clean(log, only_old=old_versions)}
            for log in _logs()
            if _is_of(log, context)
        ],
        columns=(*_WHICH, ("freed", lambda row: _size(row["freed_nbytes"]))),
    )


@click.command("publish")
@workspace_options
@output_options
def publish_(context: CommandContext, out: Output) -> None:
    """Shares this machine's tables of a workspace on a server, so that other machines start there.

    They become an artifact, and an event names its digest. A machine that is 100,000 events behind
    fetches them, where the folder of artifacts is shared, and reads on from there.

    \b
    Example:
      runlore cache publish -w 'postgresql://db/lab?schema=team'
    """
    session = session_of(context.open())
    if not session.log.may_be_away or session.erasable:
        raise UserError(
            f"the tables of {session.uri} are not shared: only those of a workspace on a server "
            "are, that is not erasable; other users make their own"
        )
    projection = session.reader().projection
    projection.refresh()
    projection.publish()
    newest = next(iter(projection.published()), None)
    if newest is None:
        raise UserError("there are no tables in the cache to share; `runlore cache show` says why")
    event = publish(newest, projection.tables_version, session.shared_artifacts, session.journal)
    out.put({name: getattr(event, name) for name in type(event).field_names})


def _logs() -> list[CachedLog]:
    folder, problem = find_cache()
    if problem is not None:
        click.echo(f"warning: {problem}", err=True)
    if folder is None:
        raise click.ClickException("there is no cache: tables are kept in memory, by each process")
    return cached_logs(folder)


def _is_of(log: CachedLog, context: CommandContext) -> bool:
    """Whether the options select the log's workspace, which need not be there any more."""
    everywhere = context.path == Path(".")
    if log.origin is None:
        return everywhere and context.workspace is None
    if context.workspace is not None and is_address(context.workspace):
        return log.origin.folder == str(folder_of(context.workspace))
    inside = everywhere or Path(log.origin.folder).is_relative_to(folder_of(context.path))
    return inside and context.workspace in (None, log.origin.name, log.origin.workspace_id)


def _identity(log: CachedLog) -> dict[str, Any]:
    """Of a log whose origin is damaged, all are None."""
    origin = log.origin
    return {
        "workspace": origin and origin.name,
        "workspace_id": origin and origin.workspace_id,
        "folder": origin and origin.folder,
    }


def _record(log: CachedLog) -> dict[str, Any]:
    used = log.last_use_ns
    return {
        **_identity(log),
        "versions": [tables.path.name for tables in log.versions],
        "nbytes": log.nbytes,
        "in_workspace_nbytes": sum(map(nbytes_in_workspace, log.in_workspace)),
        "last_used": datetime.fromtimestamp(used // 10**9, UTC).isoformat() if used else None,
        "processes": log.processes,
    }


def _size(nbytes: float) -> str:
    for prefix in _PREFIXES[:-1]:
        if nbytes < 1000:
            return f"{nbytes:.3g} {prefix}B"
        nbytes /= 1000
    return f"{nbytes:,.1f} {_PREFIXES[-1]}B"

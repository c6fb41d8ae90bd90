"""The audit report: all that the log says of a run or an experiment, as one page for people.

One file, without scripts or anything from elsewhere. Whatever was logged, names included, is
text to it: every value goes through `_text`, and the page forbids scripts by its own policy.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from os import PathLike
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

import msgpack

from runlore.domain import run_state
from runlore.domain.errors import InvalidInput, RunGone
from runlore.domain.fact import utc_time
from runlore.domain.ids import run_stream, values_prefix
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.history import Change, history_of
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.atomic_files import replacing
from runlore.storage.codec import fact_of
from runlore.storage.log_query import LogQuery
from runlore.storage.snapshots import read_manifest

if TYPE_CHECKING:
    from runlore.domain.run_state import RunState
    from runlore.engine.session import Session
    from runlore.storage.event_log import StoredRow
    from runlore.storage.log_head import LogHead
    from runlore.workspace import Workspace

RUNS_MAX: Final = 1_000
"""So many runs are in one report; of an experiment that has more, the newest."""

_CHARS_MAX: Final = 2_000
_FILES_MAX: Final = 500


class Html(str):
    """Text that is HTML already; all other text is escaped where it is put into the page."""


def report(
    workspace: Workspace,
    path: str | PathLike[str],
    *,
    run: str | None = None,
    experiment: str | None = None,
) -> int:
    """Writes the report of one run, or of all runs of an experiment; returns how many they are.

    It has the timeline with who did what, properties with who set them, changes that were
    refused, source and git state, digests of files, what was submitted, the log's head and how
    to verify it. Raises RunNotFound, ExperimentNotFound; InvalidInput unless one of both is
    given.
    """
    if (run is None) == (experiment is None):
        raise InvalidInput("a report is of one run or of one experiment: name one of them")
    from runlore.workspace import session_of

    session = session_of(workspace)
    session.flush()
    head = session.log.head()
    if run is not None:
        RunHandle.existing(session, run)
        ids = [run]
        title = f"Run {run}"
    else:
        assert experiment is not None
        ids, title = _of_experiment(session, experiment, head.position), f"Experiment {experiment}"
    page = Template(files(__package__).joinpath("report.html").read_text()).substitute(
        title=_text(title),
        subtitle=_text(
            f"Workspace {session.workspace.name}, as its log of {head.size:,} events says it"
        ),
        body=_joined(
            [
                *(_run(session, run_id, head.position) for run_id in ids),
                _log(session, head, ids[0] if ids else None),
            ]
        ),
    )
    with replacing(Path(path)) as file:
        file.write(page.encode())
    return len(ids)


def _of_experiment(session: Session, name: str, position: int) -> list[str]:
    """The ids of its newest runs, children included, oldest first."""
    from runlore.audit.bundles.selection import runs_of_experiment

    newest = list(runs_of_experiment(session, name, position))[:RUNS_MAX]
    return newest[::-1]


# --- one run ---------------------------------------------------------------------------------


def _run(session: Session, run_id: str, position: int) -> Html:
    rows = session.log.read_stream(run_stream(run_id), upto_position=position)
    values = session.log.read_log(LogQuery(prefix=values_prefix(run_id), upto_position=position))
    facts = [fact_of(row) for row in rows]
    state = run_state.fold(None, facts)
    if state is None:  # Only events of a newer runlore: they are counted, and that is all.
        return _section(run_id, [_paragraph("Nothing that this runlore can read.")])
    together = sorted([*facts, *map(fact_of, values)], key=lambda fact: fact.position)
    changes = list(history_of(together, session.journal.name_of))
    parts = [
        _summary(session, state, rows[0]),
        _timeline([one for one in changes if one.what != "property_added"]),
        _properties(state, changes),
        _refused(changes),
        _source(session, state),
        _files(state),
        _definition(state),
    ]
    return _section(f"Run {run_id}", parts)


def _summary(session: Session, state: RunState, first: StoredRow) -> Html:
    said: dict[str, object] = {
        "status": Html(f'<span class="status {_text(state.status)}">{_text(state.status)}</span>'),
        "experiment": f"{state.experiment_name} ({state.experiment_id})",
        "display name": state.display_name,
        "description": state.description,
        "parent": state.parent_id,
        "created": f"{_time(state.created_at)} by {session.journal.name_of(state.created_by)}",
        "started": state.started_at and _time(state.started_at),
        "ended": state.ended_at and _time(state.ended_at),
        "error": state.error and (state.error.get("message") or state.error.get("code")),
        "imported from": _origin(first),
        "tags": ", ".join(
            key if value is None else f"{key} = {value}" for key, value in state.tags.items()
        ),
    }
    return _pairs({name: value for name, value in said.items() if value})


def _origin(row: StoredRow) -> str | None:
    """Where and when an imported event was written first."""
    origin = (msgpack.unpackb(row.metadata) if row.metadata else {}).get("origin")
    if not isinstance(origin, dict):
        return None
    return f"workspace {origin['workspace']}, written there {_time(origin['recorded_at'])}"


def _timeline(changes: Sequence[Change]) -> Html:
    rows = [
        (
            Html('<tr class="refused">' if change.what == "change_refused" else "<tr>"),
            (
                (change.position, "number"),
                (f"{change.time:%Y-%m-%d %H:%M:%S}", "time"),
                (change.who, ""),
                (change.what.replace("_", " "), ""),
                (change.key, ""),
                (_change(change), ""),
            ),
        )
        for change in changes
    ]
    heads = ("position", "time (UTC)", "who", "what", "of", "change")
    return _titled("Timeline", _table(heads, rows))


def _change(change: Change) -> str:
    new = "" if change.new is None else str(change.new)
    told = new if change.old is None else f"{change.old} → {new}"
    return f"{told} ({change.reason})" if change.reason else told


def _properties(state: RunState, changes: Sequence[Change]) -> Html:
    by = {change.key: change for change in changes if change.what == "property_added"}
    rows = [
        (
            Html("<tr>"),
            (
                (key, ""),
                (held.value, ""),
                (by[key].who if key in by else None, ""),
                (_time(held.since), "time"),
            ),
        )
        for key, held in state.properties.items()
    ]
    heads = ("property", "value", "set by", "time (UTC)")
    return _titled("Properties, and who set them first", _table(heads, rows))


def _refused(changes: Sequence[Change]) -> Html:
    rows = [
        (
            Html('<tr class="refused">'),
            (
                (change.position, "number"),
                (f"{change.time:%Y-%m-%d %H:%M:%S}", "time"),
                (change.who, ""),
                (change.key, ""),
                (change.old, ""),
                (change.new, ""),
                (change.reason, ""),
            ),
        )
        for change in changes
        if change.what == "change_refused"
    ]
    heads = ("position", "time (UTC)", "who", "of", "held", "asked for", "why not")
    return _titled("Refused changes", _table(heads, rows))


_GIT: Final = ("azureml.git.", "mlflow.source.git.")


def _source(session: Session, state: RunState) -> Html:
    git = {key: held.value for key, held in state.properties.items() if key.startswith(_GIT)}
    parts = [_pairs(git)] if git else []
    if state.snapshot_manifest is not None:
        said = {"snapshot": state.snapshot_id, "SHA-256 of its manifest": state.snapshot_manifest}
        parts.append(_pairs(said))
        parts.append(_snapshot(session, state.run_id, state.snapshot_manifest))
    return _titled("Source code", _joined(parts))


def _snapshot(session: Session, run_id: str, manifest: str) -> Html:
    try:
        lines = read_manifest(manifest, session.artifacts_of(run_id))
    except (ArtifactMissing, RunGone):
        return _paragraph("The list of its files is not in this workspace.")
    rows = [
        (
            Html("<tr>"),
            ((line.name, ""), (f"{line.nbytes:,}", "number"), (_code(line.sha256), "")),
        )
        for line in lines[:_FILES_MAX]
    ]
    table = _table(("file", "bytes", "SHA-256"), rows)
    if len(lines) > _FILES_MAX:
        return _joined([table, _paragraph(f"and {len(lines) - _FILES_MAX:,} more files")])
    return table


def _files(state: RunState) -> Html:
    rows = [
        (
            Html("<tr>"),
            ((name, ""), (f"{held.nbytes:,}", "number"), (_code(held.sha256), "")),
        )
        for name, held in state.artifacts.items()
    ]
    return _titled("Files", _table(("name", "bytes", "SHA-256"), rows))


def _definition(state: RunState) -> Html:
    if state.definition is None:
        return Html("")
    text = json.dumps(state.definition, indent=2, ensure_ascii=False, sort_keys=True, default=str)
    return _titled("Submitted as", Html(f"<pre>{_text(text, 100_000)}</pre>"))


# --- the log ---------------------------------------------------------------------------------


def _log(session: Session, head: LogHead, run_id: str | None) -> Html:
    said: dict[str, object] = {
        "workspace": f"{session.workspace.name} ({session.workspace.workspace_id})",
        "events": f"{head.size:,}",
        "last position": head.position,
        "recorded": _time(head.recorded_at),
        "Merkle root": _code(head.frontier.root.hex()),
        "newest checkpoint": _newest_checkpoint(session),
    }
    parts = [
        _pairs({name: value for name, value in said.items() if value is not None}),
        _paragraph(
            "Every event of the log is a leaf of a Merkle tree (RFC 6962), whose root this is. A "
            "change of any event changes the root: whoever kept the root of before, as this page "
            "or as a signed checkpoint, can tell. The page itself proves nothing: it says what "
            "the log said."
        ),
    ]
    if run_id is not None:
        commands = (
            "runlore audit verify                     # the whole log, event by event",
            "runlore audit replay                     # what is shown, beside the log",
            f"runlore audit export -r {run_id} -o proof.bundle",
            "runlore audit verify proof.bundle # says the root: compare it with this one",
        )
        parts.append(Html(f"<pre>{_text(chr(10).join(commands))}</pre>"))
    return _section("The log, and how to verify it", parts, is_run=False)


def _newest_checkpoint(session: Session) -> Html | None:
    if session.files is None:
        return None
    found = sorted((session.files / "audit" / "checkpoints").glob("*.txt"))
    if not found:
        return None
    newest = max(found, key=lambda path: path.stat().st_mtime_ns)
    return Html(f"<pre>{_text(newest.read_text(errors='replace'))}</pre>")


# --- HTML --------------------------------------------------------------------------------------


Row = tuple[Html, Sequence[tuple[object, str]]]
"""How a row begins, and its cells, each with its class."""


def _text(value: object, max_chars: int = _CHARS_MAX) -> Html:
    """A value as HTML. Long ones are cut; what turns the direction of writing is made visible."""
    if isinstance(value, Html):
        return value
    text = str(value)
    if len(text) > max_chars:
        text = f"{text[:max_chars]} … ({len(text) - max_chars:,} characters more)"
    return Html(html.escape("".join(map(_visible, text))))


def _visible(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    return f"\\u{ord(character):04x}"


def _time(microseconds: int) -> str:
    return f"{utc_time(microseconds):%Y-%m-%d %H:%M:%S} UTC"


def _code(text: str) -> Html:
    return Html(f"<code>{_text(text)}</code>")


def _joined(parts: Iterable[Html]) -> Html:
    return Html("\n".join(part for part in parts if part))


def _paragraph(text: str) -> Html:
    return Html(f"<p>{_text(text)}</p>")


def _titled(title: str, content: Html) -> Html:
    return Html(f"<h3>{_text(title)}</h3>\n{content}") if content else content


def _section(title: str, parts: Iterable[Html], *, is_run: bool = True) -> Html:
    kind = ' class="run"' if is_run else ""
    return Html(f"<section{kind}>\n<h2>{_text(title)}</h2>\n{_joined(parts)}\n</section>")


def _pairs(said: Mapping[str, object]) -> Html:
    rows = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in said.items())
    return Html(f"<dl>{rows}</dl>")


def _table(heads: Sequence[str], rows: Sequence[Row]) -> Html:
    if not rows:
        return Html("")
    head = "".join(f"<th>{_text(one)}</th>" for one in heads)
    body = "\n".join(
        f"{begin}{''.join(_cell(*cell) for cell in cells)}</tr>" for begin, cells in rows
    )
    return Html(f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>")


def _cell(value: object, kind: str) -> str:
    shown = "" if value is None else _text(value)
    return f'<td class="{kind}">{shown}</td>' if kind else f"<td>{shown}</td>"

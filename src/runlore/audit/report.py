"""The audit report: everything that the log says of a run or an experiment, as one HTML page.

The page is one file without scripts or external resources. Anything that was logged, names
included, is escaped (see `runlore.shown.elements`), and the page's own policy forbids scripts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.resources import files
from os import PathLike
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

import msgpack

from runlore.audit.bundles.selection import runs_of_experiment
from runlore.audit.folder import AuditFolder, BadCheckpoint
from runlore.domain import run_state
from runlore.domain.errors import InvalidInput, RunGone
from runlore.domain.fact import utc_time
from runlore.domain.ids import run_stream, values_prefix
from runlore.engine.past import PastSession
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.history import Change, history_of
from runlore.shown.elements import (
    Html,
    Row,
    code,
    escaped,
    joined,
    pairs,
    paragraph,
    preformatted,
    section,
    table,
    titled,
)
from runlore.storage.artifact_backend import ArtifactCorrupt, ArtifactMissing
from runlore.storage.artifact_places import ArtifactFolderMissing
from runlore.storage.atomic_files import replacing
from runlore.storage.codec import fact_of
from runlore.storage.errors import LogCorrupt
from runlore.storage.held_folder import UnsafeEntry
from runlore.storage.log_query import LogQuery
from runlore.storage.safe_paths import UnsafePath
from runlore.storage.snapshots import NotASnapshot, read_manifest
from runlore.storage.value_codec import Series, series_of
from runlore.storage.value_reader import read_batch
from runlore.version import VERSION

if TYPE_CHECKING:
    from runlore.domain.fact import Fact
    from runlore.domain.run_state import RunState
    from runlore.engine.session import Session
    from runlore.storage.event_log import StoredRow
    from runlore.storage.log_head import LogHead

RUNS_MAX: Final = 1_000
"""How many runs one report holds; of an experiment with more, the newest."""

_DEFINITION_CHARS_MAX: Final = 100_000
_FILES_MAX: Final = 500


def report(
    session: Session,
    path: str | PathLike[str],
    *,
    run: str | None = None,
    experiment: str | None = None,
) -> int:
    """Write the report of a run, or of an experiment's runs; return the number of runs.

    It shows the timeline with who did what, properties with who set them, refused changes,
    source and git state, digests of files, what was submitted, the log's head and how to verify
    it. Raises RunNotFound, ExperimentNotFound; InvalidInput unless exactly one of `run` and
    `experiment` is given.
    """
    if (run is None) == (experiment is None):
        raise InvalidInput("a report is of one run or of one experiment: name one of them")
    session.before_read()
    head = session.log.head()
    if run is not None:
        ids = [run]
        title = _called(RunHandle.existing(session, run).state)
    else:
        assert experiment is not None
        ids, title = _newest_runs(session, experiment, head.position), f"Experiment {experiment}"
    page = Template(
        files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    ).substitute(
        title=escaped(title),
        subtitle=escaped(
            f"Workspace {session.workspace.name}, as its log of {head.size:,} events "
            f"{'said' if isinstance(session, PastSession) else 'says'} it. "
            f"Written at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC by "
            f"{session.opening['actor']} with runlore {VERSION}"
        ),
        body=joined(
            [
                *(_run(session, run_id, head.position) for run_id in ids),
                _log(session, head, ids[0] if ids else None),
            ]
        ),
    )
    with replacing(Path(path)) as file:
        file.write(page.encode())
    return len(ids)


def _newest_runs(session: Session, experiment: str, position: int) -> list[str]:
    """The ids of the experiment's newest runs, children included, oldest first."""
    newest = list(runs_of_experiment(session, experiment, position))[:RUNS_MAX]
    return newest[::-1]


# --- one run ---------------------------------------------------------------------------------


def _run(session: Session, run_id: str, position: int) -> Html:
    rows = session.log.read_stream(run_stream(run_id), upto_position=position)
    values = session.log.read_log(LogQuery(prefix=values_prefix(run_id), upto_position=position))
    facts = [fact_of(row) for row in rows]
    state = run_state.fold(None, facts)
    if state is None:  # Only events of a newer runlore.
        return section(run_id, [paragraph("Nothing that this runlore can read.")], css_class="run")
    facts_of_values = [fact_of(row) for row in values]
    ordered = sorted([*facts, *facts_of_values], key=lambda fact: fact.position)
    changes = list(history_of(ordered, session.journal.name_of))
    parts = [
        _summary(session, state, rows[0]),
        _timeline([change for change in changes if change.what != "property_added"]),
        _properties(changes),
        _metrics(facts_of_values),
        _refused([change for change in changes if change.what == "change_refused"]),
        _source(session, state),
        _files(state),
        _definition(state),
    ]
    return section(_called(state), parts, css_class="run")


def _called(state: RunState) -> str:
    if state.display_name in (None, state.run_id):
        return f"Run {state.run_id}"
    return f"Run {state.display_name} ({state.run_id})"


def _summary(session: Session, state: RunState, first: StoredRow) -> Html:
    status = escaped(state.status)
    creator = session.journal.name_of(state.created_by, state.created_for)
    values: dict[str, object] = {
        "status": Html(f'<span class="status {status}">{status}</span>'),
        "experiment": f"{state.experiment_name} ({state.experiment_id})",
        "display name": state.display_name,
        "description": state.description,
        "parent": state.parent_id,
        "created": f"{_time(state.created_at)} by {creator}",
        "started": state.started_at and _time(state.started_at),
        "ended": state.ended_at and _time(state.ended_at),
        "error": state.error and (state.error.get("message") or state.error.get("code")),
        "imported from": _origin(first),
        "tags": ", ".join(
            key if value is None else f"{key} = {value}" for key, value in state.tags.items()
        ),
    }
    return pairs({name: value for name, value in values.items() if value})


def _origin(row: StoredRow) -> str | None:
    """Where and when an imported event was first written."""
    origin = (msgpack.unpackb(row.metadata) if row.metadata else {}).get("origin")
    if not isinstance(origin, dict):
        return None
    written = _time(origin["observed_at" if "observed_at" in origin else "recorded_at"])
    return f"workspace {origin['workspace']}, written there {written}"


def _timeline(changes: Sequence[Change]) -> Html:
    rows = [
        Row(
            (
                (change.position, "number"),
                (_moment(change.time), "time"),
                (change.who, ""),
                (change.what.replace("_", " "), ""),
                (change.key, ""),
                (_old_and_new(change), ""),
            ),
            "refused" if change.what == "change_refused" else "",
        )
        for change in changes
    ]
    headings = ("position", "time (UTC)", "who", "what", "name", "change")
    return titled("Timeline", table(headings, rows))


def _old_and_new(change: Change) -> str:
    new = "" if change.new is None else str(change.new)
    text = new if change.old is None else f"{change.old} → {new}"
    return f"{text} ({change.reason})" if change.reason else text


def _properties(changes: Sequence[Change]) -> Html:
    """Every value that a property ever had, in the order in which they came."""
    rows = [
        Row(
            (
                (change.key, ""),
                (change.new, ""),
                (change.who, ""),
                (_moment(change.time), "time"),
                (change.reason, ""),
            )
        )
        for change in changes
        if change.what in ("property_added", "property_corrected")
    ]
    headings = ("property", "value", "set by", "time (UTC)", "reason of a correction")
    return titled("Properties, with every value that they had", table(headings, rows))


def _metrics(batches: Sequence[Fact]) -> Html:
    """How many values each metric has, and the last one."""
    counts: Counter[Series] = Counter()
    newest: dict[Series, Fact] = {}
    for batch in batches:
        for described in (batch.data or {}).get("series", ()):
            series = series_of(described)
            counts[series] += described["n"]
            newest[series] = batch
    rows = [
        Row(((series.name, ""), (f"{counts[series]:,}", "number"), (shown, ""), (step, "number")))
        for series, batch in newest.items()
        for shown, step in _last_of(batch, series)
    ]
    return titled("Metrics", table(("metric", "values", "last value", "at step"), rows))


def _last_of(batch: Fact, series: Series) -> Iterator[tuple[str, int]]:
    """The last value of a series in a batch, and its step; nothing if the batch is damaged."""
    with suppress(LogCorrupt):
        for block in read_batch(dict(batch.data or {}), name=series.name):
            if block.series == series and len(block):
                last = [column[-1] for column in block.columns]
                named = zip(series.columns, last, strict=False)
                shown = ", ".join(f"{name} = {value}" for name, value in named) or str(last[0])
                yield shown, int(block.steps[-1])


def _refused(changes: Sequence[Change]) -> Html:
    rows = [
        Row(
            (
                (change.position, "number"),
                (_moment(change.time), "time"),
                (change.who, ""),
                (change.key, ""),
                (change.old, ""),
                (change.new, ""),
                (change.reason, ""),
            ),
            "refused",
        )
        for change in changes
    ]
    headings = ("position", "time (UTC)", "who", "name", "held", "asked for", "why not")
    return titled("Refused changes", table(headings, rows))


_GIT: Final = ("azureml.git.", "mlflow.source.git.")


def _source(session: Session, state: RunState) -> Html:
    git = {key: held.value for key, held in state.properties.items() if key.startswith(_GIT)}
    parts = [pairs(git)] if git else []
    if state.snapshot_manifest is not None:
        parts.append(
            pairs(
                {"snapshot": state.snapshot_id, "SHA-256 of its manifest": state.snapshot_manifest}
            )
        )
        parts.append(_snapshot(session, state.run_id, state.snapshot_manifest))
    return titled("Source code", joined(parts))


def _snapshot(session: Session, run_id: str, manifest: str) -> Html:
    try:
        lines = read_manifest(manifest, session.artifacts_of(run_id))
    except (ArtifactMissing, ArtifactFolderMissing, RunGone):
        return paragraph("The list of its files is not in this workspace.")
    except (ArtifactCorrupt, NotASnapshot, UnsafePath, UnsafeEntry) as error:
        return paragraph(f"The list of its files cannot be read: {error}")
    rows = [_file(line.name, line.nbytes, line.sha256) for line in lines[:_FILES_MAX]]
    listed = table(("file", "bytes", "SHA-256"), rows)
    if len(lines) > _FILES_MAX:
        return joined([listed, paragraph(f"and {len(lines) - _FILES_MAX:,} more files")])
    return listed


def _files(state: RunState) -> Html:
    rows = [_file(name, kept.nbytes, kept.content or "") for name, kept in state.artifacts.items()]
    return titled("Files", table(("name", "bytes", "SHA-256 or URI"), rows))


def _file(name: str, nbytes: int | None, content: str) -> Row:
    size = "unknown" if nbytes is None else f"{nbytes:,}"
    return Row(((name, ""), (size, "number"), (code(content), "")))


def _definition(state: RunState) -> Html:
    if state.definition is None:
        return Html("")
    text = json.dumps(state.definition, indent=2, ensure_ascii=False, sort_keys=True, default=str)
    return titled("Submitted as", preformatted(text, _DEFINITION_CHARS_MAX))


# --- the log ---------------------------------------------------------------------------------


def _log(session: Session, head: LogHead, run_id: str | None) -> Html:
    checkpoint = _newest_checkpoint(session, head.size)
    values: dict[str, object] = {
        "workspace": f"{session.workspace.name} ({session.workspace.workspace_id})",
        "events": f"{head.size:,}",
        "last position": head.position,
        "recorded": _time(head.recorded_at),
        "Merkle root": code(head.frontier.root.hex()),
        **({} if checkpoint is None else {"newest checkpoint": checkpoint}),
    }
    parts = [
        pairs(values),
        paragraph(
            "Every event of the log is a leaf of a Merkle tree (RFC 6962), and this is its root. A "
            "change of any event changes the root: anyone who kept an earlier root, as this page "
            "or as a signed checkpoint, can detect it. The page itself proves nothing: it repeats "
            "what the log said."
        ),
    ]
    if run_id is not None:
        commands = (
            "runlore audit verify                     # the whole log, event by event",
            "runlore audit replay                     # what is shown, compared with the log",
            f"runlore audit export -r {run_id} -o proof.bundle",
            "runlore audit verify proof.bundle # prints the root: compare it with this one",
        )
        parts.append(preformatted("\n".join(commands)))
    return section("The log, and how to verify it", parts)


def _newest_checkpoint(session: Session, size: int) -> Html | None:
    try:
        newest = None if session.held is None else AuditFolder(session.held).last()
    except BadCheckpoint as error:  # The rest of the report holds all the same.
        return paragraph(str(error))
    # One of the past does not show which of the earlier ones was the newest then.
    return None if newest is None or newest.size > size else preformatted(newest.note)


def _moment(time: datetime) -> str:
    """A time to the microsecond: several events share a second."""
    return f"{time:%Y-%m-%d %H:%M:%S.%f}"


def _time(microseconds: int) -> str:
    return f"{utc_time(microseconds):%Y-%m-%d %H:%M:%S} UTC"

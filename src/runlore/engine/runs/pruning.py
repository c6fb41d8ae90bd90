"""Giving up the bytes of files of runs that have ended; names, digests and sizes stay in the log.

First an event says who gives up which files, and why. Then bytes are removed that nothing else in
the log refers to. So a killed pruning leaves too many bytes, never too few, and the next pruning,
of whatever files, removes them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from runlore.domain.errors import InvalidInput, RunloreError
from runlore.domain.events import ArtifactAdded, ArtifactPruned, SnapshotTaken, TablesPublished
from runlore.domain.filtering.expressions import Value
from runlore.domain.ids import run_id_of, run_stream
from runlore.domain.run_commands import PruneArtifacts
from runlore.domain.status import TERMINAL
from runlore.domain.text import check_reason
from runlore.engine.checks import as_count
from runlore.engine.moments import parsed
from runlore.engine.runs.handle import RunHandle
from runlore.projections.filters import RunFilter
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.codec import decode_event
from runlore.storage.log_query import LogQuery
from runlore.storage.snapshots import read_manifest

if TYPE_CHECKING:
    from datetime import datetime

    from runlore.engine.moments import Moment
    from runlore.engine.session import LiveSession, Session
    from runlore.projections.kept_files import KeptFile
    from runlore.storage.artifacts import ArtifactStore

_NAMES: Final = tuple(event.topic for event in (ArtifactAdded, ArtifactPruned))
_OTHERS: Final = tuple(event.topic for event in (SnapshotTaken, TablesPublished))
_DIGITS: Final = re.compile(r"(\d+)")
_OPEN_MAX: Final = 64
GOALS: Final = ("max", "min")


@dataclass(frozen=True, kw_only=True)
class Keep:
    """What a pruning keeps: a file stays if any of the rules that are given says so.

    `last`: that many files of each run, the ones kept last; of those kept at once, the last by
    name, numbers in names counted as numbers. `best_by`: all files of the runs with the best values
    of a metric, `best` runs, `goal` max or min. `newer_than`: files that were kept since a moment.
    """

    last: int | None = None
    best_by: str | None = None
    best: int = 1
    goal: str = "max"
    newer_than: Moment | None = None

    def checked(self) -> Keep:
        """The rules. Raises InvalidInput if there is none, or one is not a rule."""
        if self.last is None and self.best_by is None and self.newer_than is None:
            raise InvalidInput(
                "a pruning that keeps nothing would give up all files: say what to keep, by last, "
                "best_by or newer_than; last=0 keeps none"
            )
        if self.goal not in GOALS:
            raise InvalidInput(f"goal is {self.goal!r:.80}; it takes max or min")
        as_count("last", self.last or 0)
        as_count("best", self.best)
        return self


class Prunable(NamedTuple):
    """A file whose content would be given up."""

    run_id: str
    name: str
    sha256: str
    nbytes: int


@dataclass(frozen=True)
class Pruned:
    """The files that were given up, or would be, and how many bytes that frees.

    Content that another file, a snapshot or published tables still need keeps its bytes:
    `shared_nbytes` of it. `needed_again` are digests that were removed and that somebody else has
    named in that very moment; their bytes must be stored once more.
    """

    files: Sequence[Prunable]
    freed_nbytes: int
    shared_nbytes: int
    is_done: bool
    needed_again: Sequence[str] = field(default=())


def prune(
    session: Session,
    files: str,
    keep: Keep,
    *,
    experiment: str | None = None,
    reason: str | None = None,
    dry_run: bool = True,
) -> Pruned:
    """Give up the content of files of ended runs whose names fit a pattern; see `Pruned`.

    Raises InvalidInput for contradictory rules or, unless it is a dry run, a missing reason.
    """
    keep = keep.checked()
    if not dry_run:
        check_reason(reason or "", "the pruning of files")
    chosen = _chosen(session, files, keep, experiment)
    if dry_run:
        return _foreseen(session, chosen)
    live = session.writable()
    if live.is_copy or (live.workspace.origin_id and live.artifact_backend.folder is None):
        raise InvalidInput(
            f"{live.uri} is a copy, and the files in {live.artifact_backend.location} may be those "
            "of the original as well; prune the original, or keep the copy's files in a place of "
            "their own"
        )
    names: dict[str, list[str]] = defaultdict(list)
    for one in chosen:
        names[one.run_id].append(one.name)
    for run_id, given_up in names.items():
        command = PruneArtifacts(given_up, reason or "")
        RunHandle.existing(live, run_id).change(command, reason=reason)
    return _freed(live, chosen)


def _chosen(session: Session, pattern: str, keep: Keep, experiment: str | None) -> list[Prunable]:
    ended = {str(status) for status in TERMINAL}
    by_run: dict[str, list[KeptFile]] = defaultdict(list)
    for file in session.reader().kept_files(experiment):
        if file.status in ended and fnmatchcase(file.name, pattern):
            by_run[file.run_id].append(file)
    best = _best(session, keep, experiment)
    since = None if keep.newer_than is None else _time_of(session, keep.newer_than)
    found: list[Prunable] = []
    for run_id, of_run in by_run.items():
        if run_id in best:
            continue
        of_run.sort(key=lambda file: (file.kept_at, _natural(file.name)))
        stay = 0 if keep.last is None else keep.last
        old = of_run[: len(of_run) - stay]
        found += [Prunable(*file[:4]) for file in old if since is None or file.kept_at < since]
    return found


def _best(session: Session, keep: Keep, experiment: str | None) -> set[str]:
    if keep.best_by is None:
        return set()
    own = None if experiment is None else f"experiment = {Value.quoted_text(experiment)}"
    which = RunFilter(where=own, include_children=True, include_archived=True)
    found = set(session.reader().best_runs(which, keep.best_by, keep.goal, keep.best))
    if not found:
        raise InvalidInput(
            f"no run has a number for the metric {keep.best_by!r:.200}, so none is the best; "
            "nothing was pruned"
        )
    return found


def _time_of(session: Session, moment: Moment) -> datetime:
    time = parsed(session.log, moment)
    if isinstance(time, int):
        raise InvalidInput(f"newer_than takes a time, got the position {time}")
    return time.astimezone() if time.utcoffset() is None else time


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that puts step-9 before step-10."""
    return [
        (int(part), "") if part.isascii() and part.isdigit() else (-1, part)
        for part in _DIGITS.split(name)
    ]


# --- bytes ----------------------------------------------------------------------------------


_Key = tuple[str, str]
"""A run, which decides the store, and a digest."""


class _References:
    """What the log says that bytes are needed for, by place and digest; grows with the log."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._named: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        self._kept: dict[str, set[str]] = defaultdict(set)
        self.pruned: dict[_Key, str] = {}
        """By place and digest, a run that gave the content up."""
        self._position = 0

    def catch_up(self) -> None:
        """Read what was appended since."""
        end = self._session.log.last_position()
        query = LogQuery(
            after_position=self._position, upto_position=end, topics=(*_NAMES, *_OTHERS)
        )
        for row in self._session.log.read_log(query):
            data = decode_event(row.topic, row.state)
            if data is not None:
                self._take(row.topic, row.stream, data)
        self._position = end

    def holds(self, run_id: str, sha256: str) -> bool:
        """Whether something still needs the bytes, besides files that were pruned."""
        place = self._place(run_stream(run_id))
        return bool(self._named[place, sha256]) or sha256 in self._kept[place]

    def forget(self, files: Iterable[Prunable]) -> None:
        """Count files as pruned."""
        for one in files:
            stream = run_stream(one.run_id)
            self._named[self._place(stream), one.sha256].discard((stream, one.name))

    def _take(self, topic: str, stream: str, data: Mapping[str, Any]) -> None:
        place = self._place(stream)
        if topic == SnapshotTaken.topic:
            self._kept[place].update(self._files_of_snapshot(stream, data["manifest_sha256"]))
        elif topic == TablesPublished.topic:
            self._kept[place].add(data["sha256"])
        elif data["sha256"] is not None:
            users = self._named[place, data["sha256"]]
            if topic == ArtifactPruned.topic:
                users.discard((stream, data["name"]))
                self.pruned[place, data["sha256"]] = _run_of(stream)
            elif data["uri"] is None:
                users.add((stream, data["name"]))

    def _place(self, stream: str) -> str:
        """Where equal bytes are stored once: everywhere, or within one run if each has a key."""
        return stream if self._session.erasable else ""

    def _files_of_snapshot(self, stream: str, manifest: str) -> Iterator[str]:
        yield manifest
        try:
            store = self._session.artifacts_of(_run_of(stream))
            yield from (line.sha256 for line in read_manifest(manifest, store))
        except ArtifactMissing:
            return  # Then its files cannot be restored, whatever else is kept.


def _run_of(stream: str) -> str:
    return run_id_of(stream) or ""


def _foreseen(session: Session, chosen: Sequence[Prunable]) -> Pruned:
    references = _References(session)
    references.catch_up()
    references.forget(chosen)
    free, shared = _by_use(references, session, chosen)
    return Pruned(chosen, sum(free.values()), sum(shared.values()), is_done=False)


def _freed(session: LiveSession, chosen: Sequence[Prunable]) -> Pruned:
    references = _References(session)
    references.catch_up()
    free, shared = _by_use(references, session, chosen)
    needed: list[str] = []
    freed = 0
    pending = sorted({*free, *_left_over(references, session)})
    for start in range(0, len(pending), _OPEN_MAX):
        batch = pending[start : start + _OPEN_MAX]
        freed += _remove(session, references, batch, needed)
    return Pruned(chosen, freed, sum(shared.values()), is_done=True, needed_again=needed)


def _by_use(
    references: _References, session: Session, chosen: Sequence[Prunable]
) -> tuple[dict[_Key, int], dict[_Key, int]]:
    """The contents to remove and those that something still needs, with their sizes."""
    free: dict[_Key, int] = {}
    shared: dict[_Key, int] = {}
    seen: set[tuple[str, str]] = set()
    for one in chosen:
        place = one.run_id if session.erasable else ""
        if (place, one.sha256) in seen:
            continue
        seen.add((place, one.sha256))
        target = shared if references.holds(one.run_id, one.sha256) else free
        target[one.run_id, one.sha256] = one.nbytes
    return free, shared


def _left_over(references: _References, session: LiveSession) -> Iterator[_Key]:
    """Contents that an earlier pruning has given up, and did not come to remove."""
    if session.erasable:
        pairs = ((run_id, sha256) for (_, sha256), run_id in references.pruned.items())
        there = {(one, sha256) for one, sha256 in pairs if session.artifacts_of(one).has(sha256)}
    else:
        digests = set(session.shared_artifacts.digests()) if references.pruned else set()
        found = references.pruned.items()
        there = {(run_id, sha256) for (_, sha256), run_id in found if sha256 in digests}
    return (key for key in there if not references.holds(*key))


def _remove(
    session: LiveSession, references: _References, batch: Sequence[_Key], needed: list[str]
) -> int:
    """Remove contents, and put back those that somebody has named in the meantime.

    Whoever stores bytes that are there already looks again after the commit (`engine.runs.files`).
    Either that look finds the bytes missing, or this one finds the new name.
    """
    freed = 0
    with ExitStack() as stack:
        held: dict[_Key, IO[bytes]] = {}
        for run_id, sha256 in batch:
            store = session.artifacts_of(run_id)
            if store.folder is not None and store.has(sha256):
                # An open file keeps its bytes until it is closed.
                held[run_id, sha256] = stack.enter_context(store.open(sha256))
            freed += store.remove(sha256)
        references.catch_up()
        for key in batch:
            if references.holds(*key):
                freed -= _put_back(session.artifacts_of(key[0]), key[1], held.get(key), needed)
    return freed


def _put_back(
    store: ArtifactStore, sha256: str, content: IO[bytes] | None, needed: list[str]
) -> int:
    try:
        if content is not None:
            return store.put(content).nbytes
        if store.has(sha256):
            return 0  # Whoever named it has stored it again.
    except RunloreError:
        pass
    needed.append(sha256)
    return 0

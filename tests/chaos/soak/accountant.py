"""The accountant: it opens the workspace after a soak, and compares it with all ledgers.

    python -m tests.chaos.soak.accountant FOLDER WORKSPACE

It is a fresh process, so it drains what killed processes left. What has returned must be there,
once. What was begun may be there, once. What was refused must not be there.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runlore import Workspace
from runlore.domain.topics import END_TOPICS
from runlore.engine.event_feed import LoggedEvent
from runlore.engine.repair import lose_runs_of_dead_writers
from runlore.engine.runs.metric_reads import metrics_of
from runlore.run.run import handle_of
from runlore.workspace import session_of
from tests.chaos.soak.ledger import PLACE_BITS, Book, Operation, read_book
from tests.chaos.soak.training import MADE_BY

Ids = NDArray[np.int64]
Key = tuple[str, str, str]
"""A run, a metric, and a column; "" for a scalar metric."""

REFUSALS: Final = frozenset({"DiskFull", "FileNotWritten", "LogBusy", "TooManyOpenFiles"})
"""What a change may raise without room, with a stopped writer before it, or without descriptors."""

_STATUS_AFTER: Final = {"complete": "Completed", "fail": "Failed", "cancel": "Canceled"}
_CHANGES: Final = {
    "tag": "run.tag_set",
    "property": "run.property_added",
    "file": "run.artifact_added",
    "run": "run.created",
    "init": "run.created",
}
KILLED: Final = "killed"
"""The file with the names of the processes that were killed, one a line."""

MEASURED: Final = "system/"
"""The metrics of the machine that runs record by themselves: no ledger knows of them."""

_SHOWN_MAX: Final = 40


class Account:
    """What was found; `problems` are told in words, the first of each kind."""

    def __init__(self) -> None:
        self.figures: Counter[str] = Counter()
        self.problems: list[str] = []

    def count(self, what: str, number: int, words: str) -> None:
        """Count so many cases of a problem."""
        self.figures[what] += number
        if number and len(self.problems) < _SHOWN_MAX:
            self.problems.append(f"{what}: {words}")


# --- values -------------------------------------------------------------------------------------


class Claims:
    """What the ledgers say about the values of each series."""

    def __init__(self, books: Iterable[Book]) -> None:
        self.returned: defaultdict[Key, list[range]] = defaultdict(list)
        self.begun: defaultdict[Key, list[range]] = defaultdict(list)
        self.at_risk: defaultdict[Key, list[range]] = defaultdict(list)
        for book in books:
            for one in book.of_kind("values"):
                run_id, series = one.facts
                for metric, column, first, number in series:
                    key = run_id, metric, column or ""
                    self.begun[key].append(range(first, first + number))
                    if one.done:
                        self.returned[key].append(self.begun[key][-1])
                    if one.at_risk:
                        self.at_risk[key].append(self.begun[key][-1])


def account_for_values(
    account: Account, claims: Claims, found: Mapping[Key, Sequence[Any]]
) -> None:
    """Compare the series that were found, each in its order, with what was claimed."""
    logged = {key for key in found if not key[1].startswith(MEASURED)}
    for key in claims.begun.keys() | logged:
        there = np.array([int(value) for value in found.get(key, ())], dtype=np.int64)
        unique, times = np.unique(there, return_counts=True)
        missing = np.setdiff1d(_ids(claims.returned[key]), unique)
        warned = np.intersect1d(missing, _ids(claims.at_risk[key]))
        lost = np.setdiff1d(missing, warned)
        strange = np.setdiff1d(unique, _ids(claims.begun[key]))
        account.figures["values that returned"] += len(_ids(claims.returned[key]))
        account.figures["values found"] += len(there)
        account.figures["values that waited in memory, as warned"] += len(warned)
        account.count("lost", len(lost), f"{key} lacks {lost[:3].tolist()}")
        account.count(
            "repeated", int((times - 1).sum()), f"{key}: {unique[times > 1][:3].tolist()}"
        )
        account.count("wrong", len(strange), f"{key} has {strange[:3].tolist()}, never logged")
        account.count("wrong", _disordered(there), f"{key} is not in the order of its threads")


def _ids(ranges: Sequence[range]) -> Ids:
    if not ranges:
        return np.empty(0, np.int64)
    return np.concatenate([np.arange(each.start, each.stop) for each in ranges])


def _disordered(values: Ids) -> int:
    """How many values of a series come before an earlier one of the same thread."""
    lanes = values >> PLACE_BITS
    order = np.argsort(lanes, kind="stable")
    lanes, values = lanes[order], values[order]
    return int(((np.diff(lanes) == 0) & (np.diff(values) < 0)).sum())


def folded_values(workspace: Workspace, run_ids: Iterable[str]) -> dict[Key, list[Any]]:
    """The values of runs, read run by run from the log."""
    return {
        (run_id, name, column if metric.kind == "row" else ""): values.tolist()
        for run_id in run_ids
        for name, metric in metrics_of(handle_of(workspace.get_run(run_id))).items()
        for column, values in metric.columns.items()
    }


def compare_with_tables(
    account: Account, workspace: Workspace, found: Mapping[Key, Sequence[Any]]
) -> None:
    """Whether SQL shows the same numbers of values as the log."""
    query = """
        SELECT run_id, metric, coalesce("column", ''), count(*) FROM metric_points GROUP BY ALL
    """
    shown = {(row[0], row[1], row[2]): row[3] for row in workspace.sql(query).fetchall()}
    folded = {key: len(values) for key, values in found.items()}
    for key in shown.keys() | folded.keys():
        if shown.get(key) != folded.get(key):
            words = f"{key}: SQL shows {shown.get(key)} values, the log {folded.get(key)}"
            account.count("wrong", 1, words)


# --- changes ------------------------------------------------------------------------------------


def account_for_changes(
    account: Account, books: Iterable[Book], events: Iterable[LoggedEvent]
) -> None:
    """Compare tags, properties, files and runs, each of which has a name of its own."""
    found = Counter(_changed(event) for event in events)
    for book in books:
        for one in book.of_kind(*_CHANGES):
            facts = one.facts[:2] if len(one.facts) > 1 else one.facts
            times = found[(one.kind, *facts)]
            words = f"{one.kind} {facts} of {book.name} is there {times} times"
            account.figures["changes that returned"] += one.done
            account.count("lost", int(one.done and not times), words)
            account.count("repeated", max(0, times - 1), words)
            if one.error is not None and one.error[0] in REFUSALS:
                account.count("wrong", min(1, times), f"{words}, but raised {one.error}")


def _changed(event: LoggedEvent) -> tuple[str, ...]:
    data = event.data or {}
    match event.topic:
        case "run.tag_set":
            return "tag", str(event.run_id), data["key"]
        case "run.property_added":
            return "property", str(event.run_id), data["key"]
        case "run.artifact_added":
            return "file", str(event.run_id), data["name"]
        case "run.created" if MADE_BY in data["tags"]:
            return "init", data["tags"][MADE_BY]
        case "run.created":
            return "run", data["run_id"]
    return ("other",)


def account_for_ends(account: Account, books: Sequence[Book], statuses: Mapping[str, str]) -> None:
    """Whether each run whose end has returned ended so."""
    ends: defaultdict[str, list[Operation]] = defaultdict(list)
    for book in books:
        for one in book.of_kind("end"):
            ends[one.facts[0]].append(one)
    for run_id, tried in ends.items():
        said = {_STATUS_AFTER[one.facts[1]] for one in tried if one.done}
        status = statuses.get(run_id, "not there")
        account.figures["ends that returned"] += bool(said)
        if said and status not in said:
            account.count("lost", 1, f"run {run_id} was ended as {said}, and is {status}")


def account_for_losses(
    account: Account, workspace: Workspace, killed: Iterable[Book], statuses: Mapping[str, str]
) -> None:
    """Whether the runs of killed processes, and no others, are lost."""
    lost = {row[0] for row in workspace.sql("SELECT run_id FROM runs WHERE lost").fetchall()}
    account.figures["runs recorded as lost"] = len(lost)
    account.figures["runs left Running"] = sum(one == "Running" for one in statuses.values())
    made_by = workspace.sql("SELECT value, run_id FROM tags WHERE key = ?", [MADE_BY]).fetchall()
    run_id_of = dict(made_by)
    of_killed = {
        run_id_of.get(one.facts[0], one.facts[0])
        for book in killed
        for one in book.of_kind("run", "init")
    }
    for run_id in of_killed:
        if statuses.get(run_id) == "Running":
            account.count("wrong", 1, f"run {run_id} is Running, and its process was killed")
    for run_id in lost - of_killed:
        account.count("wrong", 1, f"run {run_id} is lost, and its process was not killed")


def account_for_files(account: Account, workspace: Workspace, books: Iterable[Book]) -> None:
    """Whether the files that were uploaded hold what they held."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        for book in books:
            for one in book.of_kind("file"):
                if not one.done:
                    continue
                run_id, name, nbytes = one.facts
                account.figures["files that returned"] += 1
                workspace.get_run(run_id).download_file(name, copy)
                stem = name.removeprefix("outputs/").encode()
                expected = hashlib.sha256(stem * (nbytes // len(stem))).digest()
                if hashlib.sha256(copy.read_bytes()).digest() != expected:
                    account.count("wrong", 1, f"file {name} of run {run_id} has other bytes")
                copy.unlink()


def account_for_errors(account: Account, books: Iterable[Book]) -> None:
    """Errors that calls raised: those of bad luck are counted, all others are wrong.

    A read has no answer in a signal handler that interrupts another call of its thread, and where
    no file can be opened.
    """
    for book in books:
        for words in book.wrong:
            account.count("wrong", 1, f"{book.name}: {words}")
        ended = {one.facts[0] for one in book.of_kind("end") if one.done or one.error is None}
        for one in book.operations.values():
            if one.error is None:
                continue
            name, message = one.error
            was_ended = name == "RunEnded" and one.kind == "end" and one.facts[0] in ended
            is_change = one.kind not in ("values", "read")
            has_no_answer = one.kind == "read" and (
                name in ("Interrupting", "TooManyOpenFiles")
                # Of an import, and of the tables that queries read.
                or (name in ("OSError", "ProjectionFailed") and "Too many open files" in message)
            )
            if has_no_answer or (is_change and (name in REFUSALS or was_ended)):
                account.figures[f"refused: {name}"] += 1
            else:
                words = f"{book.name}: {one.kind} {one.facts[:2]} raised {name}: {message}"
                account.count("raised", 1, words)


# --- all of it ----------------------------------------------------------------------------------


def account_for(folder: Path, workspace: Workspace) -> Account:
    """Everything that was found; first, what killed processes left is recorded."""
    account = Account()
    lose_runs_of_dead_writers(session_of(workspace).writable())
    names = set((folder / KILLED).read_text().split())
    books = [read_book(path) for path in sorted((folder / "ledgers").iterdir())]
    account_for_errors(account, books)

    events = list(workspace.events())
    account.figures["events"] = len(events)
    positions = [event.position for event in events]
    if positions != list(range(1, len(events) + 1)):
        account.count("wrong", 1, "the positions of the events have holes")
    account_for_changes(account, books, events)
    _account_for_twice_ended(account, events)

    created = [str(event.run_id) for event in events if event.topic == "run.created"]
    account.figures["runs"] = len(created)
    found = folded_values(workspace, created)
    account_for_values(account, Claims(books), found)
    compare_with_tables(account, workspace, found)

    statuses = dict(workspace.sql("SELECT run_id, status FROM runs").fetchall())
    account_for_ends(account, books, statuses)
    killed = [book for book in books if book.name in names and not book.left]
    account_for_losses(account, workspace, killed, statuses)
    account_for_files(account, workspace, books)

    verified, replayed = workspace.audit.verify(), workspace.audit.replay()
    account.count("wrong", int(not verified.holds), f"verify: {verified.log.findings[:3]}")
    account.count("wrong", int(not replayed.holds), f"replay: {replayed.mismatches[:3]}")
    return account


def _account_for_twice_ended(account: Account, events: Iterable[LoggedEvent]) -> None:
    ended: set[str] = set()
    for event in events:
        run_id = str(event.run_id)
        if event.topic in END_TOPICS:
            words = f"run {run_id} has another end at {event.position}"
            account.count("repeated", int(run_id in ended), words)
            ended.add(run_id)
        elif event.topic in ("run.found", "run.resumed"):
            ended.discard(run_id)


def main(folder: str, place: str) -> None:
    """Print the figures and the problems as JSON."""
    with Workspace.open(place) as workspace:
        account = account_for(Path(folder), workspace)
    print(json.dumps({"figures": account.figures, "problems": account.problems}))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The pass of a verification over the keys with which an erasable log's runs are read.

No leaf covers them. Replacing or removing a key makes a run unreadable; overwriting it hides the
run's events as if they were erased; putting an old key back undoes an erasure.
"""

from __future__ import annotations

from collections.abc import Sequence

from runlore.domain.events import RunCreated, RunErased
from runlore.domain.ids import run_id_of
from runlore.storage.findings import Findings, Kind
from runlore.storage.log_scan import KeyScan, Row
from runlore.storage.seal import NO_KEY, Cipher


class KeysPass:
    """Checks the key of each run at its first event, and again where the run is erased.

    One event is enough: all events of a run are sealed under the same key.
    """

    def __init__(self, scan: KeyScan, findings: Findings) -> None:
        self._scan = scan
        self._findings = findings

    def see(self, rows: Sequence[Row]) -> None:
        """Check the keys of the runs that are created or erased in these rows."""
        wanted: dict[str, list[Row]] = {}
        for row in rows:
            stream, topic, event_id = row[1], row[3], row[5]
            if topic in (RunCreated.topic, RunErased.topic) and event_id is not None:
                run_id = run_id_of(stream) if isinstance(stream, str) else None
                wanted.setdefault(run_id or "", []).append(row)
        wanted.pop("", None)  # Reported as a change of the event.
        keys, erased = self._scan.keys_of([*wanted])
        for run_id, of_run in wanted.items():
            for row in of_run:
                problem = (
                    _problem_of_created(row, keys.get(run_id), is_erased=run_id in erased)
                    if row[3] == RunCreated.topic
                    else _problem_of_erased(row, keys.get(run_id), erased.get(run_id))
                )
                if problem is not None:
                    self._findings.about_row(Kind.CHANGED, row, problem)

    def run(self) -> None:
        """Look for recorded erasures without an event."""
        for position, run_id in self._scan.erasures_of_nothing():
            self._findings.about_log(
                Kind.CHANGED,
                f"run {run_id!s:.200} is recorded as erased at position {position!s:.20}, but no "
                "event there says so",
            )


def _problem_of_created(row: Row, key: object, *, is_erased: bool) -> str | None:
    _, stream, version, topic, state, *_ = row
    if key is None:
        return "the key of its run is missing"
    if key == NO_KEY:
        return None if is_erased else "the key of its run is gone, and no event says it was erased"
    try:
        Cipher(key).unseal(stream, version, topic, state)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # In a damaged file, key and state may be anything.
        return "it does not open with the key of its run"
    return None


def _problem_of_erased(row: Row, key: object, noted: object) -> str | None:
    if key is None:
        return "the row for the key of its run is missing"
    if key != NO_KEY:
        return "the run was erased, but has a key again"
    return (
        None if noted == row[0] else "the erasure is not recorded, so tables may still show the run"
    )

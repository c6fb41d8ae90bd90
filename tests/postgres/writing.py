"""Writers of a log that note what was acknowledged, and the look whether all of that is stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from runlore.storage.event_log import EventLog, NewEvent
from runlore.storage.verification import verify_log
from runlore.testing.logs import all_rows, new_events
from tests.postgres.logs import log_at

Acknowledged = dict[bytes, tuple[str, int]]


class Writer(threading.Thread):
    """Appends in its own stream, in each way that there is, until it is told to stop."""

    def __init__(self, uri: str, name: str, *, changes: int | None = None) -> None:
        super().__init__(name=name, daemon=True)
        self._log = log_at(uri)
        self._changes = changes
        self.stopping = threading.Event()
        self.acknowledged: Acknowledged = {}
        self.problem: BaseException | None = None

    def run(self) -> None:
        version, number = 1, 0
        try:
            with closing(self._log) as log:
                while not self.stopping.is_set() and number != self._changes:
                    events = new_events(
                        f"run/{self.name}", range(version, version + number % 4 + 1)
                    )
                    change(log, number, events)
                    self.acknowledged |= {e.event_id: (e.stream, e.version) for e in events}
                    version += len(events)
                    number += 1
        except BaseException as error:
            self.problem = error


def change(log: EventLog, number: int, events: list[NewEvent]) -> None:
    """Append events in one of the ways that there are."""

    def decide(read: Callable[[str], object]) -> list[NewEvent]:
        read(events[0].stream)
        return events

    (
        lambda: log.append(events),
        lambda: log.append_decided(decide),
        lambda: log.append_all(lambda: events),
    )[number % 3]()


@contextmanager
def writing(uri: str, writers: int, *, changes: int | None = None) -> Iterator[list[Writer]]:
    """Writers during the block; they are stopped and waited for at its end."""
    threads = [Writer(uri, f"w{number}", changes=changes) for number in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        if changes is None:
            for thread in threads:
                thread.stopping.set()
        for thread in threads:
            thread.join()


def check_stored(log: EventLog, writers: list[Writer]) -> int:
    """Check that all that was acknowledged is stored once, in its order, and nothing else.

    Returns how many events that are.
    """
    for writer in writers:
        assert writer.problem is None, repr(writer.problem)
    rows = all_rows(log)
    asked = {key: value for writer in writers for key, value in writer.acknowledged.items()}
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    stored = [row.event_id for row in rows]
    assert len(set(stored)) == len(stored)
    assert {row.event_id: (row.stream, row.version) for row in rows} == asked
    assert verify_log(log).holds
    return len(rows)

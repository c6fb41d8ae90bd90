"""The SQL that pages have asked and that has not ended: each can be stopped by its id."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_EARLY_MAX: Final = 100


class Queries:
    """Queries by the ids that their pages chose, one id for each. Usable from any thread.

    A browser sends a query and its stop over two connections, so the stop may come first: the last
    hundred ids that were not known are kept.
    """

    def __init__(self) -> None:
        self._stops: dict[str, threading.Event] = {}
        self._early: deque[str] = deque(maxlen=_EARLY_MAX)
        self._lock = threading.Lock()

    @contextmanager
    def asked(self, query_id: str) -> Iterator[threading.Event]:
        """What is set when the query of this id is to stop, as long as the block runs."""
        stop = threading.Event()
        with self._lock:
            self._stops[query_id] = stop
            if query_id in self._early:
                stop.set()
        try:
            yield stop
        finally:
            with self._lock:
                if self._stops.get(query_id) is stop:
                    del self._stops[query_id]

    def stop(self, query_id: str) -> bool:
        """Stop the query of this id; whether there is one."""
        with self._lock:
            stop = self._stops.get(query_id)
            if stop is None:
                self._early.append(query_id)
        if stop is not None:
            stop.set()
        return stop is not None

    def stop_all(self) -> None:
        """Stop all queries."""
        with self._lock:
            for stop in self._stops.values():
                stop.set()

"""The process that runs SQL of users: a reader like any other, started by `sql_process.parent`.

It lives as long as its parent holds the pipe `life`, answers one question after the other, and is
killed by its parent when a query does not obey. So nothing here has to be undone.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from arro3.core import Table

from runlore.domain.errors import RunloreError
from runlore.projections.driver import duckdb
from runlore.projections.generations import belongs
from runlore.projections.own_projection import OwnProjection
from runlore.projections.progress import Shown, Tell
from runlore.projections.query_limits import QueryLimits, is_out_of_memory
from runlore.projections.reader import RunsReader
from runlore.projections.sql_process.arrow_bytes import BatchBytes, schema_tree
from runlore.projections.sql_process.life import end_with_parent, offer_to_the_kernel
from runlore.projections.sql_process.memory import data_limited, resident_nbytes
from runlore.projections.sql_process.messages import Message, Pipe, write_all
from runlore.projections.user_sql import QueryFailed, QueryRefused, SqlResult
from runlore.storage.held_path import hold
from runlore.storage.open_log import exists, locate, open_log

_FULL: Final = 0.9
"""With this part of its limit taken before the query, a process is replaced."""

_TELL_S: Final = 0.3
"""How often the parent is told how far a catch-up is."""


def main(life: int, data: int) -> None:
    """Answer the questions on stdin until the parent closes it; results go to the pipe `data`."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    end_with_parent(life)
    offer_to_the_kernel()
    requests, answers = Pipe(os.dup(0)), Pipe(os.dup(1))
    # Nobody who reads or prints may disturb the pipes.
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    questions = _Questions(answers)
    with suppress(BrokenPipeError):
        for request in requests.messages():
            answer = questions.answer(request)
            if isinstance(answer, SqlResult):
                answer = _sent(answer, answers, data)
            answers.send(answer)
    questions.close()


class _Questions:
    """The open log and its tables, and the question that is being answered."""

    def __init__(self, answers: Pipe) -> None:
        self._answers = answers
        self._reader: RunsReader | None = None
        self._asking = False
        signal.signal(signal.SIGINT, self._on_interrupt)

    def answer(self, request: Message) -> SqlResult | Message:
        """The result, or why there is none; an interrupt ends the question, not this process."""
        limits = QueryLimits(memory_nbytes=request["memory_nbytes"])
        try:
            self._asking = True
            try:
                return self._answered(request, limits)
            finally:
                self._asking = False
        except KeyboardInterrupt:
            return {"end": "stopped"}
        except QueryRefused as error:
            return {"end": "refused", "message": str(error)}
        except MemoryError:
            return {"end": "too large"}
        except Exception as error:
            return _failure(error)

    def close(self) -> None:
        """Leave the tables as they are for the next process."""
        if self._reader is not None:
            self._reader.projection.close()

    def _answered(self, request: Message, limits: QueryLimits) -> SqlResult | Message:
        reader = self._reader = self._reader or _opened(request["uri"], self._shown)
        projection = reader.projection
        projection.limit_memory(limits.of_duckdb_nbytes)
        projection.refresh()  # Takes as much as the log needs, and so is not limited.
        _check_same(projection, request)
        if resident_nbytes() > _FULL * limits.memory_nbytes and not request["is_last"]:
            return {"end": "again"}
        if request["position"] is not None:
            reader = reader.at(request["position"])
        self._answers.send({"begun": True})
        of_duckdb = QueryLimits(memory_nbytes=limits.of_duckdb_nbytes)
        with data_limited(limits):
            return reader.sql(request["query"], request["params"], of_duckdb)

    @contextmanager
    def _shown(self, start: int, head: Callable[[], int]) -> Iterator[Tell]:
        """Tells the parent how far a catch-up is: nobody sees what this process prints."""
        told_s = time.monotonic()

        def tell(position: int) -> None:
            nonlocal told_s
            now_s = time.monotonic()
            if now_s >= told_s + _TELL_S:
                told_s = now_s
                self._answers.send({"reached": [start, position, head()]})

        yield tell

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._asking:
            raise KeyboardInterrupt


def _sent(result: SqlResult, answers: Pipe, data: int) -> Message:
    """Send the result: descriptions in messages, buffers beside them; returns the last message."""
    table = Table.from_arrow(result)
    try:
        batches = [BatchBytes(batch) for batch in table.to_batches()]
    except TypeError as error:
        return {"end": "failed", "reason": str(error)}
    answers.send({"schema": schema_tree(table.schema)})
    for batch in batches:
        answers.send({"batch": batch.tree})
        for buffer in batch.buffers:
            write_all(data, buffer)
    return {"end": "result"}


def _opened(uri: str, shown: Shown) -> RunsReader:
    place = locate(uri)
    if not exists(place):  # Or else it would be made.
        raise RunloreError(f"there is no log in {place} any more")
    log = open_log(place)
    folder = log.folder or (None if place.folder is None else hold(place.folder))
    return RunsReader(OwnProjection.in_cache(log, folder, shown=shown))


def _check_same(projection: OwnProjection, request: Message) -> None:
    """Raise unless the log is the parent's own, and shows all that the parent has seen."""
    position = request["head"]
    if position and not belongs(projection.log, position, request["leaf"]):
        raise RunloreError(
            f"the log in {request['uri']} is not the one that this process has open: its folder "
            "was moved or replaced; open the workspace again"
        )


def _failure(error: Exception) -> Message:
    reason = error.reason if isinstance(error, QueryFailed) else str(error)
    if is_out_of_memory(reason):
        return {"end": "too large"}
    if isinstance(error, RunloreError | duckdb.Error | OSError):
        return {"end": "failed", "reason": reason}
    return {"end": "failed", "reason": f"{type(error).__name__}: {reason}"}

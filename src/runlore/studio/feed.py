"""The feed of a Studio: which runs change, gathered, for all pages that are open."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import islice
from typing import Any, Final

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from runlore.domain.errors import RunloreError
from runlore.engine.event_feed import LoggedEvent
from runlore.workspace import Workspace

_GATHER_S: Final = 0.2
_WAITING_MAX: Final = 64
_SILENCE_S: Final = 15.0
_RUNS_MAX: Final = 500
_CAUGHT_UP_MAX: Final = 2_000
_RETRY: Final = "retry: 2000\n\n"

Message = dict[str, Any]


class Feed:
    """One thread reads the log; each page that listens has a short queue.

    A page that is too slow for its queue is cut off. It comes back with the position that it has
    seen, and is told what it missed, or to load itself anew if that is much. When the workspace
    cannot be read any more, all streams end with the message `over`.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._listeners: set[MemoryObjectSendStream[Message]] = set()
        self._events = workspace.subscribe(after=workspace.position)
        self._thread: threading.Thread | None = None
        self._over: str | None = None
        self._one = anyio.CapacityLimiter(1)

    def start(self, portal: anyio.from_thread.BlockingPortal) -> None:
        """Begin to read."""
        self._thread = threading.Thread(
            target=self._read, args=(portal,), name="runlore-studio-feed", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and all streams: in the thread of the loop, as all but `start` does."""
        self._events.stop()
        self._end("the Studio was stopped")

    @property
    def listeners(self) -> int:
        """The number of streams."""
        return len(self._listeners)

    async def messages(self, after: int | None) -> AsyncIterator[str]:
        """The server-sent events of a page that has seen the log up to a position."""
        send, receive = anyio.create_memory_object_stream[Message](_WAITING_MAX)
        # Before the log is read: nothing is missed, and an event that comes twice harms nobody.
        self._listeners.add(send)
        try:
            yield _RETRY
            if self._over is None:
                yield _event(await anyio.to_thread.run_sync(self._missed, after, limiter=self._one))
            while self._over is None:
                message: Message | None = None
                with anyio.move_on_after(_SILENCE_S):
                    message = await receive.receive()
                yield ": still here\n\n" if message is None else _event(message)
        except anyio.EndOfStream:
            pass
        except RunloreError as error:
            self._over = self._over or str(error)
        finally:
            self._listeners.discard(send)
            send.close()
            receive.close()
        if self._over is not None:
            yield f"event: over\ndata: {json.dumps(self._over)}\n\n"

    def _missed(self, after: int | None) -> Message:
        head = self._workspace.position
        if after is None or after == head:
            return {"position": head, "runs": {}}
        if after > head:  # It has seen another log.
            return {"position": head, "runs": {}, "reset": True}
        found = _Gathered(head)
        for event in islice(self._workspace.events(after), _CAUGHT_UP_MAX + 1):
            found.add(event)
        if found.count > _CAUGHT_UP_MAX or len(found.topics) > _RUNS_MAX:
            return {"position": head, "runs": {}, "reset": True}
        return found.message()

    # --- the thread -------------------------------------------------------------------------

    def _read(self, portal: anyio.from_thread.BlockingPortal) -> None:
        over = "the Studio was stopped"
        try:
            for event in self._events:
                portal.call(self._tell, self._gathered(event))
        except RunloreError as error:  # The workspace was closed, moved or damaged.
            over = str(error)
        except RuntimeError:  # The loop has ended.
            return
        with suppress(RuntimeError):
            portal.call(self._end, over)

    def _gathered(self, first: LoggedEvent) -> Message:
        """An event with those that follow it at once."""
        found = _Gathered()
        found.add(first)
        until = time.monotonic() + _GATHER_S
        while len(found.topics) < _RUNS_MAX and (left_s := until - time.monotonic()) > 0:
            self._events.timeout_s = left_s
            event = next(self._events, None)
            if event is None:
                break
            found.add(event)
        self._events.timeout_s = None
        return found.message()

    # --- the loop ---------------------------------------------------------------------------

    def _tell(self, message: Message) -> None:
        for listener in list(self._listeners):
            try:
                listener.send_nowait(message)
            except anyio.WouldBlock:
                self._listeners.discard(listener)
                listener.close()  # Its page connects again.
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._listeners.discard(listener)

    def _end(self, why: str) -> None:
        self._over = self._over or why
        for listener in list(self._listeners):
            listener.close()


class _Gathered:
    """The topics of events by run, each once; those of no run under the empty id."""

    def __init__(self, position: int = 0) -> None:
        self.position = position
        self.count = 0
        self.topics: dict[str, dict[str, None]] = {}

    def add(self, event: LoggedEvent) -> None:
        self.position = max(self.position, event.position)
        self.count += 1
        self.topics.setdefault(event.run_id or "", {})[event.topic] = None

    def message(self) -> Message:
        runs = {run_id: list(topics) for run_id, topics in self.topics.items()}
        return {"position": self.position, "runs": runs}


def _event(message: Message) -> str:
    return f"id: {message['position']}\ndata: {json.dumps(message, separators=(',', ':'))}\n\n"

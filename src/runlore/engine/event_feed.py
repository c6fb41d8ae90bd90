"""The events of a workspace as people read them: those that there are, and those that come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runlore.domain.errors import InvalidType
from runlore.domain.ids import run_id_of, writer_stream
from runlore.engine.checks import as_seconds
from runlore.storage.codec import facts_of
from runlore.storage.log_query import LogQuery
from runlore.storage.subscription import Waker

if TYPE_CHECKING:
    from typing import Self

    from runlore.domain.fact import Fact
    from runlore.engine.session import Session

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """Something that happened, as it stands in the log, and who did it.

    `topic` says what happened (`run.tag_set`), `data` its details in the newest shape of the
    topic; None if this runlore does not know it. Events that are alike share `data`: read it, never
    change it. `run_id` is that of the run whose stream it is in. `actor` and `host` are what the
    writer said of itself; `who` is both, and its process: `actor@host (pid 42)`.
    """

    position: int
    time: datetime
    stream: str
    version: int
    topic: str
    data: Mapping[str, Any] | None
    run_id: str | None
    actor: str | None
    host: str | None
    who: str
    reason: str | None
    event_id: str | None
    writer_id: str | None


class Wanted(NamedTuple):
    """Which events are wanted: of a stream and those below it, of topics, of an actor; else all."""

    stream: str | None = None
    topics: Sequence[str] = ()
    actor: str | None = None


def wanted(stream: str | None, topics: str | Sequence[str] | None, actor: str | None) -> Wanted:
    """The selection. Raises InvalidType for what is no text."""
    if topics is not None and not isinstance(topics, Iterable):
        raise InvalidType(f"topics is {topics!r:.80}; it takes a text or a list of texts")
    named = (topics,) if isinstance(topics, str) else tuple(topics or ())
    for what, text in (("stream", stream), ("actor", actor), *(("topic", one) for one in named)):
        if text is not None and not isinstance(text, str):
            raise InvalidType(f"{what} is {text!r:.80}; it takes a text")
    return Wanted(stream, named, actor)


class _Reader:
    """Reads the log on, a page at a time."""

    def __init__(self, session: Session, after: int, wanted: Wanted) -> None:
        self.position = after
        self._session = session
        self._wanted = wanted
        self._writers: dict[str | None, Mapping[str, Any]] = {None: _NOBODY}

    def page(self, upto_position: int) -> list[LoggedEvent]:
        """The next events that are wanted; empty if the log was read up to there, or a long way."""
        stream, topics, actor = self._wanted
        rows = self._session.log.read_plain(
            LogQuery(
                after_position=self.position,
                limit=_PAGE,
                upto_position=upto_position,
                under=stream,
                topics=topics,
            )
        )
        events = map(self._event, facts_of(rows))
        # A page that is not full has seen everything: what was passed over is not read again.
        self.position = rows[-1][0] if len(rows) == _PAGE else upto_position
        return [event for event in events if actor in (None, event.actor)]

    def _event(self, fact: Fact) -> LoggedEvent:
        writer = self._writers.get(fact.writer_id)
        if writer is None:
            writer = self._writers[fact.writer_id] = self._writer(fact.writer_id or "")
        return LoggedEvent(
            position=fact.position,
            time=fact.time,
            stream=fact.stream,
            version=fact.version,
            topic=fact.topic,
            data=fact.data,
            run_id=run_id_of(fact.stream),
            actor=fact.actor or writer.get("actor"),
            host=writer.get("host"),
            who=fact.actor or self._session.journal.name_of(fact.writer_id),
            reason=fact.reason,
            event_id=fact.event_id.hex() if fact.event_id else None,
            writer_id=fact.writer_id,
        )

    def _writer(self, writer_id: str) -> Mapping[str, Any]:
        opened = next(iter(self._session.journal.facts(writer_stream(writer_id))), None)
        return _NOBODY if opened is None or opened.data is None else opened.data


_NOBODY: Final[Mapping[str, Any]] = MappingProxyType({})


def events(session: Session, after: int, wanted: Wanted) -> Iterator[LoggedEvent]:
    """The events after a position, in order, up to the log's end as it is at the first one."""
    session.check_open()
    head = session.log.max_notification_id() or 0
    reader = _Reader(session, after, wanted)
    while reader.position < head:
        session.check_open()
        yield from reader.page(head)


class Feed:
    """The events after a position, those included that come later, from whatever process.

    Iterate over it: it waits for the next event, until `stop()` is called from another thread, or
    for `timeout_s` in vain. Each event comes once, in the order of the log. `position` is how far
    it has come: a feed that is made with `after=position` goes on behind it, so whoever keeps it
    together with what came of the events sees each of them exactly once, restarts included. To be
    read by one thread; after a fork, parent and child each go on with their own.
    """

    def __init__(
        self, session: Session, after: int, wanted: Wanted, timeout_s: float | None = None
    ) -> None:
        if timeout_s is not None:
            timeout_s = as_seconds("timeout_s", timeout_s)
        session.check_writable()  # What was at a position gets no more events.
        self.timeout_s = timeout_s
        self._session = session
        self._reader = _Reader(session, after, wanted)
        self._position = after
        self._page: deque[LoggedEvent] = deque()
        self._stopped = False
        self._waker = Waker()

    @property
    def position(self) -> int:
        """How far the feed has come: all that is wanted up to there was given."""
        return self._position if self._page else max(self._position, self._reader.position)

    def stop(self) -> None:
        """Ends the iteration, from any thread."""
        self._stopped = True
        self._waker.ring()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LoggedEvent:
        give_up_at = None if self.timeout_s is None else time.monotonic() + self.timeout_s
        while not self._stopped:
            self._session.check_open()
            if self._page:
                event = self._page.popleft()
                self._position = event.position
                return event
            self._waker.clear()
            head = self._session.log.max_notification_id() or 0
            if head > self._reader.position:
                self._page.extend(self._reader.page(head))
                continue
            if give_up_at is None:
                self._waker.wait()
            elif (left_s := give_up_at - time.monotonic()) > 0:
                self._waker.wait(left_s)
            else:
                break
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

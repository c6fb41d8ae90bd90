"""A workspace's events in readable form: the recorded ones, and a feed of new ones."""

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
from runlore.domain.text import check_text
from runlore.engine.checks import as_seconds
from runlore.storage.codec import facts_of
from runlore.storage.damage import examined
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from typing import Self

    from runlore.domain.fact import Fact
    from runlore.engine.session import Session

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """A recorded event and its writer.

    `data` is the payload in the newest version of the `topic`, or None if this runlore does not
    know it; equal events share it, so never change it. `damage` says why the event cannot be
    decoded: then `data` is None as well. `run_id` is the run whose stream the event
    is in. `actor` and `host` are as the writer introduced itself; `who` is both with its process:
    `actor@host (pid 42)`.
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
    damage: str | None = None


class EventFilter(NamedTuple):
    """A selection of events: of a stream and the streams below it, of topics, and of an actor.

    None selects all streams or actors, an empty sequence all topics.
    """

    stream: str | None = None
    topics: Sequence[str] = ()
    actor: str | None = None

    @classmethod
    def checked(
        cls, stream: str | None, topics: str | Sequence[str] | None, actor: str | None
    ) -> EventFilter:
        """The filter of a user's arguments. Raises InvalidType, InvalidInput if one is not text."""
        if topics is not None and not isinstance(topics, Iterable):
            raise InvalidType(f"topics must be a str or a list of str, got {topics!r:.80}")
        listed = (topics,) if isinstance(topics, str) else tuple(topics or ())
        for what, text in (("stream", stream), ("actor", actor), *(("topic", t) for t in listed)):
            if text is not None:
                check_text(text, what)
        return cls(stream, listed, actor)


class _Reader:
    """A reader of the log after a position, one page at a time."""

    def __init__(self, session: Session, after: int, chosen: EventFilter) -> None:
        self.position = after
        self._session = session
        self._filter = chosen
        self._writers: dict[str | None, Mapping[str, Any]] = {None: _NOBODY}

    def page(self, upto_position: int) -> list[LoggedEvent]:
        """The selected events of the next page; there may be none although more pages follow."""
        stream, topics, actor = self._filter
        rows = self._session.log.read_plain(
            LogQuery(
                after_position=self.position,
                limit=_PAGE,
                upto_position=upto_position,
                under=stream,
                topics=topics,
            )
        )
        events = map(self._event, examined(self._session.log, facts_of(rows)))
        # A page that is not full reached the end: skipped events are not read again.
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
            who=self._session.journal.name_of(fact.writer_id, fact.actor),
            reason=fact.reason,
            event_id=fact.event_id.hex() if fact.event_id else None,
            writer_id=fact.writer_id,
            damage=fact.damage,
        )

    def _writer(self, writer_id: str) -> Mapping[str, Any]:
        opened = next(iter(self._session.journal.facts(writer_stream(writer_id))), None)
        return _NOBODY if opened is None or opened.data is None else opened.data


_NOBODY: Final[Mapping[str, Any]] = MappingProxyType({})


def events(session: Session, after: int, chosen: EventFilter) -> Iterator[LoggedEvent]:
    """The events after a position, in order, up to the log's end at the time of the first read."""
    session.check_open()
    head = session.log.last_position()
    reader = _Reader(session, after, chosen)
    while reader.position < head:
        session.check_open()
        yield from reader.page(head)


class Feed:
    """The events after a position, including those that any process records later.

    Iterating waits for the next event until another thread calls `stop()`, or until none comes for
    `timeout_s`. Each event comes once, in the order of the log. A feed made with `after=position`
    continues where this one is: store `position` together with the results of the events, and you
    process each event exactly once, restarts included. Only one thread may read a feed; after a
    fork, parent and child each continue with their own.
    """

    def __init__(
        self,
        session: Session,
        after: int,
        chosen: EventFilter,
        timeout_s: float | None = None,
    ) -> None:
        if timeout_s is not None:
            timeout_s = as_seconds("timeout_s", timeout_s)
        session.writable()  # A view of the past gets no new events.
        self.timeout_s = timeout_s
        self._session = session
        self._reader = _Reader(session, after, chosen)
        self._position = after
        self._page: deque[LoggedEvent] = deque()
        self._stopped = False
        self._waker = session.log.waker()

    @property
    def position(self) -> int:
        """The position up to which all matching events have been delivered."""
        return self._position

    def stop(self) -> None:
        """End the iteration; may be called from any thread."""
        self._stopped = True
        self._waker.end()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LoggedEvent:
        give_up_at = None if self.timeout_s is None else time.monotonic() + self.timeout_s
        while not self._stopped:
            self._session.check_open()
            if self._page:
                event = self._page.popleft()
                # Behind the last one of a page, others were read and did not match.
                self._position = event.position if self._page else self._reader.position
                return event
            self._waker.clear()
            head = self._session.log.last_position()
            if head > self._reader.position:
                self._page.extend(self._reader.page(head))
                if not self._page:
                    self._position = self._reader.position
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

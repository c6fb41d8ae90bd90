"""Any log as an application recorder of the `eventsourcing` library.

So any application of that library works on our logs, and its test cases are an independent
conformance suite. Events of such applications have no ids and no metadata, but they have leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, TypeVar
from uuid import UUID

from eventsourcing import persistence
from eventsourcing.persistence import (
    ApplicationRecorder,
    InfrastructureFactory,
    Notification,
    StoredEvent,
    Subscription,
    TrackingRecorder,
)
from eventsourcing.utils import resolve_topic, strtobool

from runlore.storage import driver_errors
from runlore.storage.event_log import EventLog, ForeignEvent, StoredRow
from runlore.storage.log_query import LogQuery
from runlore.storage.subscription import PollingSubscription


class _Creating(Protocol):
    """A recorder that makes what it needs in its database."""

    def create_table(self) -> None: ...


_R = TypeVar("_R", bound=_Creating)
_T = TypeVar("_T")
_Tracking = TypeVar("_Tracking", bound=TrackingRecorder)

_BEFORE_ALL_VERSIONS: Final = -(2**63)
_LIBRARY_ERRORS: Final[dict[type[Exception], type[persistence.PersistenceError]]] = {
    driver_errors.DriverError: persistence.PersistenceError,
    driver_errors.InterfaceError: persistence.InterfaceError,
    driver_errors.DatabaseError: persistence.DatabaseError,
    driver_errors.DataError: persistence.DataError,
    driver_errors.OperationalError: persistence.OperationalError,
    driver_errors.IntegrityError: persistence.IntegrityError,
    driver_errors.InternalError: persistence.InternalError,
    driver_errors.ProgrammingError: persistence.ProgrammingError,
    driver_errors.NotSupportedError: persistence.NotSupportedError,
}


@dataclass(frozen=True)
class RecordedNotification(Notification):
    """The library's notification, with the row from which it is made."""

    row: StoredRow


class LogRecorder(ApplicationRecorder):
    """A log, as applications of the library read and write it.

    With `uuid_ids` the library knows streams by UUIDs: in our log they are named by their hex.
    """

    def __init__(self, log: EventLog, *, uuid_ids: bool = False) -> None:
        self.log = log
        self._show_id = shown_id(uuid_ids)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        with library_errors():
            return self.log.append_foreign(foreign(stored_events))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        after = _BEFORE_ALL_VERSIONS if gt is None else gt
        with library_errors():
            rows = self.log.read_stream(text_id(originator_id), after_version=after)
        wanted = [row for row in rows if lte is None or row.version <= lte]
        if desc:
            wanted.reverse()
        return [
            StoredEvent(self._show_id(row.stream), row.version, row.topic, row.state)
            for row in wanted[:limit]
        ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        query = LogQuery(
            after_position=max(0, (start or 0) - inclusive_of_start),
            upto_position=stop,
            topics=topics,
            limit=limit,
        )
        with library_errors():
            rows = self.log.read_log(query)
        return [
            RecordedNotification(
                self._show_id(row.stream), row.version, row.topic, row.state, row.position, row
            )
            for row in rows
        ]

    def max_notification_id(self) -> int | None:
        with library_errors():
            return self.log.last_position() or None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        return PollingSubscription(self, gt, topics, self.log.waker())


def foreign(stored_events: Sequence[StoredEvent]) -> list[ForeignEvent]:
    """Events of the library as a log takes them."""
    return [
        ForeignEvent(text_id(one.originator_id), one.originator_version, one.topic, one.state)
        for one in stored_events
    ]


def text_id(originator_id: UUID | str) -> str:
    """The name of the stream of the library's aggregate with this id."""
    return originator_id.hex if isinstance(originator_id, UUID) else originator_id


def shown_id(uuid_ids: bool) -> Callable[[str], UUID | str]:
    """The inverse of `text_id`."""
    return UUID if uuid_ids else str


@contextmanager
def library_errors() -> Iterator[None]:
    """Raise the library's class for an error of ours inside the block."""
    try:
        yield
    except driver_errors.DriverError as error:
        kind = next(kind for kind in type(error).__mro__ if kind in _LIBRARY_ERRORS)
        raise _LIBRARY_ERRORS[kind](str(error)) from error


class RecorderFactory(InfrastructureFactory[_Tracking]):
    """What the factories of our persistence modules share: the settings, and the custom classes.

    `lock_timeout` is the variable with the whole seconds for which a change waits.
    """

    lock_timeout: ClassVar[str]

    def _created(self, recorder: _R) -> _R:
        if strtobool(self.env.get("CREATE_TABLE") or "yes"):
            recorder.create_table()
        return recorder

    def _recorder_class(self, key: str, default: type[_T]) -> type[_T]:
        topic = self.env.get(key)
        chosen: type[_T] = resolve_topic(topic) if topic else default
        if not issubclass(chosen, default):
            raise TypeError(f"{key}={topic} is not a subclass of {default.__name__}")
        return chosen

    def _has_uuid_ids(self) -> bool:
        given = (self.env.get("ORIGINATOR_ID_TYPE") or "uuid").lower()
        if given not in ("uuid", "text"):
            raise OSError(f"ORIGINATOR_ID_TYPE is {given!r}; it takes 'uuid' or 'text'")
        return given == "uuid"

    def _lock_timeout_s(self) -> float | None:
        given = (self.env.get(self.lock_timeout) or "").strip()
        if not given:
            return None
        try:
            return int(given)
        except ValueError:
            raise OSError(
                f"{self.lock_timeout} is {given!r}; it takes a whole number of seconds"
            ) from None

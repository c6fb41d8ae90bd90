"""This process's connections to a server: how long they wait, and what becomes of them.

There is no pool with threads of its own: they would not survive a fork, and cannot be started while
the interpreter ends, when runs still record how they ended.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Final, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict

from runlore.domain.errors import InvalidInput
from runlore.storage import fork_guard, interruptions
from runlore.storage.errors import LogBusy, LogUnavailable
from runlore.storage.interruptions import AFTERWARDS, Interrupting
from runlore.storage.patience import Wait, longest_wait_s
from runlore.storage.postgresql.address import Address
from runlore.storage.postgresql.arrays import register
from runlore.storage.postgresql.errors import ServerAway, ServerRefused, first_line, from_psycopg

T = TypeVar("T")

DEFAULT_WAIT_S: Final = 30.0
"""How long a change waits for other writers, and for a server that is away."""

GET_PASSWORD: Final = "RUNLORE_POSTGRES_GET_PASSWORD"
WAIT: Final = "RUNLORE_POSTGRES_WAIT"

_IDLE_MAX: Final = 4
_SLACK_S: Final = 5.0
_READ_S: Final = 60.0
_CONNECT_S: Final = 10
_OLDEST: Final = 140_000
_SETTINGS: Final[dict[str, Any]] = {
    "application_name": "runlore",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "client_encoding": "UTF8",
}


register(psycopg.adapters)


class Connection(psycopg.Connection[Any]):
    """A connection whose calls end at a deadline (seconds of `time.monotonic`)."""

    deadline: float | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As psycopg's, until the deadline."""
        if timeout is None and self.deadline is not None:
            timeout = max(0.0, self.deadline - time.monotonic())
        return super().wait(gen, interval, timeout)

    def __del__(self, *_: object) -> None:
        """Say nothing, unlike psycopg's: libpq's part closes itself.

        What a handler of a signal raises may lose a connection between any two lines.
        """


class Connections:
    """The connections of this process to one address; made when they are needed.

    `wait_s` is how long a change waits for its turn, and everything for a server that is away.
    libpq finds the password, unless one is given here.
    A forked child makes its own, and never touches those of its parent.
    """

    fork_order = fork_guard.ForkOrder.LOG

    def __init__(
        self, address: Address, *, wait_s: float | None = None, password: str | None = None
    ) -> None:
        self.address = address
        self._password = password
        self.wait_s = _usual_wait_s() if wait_s is None else wait_s
        self._idle: list[Connection] = []
        self._lock = interruptions.new_lock(self)
        # One change of this process after the other: they wait for the server's lock anyway.
        self._turn = interruptions.new_lock(self)
        self._changing = interruptions.new_lock(self)
        self._pid = os.getpid()
        self._has_connected = False
        weakref.finalize(self, _close_all, self._idle, os.getpid()).atexit = False
        fork_guard.guard(self)

    def read(self, work: Callable[[Connection], T]) -> T:
        """What the work returns on a connection; it is repeated where the server broke off."""
        return self._ask(work, lambda: _READ_S)

    def change(self, work: Callable[[Connection, int], T]) -> T:
        """As `read`, for work that must have the same outcome if it is repeated.

        The work is given the milliseconds for which it may wait for the log's lock. Raises
        Interrupting in a call that interrupts a change of this thread.
        """
        if interruptions.is_owned(self._changing):
            raise Interrupting
        with AFTERWARDS, self._taken_turn(), self._changing:
            return self._ask(
                lambda connection: work(
                    connection, max(1, int(1000 * longest_wait_s(self.wait_s)))
                ),
                lambda: longest_wait_s(self.wait_s) + _SLACK_S,
            )

    def dedicated(self) -> Connection:
        """A new connection for the caller alone, who closes it."""
        return self._connected()

    def close(self) -> None:
        """Close the connections; the next use makes new ones."""
        with AFTERWARDS, self._lock:
            self._forget_parent()
            idle = [self._idle.pop() for _ in range(len(self._idle))]
        for connection in idle:
            connection.close()

    def _connect_timeout_s(self) -> int:
        # A stopped server's kernel accepts connections. libpq takes whole seconds, at least two.
        return max(2, min(_CONNECT_S, round(longest_wait_s(self.wait_s))))

    def _ask(self, work: Callable[[Connection], T], limit_s: Callable[[], float]) -> T:
        answers: list[T] = []
        problems: list[ServerAway] = []

        def came(seconds: float) -> bool:
            if seconds:
                time.sleep(seconds)
            try:
                answers.append(self._worked(work, limit_s()))
            except ServerAway as error:
                problems.append(error)
                return False
            return True

        if not Wait(self.wait_s).until(came):
            raise LogBusy(
                f"{problems[-1]}; nothing is known to be stored, and it is safe to try again"
            ) from problems[-1]
        return answers[0]

    def _worked(self, work: Callable[[Connection], T], limit_s: float) -> T:
        with self._lent() as connection:
            connection.deadline = time.monotonic() + limit_s
            try:
                return work(connection)
            except psycopg.Error as error:
                if type(error).__name__ == "_WaitTimeout":
                    raise ServerAway(
                        f"the server of {self.address.uri} has not answered for {limit_s:.0f} s"
                    ) from error
                raise from_psycopg(error, self.address.uri) from error

    @contextmanager
    def _lent(self) -> Iterator[Connection]:
        with AFTERWARDS, self._lock:
            self._forget_parent()
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connected()
        try:
            yield connection
        finally:
            self._take_back(connection)

    def _take_back(self, connection: Connection) -> None:
        connection.deadline = None
        if connection.pgconn.transaction_status == pq.TransactionStatus.IDLE:
            with AFTERWARDS, self._lock:
                if self._pid == os.getpid() and len(self._idle) < _IDLE_MAX:
                    self._idle.append(connection)
                    return
        # Broken, or in the middle of something that an exception ended.
        with suppress(Exception):
            connection.close()

    @contextmanager
    def _taken_turn(self) -> Iterator[None]:
        turn = self._turn
        if interruptions.is_owned(turn):  # Kept by an exception of a handler that ended a change.
            yield
            return
        try:
            if not Wait(self.wait_s).until(lambda s: turn.acquire(timeout=s)):
                raise LogBusy(
                    f"could not write to {self.address.uri}: another thread of this process waits "
                    "for the server; nothing was stored, try again"
                )
            yield
        finally:
            try:  # noqa: SIM105 (see `Turns.turn`)
                turn.release()
            except RuntimeError:
                pass

    def _connected(self) -> Connection:
        uri = self.address.uri
        try:
            given = conninfo_to_dict(self.address.conninfo)
        except psycopg.ProgrammingError as error:
            raise InvalidInput(f"cannot open {uri!r:.200}: {first_line(error)}") from error
        usual = {**_SETTINGS, "connect_timeout": self._connect_timeout_s()}
        settings = {key: value for key, value in usual.items() if key not in given}
        connection = self._attempted(settings)
        if isinstance(connection, psycopg.Error):
            raise self._why_not(connection)
        self._has_connected = True
        if connection.info.server_version < _OLDEST:
            version = connection.info.server_version // 10_000
            connection.close()
            raise LogUnavailable(
                f"the server of {uri} is PostgreSQL {version}; runlore needs 14 or newer"
            )
        return connection

    def _attempted(self, settings: dict[str, Any]) -> Connection | psycopg.Error:
        # Errors are returned: reports of raised ones show the variables of the frames they passed.
        password = self._password or _asked_password(self.address)
        if password is not None:
            settings = {**settings, "password": password}
        try:
            return Connection.connect(
                self.address.conninfo, autocommit=True, prepare_threshold=None, **settings
            )
        except psycopg.Error as error:
            return error.with_traceback(None)

    def _why_not(self, error: psycopg.Error) -> Exception:
        if isinstance(error, psycopg.ProgrammingError):
            return InvalidInput(f"cannot open {self.address.uri}: {first_line(error)}")
        if not self._has_connected and "resolve host" in first_line(error):
            return ServerRefused(
                f"cannot open {self.address.uri}: {first_line(error)}; check the host's name"
            )
        return from_psycopg(error, self.address.uri)

    # --- forks ------------------------------------------------------------------------------

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = interruptions.new_lock(self)
        self._turn = interruptions.new_lock(self)
        self._changing = interruptions.new_lock(self)
        self._forget_parent()

    def _forget_parent(self) -> None:
        if self._pid != os.getpid():
            _of_parents.extend(self._idle)
            self._idle.clear()
            self._pid = os.getpid()


_of_parents: Final[list[Connection]] = []
"""Connections that this process was forked with: to close them would end the parent's."""


def _close_all(idle: list[Connection], owner: int) -> None:
    if os.getpid() == owner:
        while idle:
            idle.pop().close()
    else:
        _of_parents.extend(idle)


def _usual_wait_s() -> float:
    given = os.environ.get(WAIT)
    if not given:
        return DEFAULT_WAIT_S
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        raise InvalidInput(f"{WAIT} is {given!r:.80}; it takes a number of seconds")
    return seconds


def _asked_password(address: Address) -> str | None:
    """The password that the function of the user's environment returns; None without one."""
    named = os.environ.get(GET_PASSWORD)
    if not named:
        return None
    module, _, name = named.partition(":")
    try:
        get_password = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidInput(
            f"{GET_PASSWORD} is {named!r:.80}, which cannot be imported ({error}); it takes "
            "MODULE:FUNCTION, a function that is given the URI and returns the password"
        ) from error
    password = get_password(address.uri)
    if isinstance(password, str):
        return password
    del password  # Reports of errors may show variables.
    raise InvalidInput(f"the function {named} of {GET_PASSWORD} returned no text")

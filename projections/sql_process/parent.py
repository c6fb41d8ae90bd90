"""The process that a workspace's isolated queries run in, as the process that asks sees it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from runlore.domain.errors import UserError
from runlore.projections.progress import SignsOfLife
from runlore.projections.query_limits import (
    QueryLimits,
    QueryStopped,
    QueryTimedOut,
    QueryTooLarge,
)
from runlore.projections.sql_process.memory import resident_nbytes
from runlore.projections.sql_process.messages import Message, Pipe, packable, read_exactly
from runlore.storage import fork_guard, interruptions
from runlore.storage.interruptions import AFTERWARDS
from runlore.storage.stamp import leaf_at

if TYPE_CHECKING:
    from arro3.core import RecordBatch

    from runlore.projections.sql_process.arrow_bytes import Tree
    from runlore.projections.user_sql import Params, SqlResult
    from runlore.storage.event_log import EventLog

_LOOK_S: Final = 0.02
"""How often the memory is looked at: DuckDB fills 40 MB in that time."""

_GRACE_S: Final = 0.4
"""How long a query may take to end after it was asked to."""

_CLOSE_S: Final = 2.0
_STDERR_NBYTES: Final = 2_000

# Where tables and temporary files are, and the language of messages; nothing else of the user's.
_VARIABLES: Final = (
    *("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TMPDIR", "TZ"),
    *("RUNLORE_CACHE_DIR", "RUNLORE_CACHE_LIMIT", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
)
_SET: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

_BEGIN: Final = (
    "import sys; life, data, *sys.path[:] = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]; "
    "from runlore.projections.sql_process.child import main; main(life, data)"
)


class SqlProcessMissing(UserError):
    """No process could be started for isolated queries."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"no process could be started for an isolated query: {reason}; ask with "
            "isolated=False, where a query has no hard limits"
        )
        self.reason = reason


class SqlProcess:
    """A warm process for the queries of one lane; started at the first, replaced when it fails.

    One query waits for the other. Usable from any thread; a forked child starts its own.
    """

    fork_order = fork_guard.ForkOrder.PROJECTION

    def __init__(self, log: EventLog, uri: str) -> None:
        self._log = log
        self._uri = uri
        self._query_lock = interruptions.new_lock(self)
        self._life_lock = interruptions.new_lock(self)  # While a process is started or ended.
        self._child: _Child | None = None
        fork_guard.guard(self)

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        child = self._child
        return None if child is None else child.pid

    def sql(
        self,
        query: str,
        params: Params,
        limits: QueryLimits,
        position: int | None = None,
        stop: threading.Event | None = None,
    ) -> SqlResult:
        """The result of a user's SELECT, as of a position if one is given.

        Another thread ends it by setting `stop`: the query that runs, not the wait for another
        one. Raises QueryTimedOut, QueryTooLarge, QueryStopped, QueryRefused or QueryFailed.
        """
        request = {
            "uri": self._uri,
            "query": _text(query),
            "params": _params(query, params),
            "position": position,
            "memory_nbytes": limits.memory_nbytes,
            **_head(self._log),
        }
        with AFTERWARDS, self._query_lock:
            for is_last in (False, True):
                watch = partial(_Watch, query=request["query"], limits=limits, stop=stop)
                answer = self._asked({**request, "is_last": is_last}, watch)
                if answer["end"] != "again":
                    return self._result(answer, query, limits)
                self._end()  # It was killed, or what it read before takes too much memory.
        raise AssertionError("the last attempt answers or raises")

    def close(self) -> None:
        """End the process, with the query that it runs; the next one starts another."""
        if not self._query_lock.acquire(timeout=_CLOSE_S):
            busy = self._child
            if busy is not None:
                busy.send_signal(signal.SIGKILL)  # The thread that asks notices, and ends it.
            self._query_lock.acquire()
        try:
            with self._life_lock:
                child, self._child = self._child, None
                if child is not None:
                    child.close()
        finally:
            self._query_lock.release()

    # --- forks ----------------------------------------------------------------------------

    def before_fork(self) -> None:
        self._life_lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._life_lock.release()

    def after_fork_in_child(self) -> None:
        self._query_lock = interruptions.new_lock(self)
        self._life_lock = interruptions.new_lock(self)
        child, self._child = self._child, None
        if child is not None:
            child.forget()

    # --- inside ---------------------------------------------------------------------------

    def _asked(self, request: Message, watch: Callable[[_Child], _Watch]) -> Message:
        child = self._started()
        try:
            return watch(child).answer(request)
        except (QueryTimedOut, QueryStopped, KeyboardInterrupt):
            obeys = False
            try:
                obeys = child.stop()
            finally:  # A second Ctrl-C does not wait.
                if not obeys:
                    self._end()
            raise
        except BaseException:
            self._end()
            raise

    def _result(self, answer: Message, query: str, limits: QueryLimits) -> SqlResult:
        # Imported here: duckdb takes long to import.
        from runlore.projections.user_sql import QueryFailed, QueryRefused

        end = answer["end"]
        if end == "result":
            return _joined(answer)
        if end == "too large":
            self._end()  # It may not have given back all of it.
            raise QueryTooLarge(query, limits.memory_nbytes)
        if end == "refused":
            raise _with_message(QueryRefused(query, ""), answer["message"])
        raise QueryFailed(query, answer.get("reason", "it was interrupted"))

    def _started(self) -> _Child:
        with self._life_lock:
            if self._child is not None and not self._child.is_alive():
                self._child.kill()
                self._child = None
            if self._child is None:
                self._child = _Child()
            return self._child

    def _end(self) -> None:
        with self._life_lock:
            child, self._child = self._child, None
            if child is not None:
                child.kill()


class IsolatedReader:
    """Queries in a lane's process, as of now or, with a position, as of there."""

    def __init__(self, process: SqlProcess, position: int | None = None) -> None:
        self.process = process
        self.position = position

    def at(self, position: int) -> IsolatedReader:
        """The reader that answers as if the log ended at the position."""
        return IsolatedReader(self.process, position)

    def sql(
        self,
        query: str,
        params: Params,
        limits: QueryLimits,
        stop: threading.Event | None = None,
    ) -> SqlResult:
        """The result of a user's SELECT; see `SqlProcess.sql`."""
        return self.process.sql(query, params, limits, self.position, stop)


class _Watch:
    """One question to a child: its answer, its time and its memory."""

    def __init__(
        self, child: _Child, query: str, limits: QueryLimits, stop: threading.Event | None
    ) -> None:
        self._child = child
        self._query = query
        self._limits = limits
        self._stop = stop
        self._deadline: float | None = None
        self._has_begun = False
        self._schema: Tree = []
        self._batches: list[RecordBatch] = []

    def answer(self, request: Message) -> Message:
        try:
            return self._answered(request)
        except _Died as death:
            if not self._has_begun and not request["is_last"]:
                return {"end": "again"}
            if death.code == -signal.SIGABRT and self._has_begun:  # So ends a failed allocation.
                raise QueryTooLarge(self._query, self._limits.memory_nbytes) from death
            from runlore.projections.user_sql import QueryFailed

            raise QueryFailed(self._query, str(death)) from death

    def _answered(self, request: Message) -> Message:
        self._child.send(request)
        with closing(_Shown()) as shown:
            return self._received(shown)

    def _received(self, shown: _Shown) -> Message:
        while True:
            message = self._child.next(_LOOK_S)
            if message is None:
                self._look()
            elif "reached" in message:
                shown.tell(*message["reached"])
            elif "begun" in message:
                shown.close()
                self._begin()
            elif "schema" in message:
                self._schema, self._deadline = message["schema"], None
            elif "batch" in message:
                self._batches.append(self._read(message["batch"]))
            else:
                return {**message, "schema": self._schema, "batches": self._batches}

    def _read(self, array: Tree) -> RecordBatch:
        # Imported here: the library takes some ms.
        from runlore.projections.sql_process.arrow_bytes import batch_of, sizes_in

        return batch_of(self._schema, array, [self._child.buffer(n) for n in sizes_in(array)])

    def _begin(self) -> None:
        """Begin to count: what came before brought the tables up to the log's head."""
        self._has_begun = True
        if self._limits.timeout_s is not None:
            self._deadline = time.monotonic() + self._limits.timeout_s

    def _look(self) -> None:
        if self._stop is not None and self._stop.is_set():
            raise QueryStopped(self._query)
        if not self._has_begun:
            return
        if resident_nbytes(self._child.pid) > self._limits.of_resident_nbytes:
            raise QueryTooLarge(self._query, self._limits.memory_nbytes)
        if self._deadline is not None and time.monotonic() >= self._deadline:
            assert self._limits.timeout_s is not None
            raise QueryTimedOut(self._query, self._limits.timeout_s)


class _Shown:
    """Shows on stderr how far a child's catch-up is, from its first word on."""

    def __init__(self) -> None:
        self._signs: SignsOfLife | None = None

    def tell(self, start: int, position: int, head: int) -> None:
        if self._signs is None:
            self._signs = SignsOfLife(start, lambda: head, stream=sys.stderr)
        self._signs.tell(position)

    def close(self) -> None:
        if self._signs is not None:
            self._signs.end()


class _Child:
    """A running process, in a session of its own: no signal of the terminal reaches it."""

    def __init__(self) -> None:
        # All are closed with this object, whatever happens.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        life, own_end = os.pipe()
        self._life = open(own_end, "wb", buffering=0)  # noqa: SIM115
        own_end, data = os.pipe()
        self._data = open(own_end, "rb", buffering=0)  # noqa: SIM115
        try:
            self._popen = _popen(life, data, self._stderr.fileno())
        except OSError as error:
            for stream in (self._life, self._data, self._stderr):
                stream.close()
            raise SqlProcessMissing(str(error)) from error
        finally:
            os.close(life)
            os.close(data)
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._requests = Pipe(self._popen.stdin.fileno())
        self._answers = Pipe(self._popen.stdout.fileno())
        self._poll = select.poll()
        self._poll.register(self._answers.fd, select.POLLIN)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def send(self, request: Message) -> None:
        with suppress(BrokenPipeError):  # It died; `next` says so.
            self._requests.send(request)

    def next(self, timeout_s: float) -> Message | None:
        """The next message; None if there is none yet. Raises _Died."""
        message = self._answers.waiting()
        if message is None and self._poll.poll(timeout_s * 1_000):
            if not self._answers.read():
                raise _Died(self._popen.wait(), self._said())
            message = self._answers.waiting()
        return message

    def buffer(self, nbytes: int) -> bytearray:
        """The next bytes of a result. Raises _Died."""
        content = read_exactly(self._data.fileno(), nbytes)
        if content is None:
            raise _Died(self._popen.wait(), self._said())
        return content

    def stop(self) -> bool:
        """Ask the process to end its query; whether it did, and is ready for the next one."""
        self.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _GRACE_S
        try:
            while time.monotonic() < deadline:
                message = self.next(_LOOK_S)
                if message is not None and "end" in message:
                    return bool(message["end"] != "result")  # Nobody has read that.
        except _Died:
            pass
        return False

    def close(self) -> None:
        """Let the process end by itself, or else end it."""
        assert self._popen.stdin is not None
        with suppress(OSError):
            self._popen.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(_CLOSE_S)
        self.kill()

    def kill(self) -> int:
        """End the process at once; returns how it ended."""
        self._popen.kill()
        code = self._popen.wait()
        self._close_pipes()
        return code

    def forget(self) -> None:
        """In a forked child of this process: leave the process to it."""
        self._popen.returncode = 0  # Or else a warning would say that it still runs.
        self._close_pipes()

    def _close_pipes(self) -> None:
        opened = (self._popen.stdin, self._popen.stdout, self._stderr, self._life, self._data)
        for stream in opened:
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]  # Popen has made both.

    def _said(self) -> str:
        self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - _STDERR_NBYTES))
        return self._stderr.read().decode(errors="replace").strip()


class _Died(Exception):
    """The process ended without an answer."""

    def __init__(self, code: int, said: str) -> None:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        super().__init__(f"its process ended ({how}): {said or 'it said nothing'}")
        self.code = code


def _popen(life: int, data: int, stderr: int) -> subprocess.Popen[bytes]:
    # Popen never forks this process, which may have threads, but for exec.
    if not sys.executable:
        raise SqlProcessMissing("sys.executable does not say which Python runs here")
    environment = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    paths = [path for path in sys.path if os.path.isabs(path)]  # Never the working folder.
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _BEGIN, str(life), str(data), *paths],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        pass_fds=(life, data),
        cwd="/",
        env={**environment, **_SET},
        start_new_session=True,
    )


def _head(log: EventLog) -> Message:
    position = log.last_position()
    return {"head": position, "leaf": leaf_at(log, position) if position else None}


def _text(query: object) -> str:
    if isinstance(query, str):
        with suppress(UnicodeEncodeError):
            query.encode()
            return query
    from runlore.projections.user_sql import QueryFailed, QueryRefused

    if isinstance(query, str):
        raise QueryFailed(query, "it holds a lone surrogate, which is not text")
    raise QueryRefused(repr(query), f"a {type(query).__name__}")


def _params(query: str, params: object) -> Any:
    if params is None:
        return None
    try:
        if isinstance(params, Mapping) or (
            isinstance(params, Sequence) and not isinstance(params, str | bytes)
        ):
            return packable(dict(params) if isinstance(params, Mapping) else list(params))
        raise TypeError(f"params is a {type(params).__name__}; it takes a list or a dict")
    except (TypeError, ValueError) as error:
        from runlore.projections.user_sql import QueryFailed

        raise QueryFailed(query, str(error)) from error


def _joined(answer: Message) -> SqlResult:
    from arro3.core import Table

    from runlore.projections.sql_process.arrow_bytes import schema_of
    from runlore.projections.user_sql import SqlResult

    return SqlResult(Table.from_batches(answer["batches"], schema=schema_of(answer["schema"])))


def _with_message(error: UserError, message: str) -> UserError:
    error.args, error.message = (message,), message
    return error

"""Changes whose outcome is not known: each is stored once, or an error says that it may not be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from random import Random

import psycopg
import pytest

from runlore.storage.errors import LogBusy
from runlore.storage.verification import verify_log
from runlore.testing.logs import all_rows, new_event, new_events
from runlore.testing.waiting import wait_until
from tests.postgres.logs import log_at
from tests.postgres.proxy import Cut, CuttingProxy
from tests.postgres.server import Server, running_server
from tests.postgres.writing import Writer, check_stored, writing

pytestmark = [pytest.mark.long, pytest.mark.processes]


def test_cut_connections_lose_and_repeat_nothing(server: Server, schema: str) -> None:
    with closing(log_at(server.uri(schema))) as log:
        proxy = CuttingProxy(server.port, seed=1, share=0.6)
        uri = server.uri(schema).replace(f":{server.port}/", f":{proxy.port}/")
        with closing(proxy), writing(uri, 6, changes=6) as writers:
            pass

        check_stored(log, writers)
    assert len(proxy.cuts) >= 100
    assert {*proxy.cuts} == {*Cut}


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that tests stop."""
    with running_server() as server:
        yield server


def test_restarts_of_the_server_lose_and_repeat_nothing(own: Server, schema: str) -> None:
    with closing(log_at(own.uri(schema))) as log:
        with writing(own.uri(schema), 4) as writers:
            for how, down_s in ((signal.SIGINT, 0.0), (signal.SIGQUIT, 0.0), (signal.SIGINT, 2.0)):
                before = [len(writer.acknowledged) for writer in writers]
                wait_until(partial(have_gone_on, writers, before), "each writer to have gone on")
                own.stop(how)
                time.sleep(down_s)
                own.start()

        assert check_stored(log, writers) > 12


def have_gone_on(writers: list[Writer], before: list[int]) -> bool:
    return any(writer.problem for writer in writers) or all(
        len(writer.acknowledged) > count for writer, count in zip(writers, before, strict=True)
    )


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Processes that do not move."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


HOLD = """
import sys, psycopg
with psycopg.connect(sys.argv[1]) as connection:
    connection.execute(f"SELECT {sys.argv[2]}.lock_log(1000)")
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_stopped_holder_of_the_lock_is_cut_off(server: Server, schema: str) -> None:
    with closing(log_at(server.uri(schema))) as log:
        command = [sys.executable, "-c", HOLD, server.uri(), schema]
        with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-3) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            with stopped(holder.pid):
                log.append([new_event()])
            holder.kill()

        assert len(all_rows(log)) == 1


def test_behind_a_stopped_process_of_the_server_a_change_ends_in_log_busy(
    server: Server, schema: str
) -> None:
    with (
        closing(log_at(server.uri(schema), wait_s=0.5)) as log,
        psycopg.connect(server.uri()) as holder,
    ):
        event = new_event()
        holder.execute(f"SELECT {schema}.lock_log(1000)".encode())
        with stopped(holder.info.backend_pid), pytest.raises(LogBusy, match="try again"):
            log.append([event])
        holder.rollback()

        log.append([event])
        assert len(all_rows(log)) == 1


def test_a_stopped_server_ends_changes_in_log_busy(own: Server, schema: str) -> None:
    with closing(log_at(own.uri(schema), wait_s=0.5)) as log:
        event = new_event()
        log.append([event])
        with stopped(*own.pids()):
            for _ in range(2):  # Over the connection that was open, and by a new one.
                with pytest.raises(LogBusy, match="try again"):
                    log.append([event])

        log.append([event])
        log.append([new_event(version=2)])
        assert len(all_rows(log)) == 2


class HandlerError(Exception):
    """What a handler of the user raises."""


def test_handlers_that_raise_leave_the_log_usable(server: Server, schema: str) -> None:
    def interrupt(*_: object) -> None:
        raise HandlerError

    random = Random(1)
    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        with closing(log_at(server.uri(schema))) as log:
            for version in range(1, 81):
                event = new_event(version=version)
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.006))
                    log.append([event])
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    time.sleep(0.001)  # A signal that is on its way comes here.
                except HandlerError:
                    interrupted += 1
                    log.append([event])

            assert [row.version for row in all_rows(log)] == [*range(1, 81)]
            assert verify_log(log).holds
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 5


WRITE = """
import sys
from runlore.testing.logs import new_events
from tests.postgres.logs import log_at
log = log_at(sys.argv[1])
version = 1
while True:
    events = new_events("run/" + sys.argv[2], range(version, version + 3))
    log.append(events)
    version += 3
    for event in events:
        print(event.event_id.hex(), flush=True)
"""


def test_killed_writers_lose_nothing_acknowledged_and_hold_up_nobody(
    server: Server, schema: str
) -> None:
    with closing(log_at(server.uri(schema))) as log:
        acknowledged: set[str] = set()
        for number in range(3):
            command = [sys.executable, "-c", WRITE, server.uri(schema), str(number)]
            with subprocess.Popen(command, stdout=-1, text=True) as process:
                assert process.stdout is not None
                acknowledged |= {process.stdout.readline().strip() for _ in range(20 + number)}
                process.kill()
                acknowledged |= {line.strip() for line in process.stdout if len(line) == 33}
            log.append(new_events(f"run/after-{number}", [1]))

        rows = all_rows(log)
        assert acknowledged <= {(row.event_id or b"").hex() for row in rows}
        for number in range(3):
            versions = [row.version for row in rows if row.stream == f"run/{number}"]
            assert versions == [*range(1, len(versions) + 1)]
            assert len(versions) % 3 == 0
        assert verify_log(log).holds


def test_threads_wait_for_their_turn_one_after_the_other(server: Server, schema: str) -> None:
    with closing(log_at(server.uri(schema))) as log:
        threads = [
            threading.Thread(target=log.append, args=(new_events(f"run/{number}", [1, 2]),))
            for number in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(all_rows(log)) == 24
        assert verify_log(log).holds

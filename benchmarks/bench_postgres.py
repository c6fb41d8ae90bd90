"""The log in PostgreSQL beside the `eventsourcing` library's own recorder, raw commits and folders.

The server is one from a wheel, on the loopback interface with fsync on; `network` puts a proxy
before it that brings all bytes a millisecond later. Events have 194 B of payload.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgpack
import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from benchmarks.bench_queries import fill
from benchmarks.delayed import delayed
from benchmarks.harness import Goal, Result, at_most, at_most_times, exactly, scratch, sized
from runlore import Experiment, Run, Workspace
from runlore.storage.event_log import EventLog, NewEvent
from runlore.storage.log_query import LogQuery
from runlore.storage.postgresql.address import address_of
from runlore.storage.postgresql.connections import Connections
from runlore.storage.postgresql.log import PostgresLog
from runlore.storage.postgresql.schema import make_or_upgrade, statement
from runlore.workspace import session_of
from tests.postgres.server import Server, running_server

ROUNDS: Final = 7
STATE: Final = msgpack.packb({"v": 1, "key": "k", "value": "x" * 172})
DELAY_S: Final = 0.001
PAGE: Final = 5_000

Turn = Callable[[], float]
"""One measurement; returns its figure."""


def run() -> Iterator[Result]:
    """Each figure and its baseline in turns, at least seven times, on one server."""
    with scratch() as folder, running_server() as server:
        os.environ["RUNLORE_SPOOL_DIR"] = str(folder / "spools")
        try:
            yield from appends(server)
            yield from network(server)
            yield cluster(server)
            yield beside_a_snapshot(server)
            yield stopped_holder(server)
            yield flat_out(server)
            yield catch_up(server)
            yield from runs(server, folder)
            yield from reads(server, folder)
        finally:
            del os.environ["RUNLORE_SPOOL_DIR"]


def in_turns(
    what: str,
    ours: Turn,
    baseline_what: str,
    baseline: Turn,
    *,
    unit: str = "ms",
    repeat: int = ROUNDS,
    goals: tuple[Goal, ...] = (),
) -> Result:
    """Medians of what both return, in seconds, the two taking turns."""
    scale = {"s": 1, "ms": 1e3, "µs": 1e6}[unit]
    found = [(ours(), baseline()) for _ in range(repeat)]
    mine, theirs = (scale * statistics.median(side) for side in zip(*found, strict=True))
    return Result(what, mine, theirs, baseline_what, unit, repeat, goals)


# --- logs -----------------------------------------------------------------------------------

_streams: Final = count()


def log_of(server: Server, schema: str, port: int | None = None) -> PostgresLog:
    """The log in a schema, made if it is missing."""
    address = address_of(server.uri(schema).replace(f":{server.port}/", f":{port or server.port}/"))
    connections = Connections(address)
    connections.read(lambda connection: make_or_upgrade(connection, address))
    return PostgresLog(connections)


def library_on(server: Server, schema: str, port: int | None = None) -> PostgresApplicationRecorder:
    """The library's recorder of events in text streams, with connections for four writers."""
    server.execute(f"CREATE SCHEMA {schema}")
    store = PostgresDatastore(
        *("postgres", "127.0.0.1", port or server.port, "postgres", ""),
        schema=schema,
        pool_size=4,
        originator_id_type="text",
    )
    recorder = PostgresApplicationRecorder(store)
    recorder.create_table()
    return recorder


def append(log: EventLog, batch: int) -> None:
    """Append a batch to a stream of its own."""
    stream = f"run/{next(_streams):032}/values/{0:032}"
    metadata: dict[str, str | int] = {"writer": "0" * 32}
    log.append(
        [
            NewEvent(stream, version, "run.tag_set", STATE, os.urandom(16), metadata)
            for version in range(1, batch + 1)
        ]
    )


def insert(recorder: PostgresApplicationRecorder, batch: int) -> None:
    """The same through the library."""
    stream = f"run/{next(_streams):032}/values/{0:032}"
    recorder.insert_events(
        [StoredEvent(stream, version, "run.tag_set", STATE) for version in range(1, batch + 1)]
    )


def took(action: Callable[[], object], times: int = 1) -> float:
    """Seconds per call of an action."""
    started = time.perf_counter()
    for _ in range(times):
        action()
    return (time.perf_counter() - started) / times


def all_at_once(actions: Sequence[Callable[[], object]], times: int) -> float:
    """Seconds per call of actions that go on at the same time, each in a thread."""
    threads = [threading.Thread(target=took, args=(action, times)) for action in actions]

    def run() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return took(run) / (times * len(actions))


def p50(action: Callable[[], object], times: int) -> float:
    """The median of the seconds of single calls."""
    return statistics.median(took(action) for _ in range(times))


# --- appends ---------------------------------------------------------------------------------


def appends(server: Server) -> Iterator[Result]:
    """Rate and processor time, client and server, of batches by one writer."""
    log, recorder = log_of(server, "appends"), library_on(server, "appends_of_library")
    library = "eventsourcing's PostgresApplicationRecorder"
    for batch, commits, rate in (
        (1, 100, 0.0),
        (100, sized(40, 5), 1.3),
        (1_000, sized(10, 2), 1.8),
    ):
        ours, theirs = partial(append, log, batch), partial(insert, recorder, batch)
        ours(), theirs()
        each = [
            (costs(server, ours, commits, batch), costs(server, theirs, commits, batch))
            for _ in range(ROUNDS)
        ]
        for place, name in enumerate(("wall", "CPU of client and server")):
            mine, other = (
                1e6 * statistics.median(turn[side][place] for turn in each) for side in (0, 1)
            )
            limits = (1 / rate if rate else 0, 0.5 if batch > 1 else 0)
            goals = (at_most_times(round(limits[place], 3)),) if limits[place] else ()
            what = f"append, {batch:,} event(s) a commit, {name} per event"
            yield Result(what, mine, other, library, "µs", ROUNDS, goals)
    log.close()
    recorder.datastore.close()


def costs(
    server: Server, action: Callable[[], object], commits: int, batch: int
) -> tuple[float, float]:
    """Seconds and seconds of processor time per event."""
    before = time.process_time() + server_cpu(server)
    wall = took(action, commits)
    cpu = time.process_time() + server_cpu(server) - before
    return wall / batch, cpu / (commits * batch)


def server_cpu(server: Server) -> float:
    """Processor time of the server's processes for clients that are connected now, in seconds."""
    pids = server.execute(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
        "AND pid <> pg_backend_pid()"
    )
    spent = 0
    for (pid,) in pids:
        with suppress(FileNotFoundError):  # A client may have left since.
            spent += int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])
    return spent / 1e9


def network(server: Server) -> Iterator[Result]:
    """Through a proxy that adds a millisecond each way: single appends, and a tag."""
    with delayed(server.port, DELAY_S) as port:
        logs = [log_of(server, "network", port) for _ in range(4)]
        recorder = library_on(server, "network_of_library", port)
        times = sized(50, 5)
        yield in_turns(
            "single appends by 4 writers, 1 ms each way, per commit",
            lambda: all_at_once([partial(append, log, 1) for log in logs], times),
            "eventsourcing's PostgresApplicationRecorder",
            lambda: all_at_once([partial(insert, recorder, 1)] * 4, times),
            goals=(at_most_times(0.5),),
        )
        recorder.datastore.close()
        for log in logs:
            log.close()
        with Workspace.create("tags", path=at(server.uri("tags"), server.port, port)) as ws:
            yield tags(server, ws, port, "1 ms each way")


def at(uri: str, port: int, other: int) -> str:
    """The URI with another port."""
    return uri.replace(f":{port}/", f":{other}/")


def tags(server: Server, ws: Workspace, port: int, where: str) -> Result:
    """A tag's p50 beside three round trips, of which one commits a row."""
    run = new_run(ws)
    times, number = sized(60, 5), count()
    raw = raw_connection(server, port)

    def three_trips() -> None:
        raw.execute("SELECT 1")
        raw.execute("SELECT 1")
        raw_commit(raw)

    result = in_turns(
        f"run.tag, p50, {where}",
        lambda: p50(lambda: run.tag("k", str(next(number))), times),
        "3 round trips and an fsync",
        lambda: p50(three_trips, times),
        goals=(at_most_times(1),),
    )
    run.complete()
    raw.close()
    return result


def raw_connection(server: Server, port: int | None = None) -> psycopg.Connection[Any]:
    """A connection with a table for `raw_commit`."""
    uri = at(server.uri(), server.port, port or server.port)
    raw = psycopg.connect(uri, autocommit=True, prepare_threshold=None)
    raw.execute("CREATE TABLE IF NOT EXISTS raw (id bigserial PRIMARY KEY, state bytea)")
    return raw


def raw_commit(raw: psycopg.Connection[Any]) -> None:
    """One row, committed in one round trip."""
    raw.execute("INSERT INTO raw (state) VALUES (%b)", [STATE])


def cluster(server: Server) -> Result:
    """Four workspaces of a cluster with a writer each, beside one."""
    logs = [log_of(server, f"cluster_{number}") for number in range(4)]
    times = sized(150, 10)
    result = in_turns(
        "4 workspaces of a cluster, a writer each, per commit",
        lambda: all_at_once([partial(append, log, 1) for log in logs], times),
        "one workspace with one writer",
        lambda: all_at_once([partial(append, logs[0], 1)], times),
        goals=(at_most_times(0.667),),
    )
    for log in logs:
        log.close()
    return result


def beside_a_snapshot(server: Server) -> Result:
    """An append after many commits beside an open snapshot, and one in a new log without it."""
    old, new = log_of(server, "old"), log_of(server, "new")
    commits, times = sized(6_000), sized(100, 10)
    with psycopg.connect(server.uri()) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM old.log_head")
        took(partial(append, old, 1), commits)
        aged = [took(partial(append, old, 1), times) for _ in range(ROUNDS)]
    fresh = [took(partial(append, new, 1), times) for _ in range(ROUNDS)]
    old.close()
    new.close()
    return Result(
        f"an append after {commits:,} commits beside an open snapshot",
        statistics.median(aged) * 1e3,
        statistics.median(fresh) * 1e3,
        "an append in a new log without one",
        "ms",
        ROUNDS,
        (at_most_times(3),),
    )


def stopped_holder(server: Server) -> Result:
    """An append beside a writer that took the lock and does not go on."""
    log = log_of(server, "stopped")
    append(log, 1)
    figures = []
    for _ in range(sized(ROUNDS, 1)):
        with psycopg.connect(server.uri("stopped").partition("?")[0], autocommit=True) as holder:
            holder.execute("BEGIN")
            holder.execute(
                statement("SELECT @schema@.lock_log(1000)", address_of(server.uri("stopped")))
            )
            figures.append(took(partial(append, log, 1)))
            holder.close()
    log.close()
    return Result(
        "an append beside a stopped holder of the lock",
        statistics.median(figures),
        None,
        "",
        "s",
        len(figures),
        (at_most(5.5),),
        "holders are cut off after 5 s",
    )


def flat_out(server: Server) -> Result:
    """Eight writers of one workspace append as fast as they can."""
    logs = [log_of(server, "flat_out") for _ in range(8)]
    acknowledged: list[bytes] = []

    def write(log: EventLog) -> None:
        event = NewEvent(f"run/{next(_streams)}", 1, "run.tag_set", STATE, os.urandom(16), {})
        log.append([event])
        acknowledged.append(event.event_id)

    per_commit = all_at_once([partial(write, log) for log in logs], sized(500, 20))
    stored = [row.event_id for row in logs[0].read_log(LogQuery())]
    for log in logs:
        log.close()
    wrong = len(set(acknowledged) ^ set(stored)) + len(stored) - len(set(stored))
    note = f"of {len(acknowledged):,}, {1 / per_commit:,.0f} commits/s"
    goals = (exactly(0),)
    return Result("8 writers flat out: lost or repeated", wrong, None, "", "", 1, goals, note)


def catch_up(server: Server) -> Result:
    """All events in pages, decoded, beside the library's."""
    log, recorder = log_of(server, "catch_up"), library_on(server, "catch_up_of_library")
    events = sized(200_000)
    for _ in range(events // 1_000):
        append(log, 1_000)
        insert(recorder, 1_000)
    server.execute("ANALYZE")

    def ours() -> None:
        after = 0
        while rows := log.read_plain(LogQuery(after_position=after, limit=PAGE)):
            for row in rows:
                msgpack.unpackb(row[4])
            after = rows[-1][0]
        assert after == events

    def theirs() -> None:
        after = 0
        while rows := recorder.select_notifications(after, PAGE, inclusive_of_start=False):
            for row in rows:
                msgpack.unpackb(row.state)
            after = rows[-1].id

    result = in_turns(
        f"catch-up of {events:,} events, per event",
        lambda: took(ours) / events,
        "eventsourcing's pages of 5,000",
        lambda: took(theirs) / events,
        unit="µs",
        goals=(at_most_times(0.5),),
    )
    log.close()
    recorder.datastore.close()
    return result


# --- the SDK ----------------------------------------------------------------------------------


def new_run(ws: Workspace) -> Run:
    return started(Experiment(ws, "bench"))


def started(experiment: Experiment) -> Run:
    return experiment.start_logging(outputs=False, snapshot_directory=None)


def runs(server: Server, folder: Path) -> Iterator[Result]:
    """A tag, a logged value, a run's beginning and end."""
    raw = raw_connection(server)
    with (
        Workspace.create("runs", path=server.uri("runs")) as ws,
        Workspace.create("runs", path=folder / "runs") as on_disk,
    ):
        yield tags(server, ws, server.port, "loopback")
        here, there = new_run(on_disk), new_run(ws)
        values = sized(20_000)
        yield in_turns(
            "run.log(name, float), p50",
            lambda: p50(lambda: there.log("loss", 0.5), values),
            "in a folder",
            lambda: p50(lambda: here.log("loss", 0.5), values),
            unit="µs",
            goals=(at_most_times(1.2),),
        )
        times, experiment = sized(30, 3), Experiment(ws, "bench")

        def two_commits() -> None:
            raw_commit(raw)
            raw_commit(raw)

        yield in_turns(
            "start_logging + complete",
            lambda: took(lambda: started(experiment).complete(), times),
            "two raw psycopg commits",
            lambda: took(two_commits, times),
            goals=(at_most_times(2),),
        )
        here.complete()
        there.complete()
    raw.close()


def reads(server: Server, folder: Path) -> Iterator[Result]:
    """Filtered lists and trees, beside those of a folder with the same runs."""
    size = sized(10_000)
    with (
        Workspace.create("reads", path=server.uri("reads")) as ws,
        Workspace.create("reads", path=folder / "reads") as on_disk,
    ):
        for one in (ws, on_disk):
            fill(one, size)
            session_of(one).reader().projection.refresh()

        def listed(workspace: Workspace) -> float:
            experiment = Experiment(workspace, "exp-3")
            tags, properties = {"group": "7"}, {"author": "user-3"}
            return p50(
                lambda: list(
                    experiment.get_runs(tags=tags, properties=properties, include_children=True)
                ),
                9,
            )

        def tree(workspace: Workspace) -> float:
            root = workspace.get_run("run-0")
            return p50(lambda: list(root.get_children(recursive=True)), 9)

        for what, ask in (("get_runs(tag, property)", listed), ("get_children(recursive)", tree)):
            yield in_turns(
                f"{what} of {size:,} runs",
                partial(ask, ws),
                "in a folder",
                partial(ask, on_disk),
                goals=(at_most_times(1.2),),
            )

"""A `log.sqlite` that somebody else made: opening it obeys nothing, and touches nothing else.

| tried | what happens |
|---|---|
| triggers that delete or ignore what is stored; views, endless ones as well | NotALog, named |
| further tables, columns, indexes, constraints, collations; virtual tables | NotALog, named |
| definitions under a false kind or name, or that are no text | NotALog, escaped |
| thousands of definitions, definitions of megabytes | NotALog |
| a trigger or a view that comes while the log is open | NotALog, nothing is stored |
| a header of another application, of a negative version, of false sizes | NotALog, LogCorrupt |
| a header of the far future | the log is read, and not written to |
| pages that lead to each other a billion times | LogCorrupt |
| other types and sizes in the columns; noise | LogCorrupt, or passed over |
| the log, its WAL, journal or queue as link, hard link, pipe, device, folder | UnsafeEntry |
| a rollback journal that has SQLite delete a file elsewhere | NotALog |
| noise as journal, as WAL, as shared memory | passed over |
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import pytest

from runlore import Experiment, Workspace
from runlore.domain.errors import RunloreError
from runlore.storage.errors import NotALog
from runlore.storage.held_folder import UnsafeEntry
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_schema import KEYS_SCHEMA
from tests.processes import LIMIT_S, in_child

pytestmark = pytest.mark.processes

SECRET: Final = b"a file of the user's\n"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """The folder of a workspace with one run."""
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        run = Experiment(workspace, "e").start_logging(outputs=False, snapshot_directory=None)
        run.log("loss", 1.0)
        run.complete()
    return tmp_path / "lab"


@pytest.fixture
def precious(tmp_path: Path) -> Iterator[Path]:
    """A file elsewhere, which stays as it is."""
    folder = tmp_path / "home"
    folder.mkdir()
    file = folder / "precious"
    file.write_bytes(SECRET)
    before = file.stat()
    yield file
    after = file.stat()
    assert file.read_bytes() == SECRET
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert os.listdir(folder) == ["precious"]


def use(folder: Path) -> str:
    """Read and change the workspace in a process of its own; the error, or "done"."""

    def work() -> str:
        warnings.filterwarnings("ignore", "(?s).* Answers pass over what cannot be decoded")
        with Workspace.open(folder) as workspace:
            for run in Experiment(workspace, "e").get_runs():
                run.get_metrics()
                list(run.history())
                run.tag("seen")
            workspace.sql("SELECT count(*) FROM tags").fetchall()
        return "done"

    return answered(work)


def answered(work: Callable[[], str]) -> str:
    """What the work returns in a process of its own, or the error of ours that it raises."""

    def child() -> str:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(LIMIT_S))  # Nothing may hang, not even in C.
        try:
            return work()
        except RunloreError as error:
            return f"{type(error).__name__}: {error}"

    answer: str = in_child(child)
    return answer


def refused(folder: Path, *words: str) -> str:
    """The error of a log that is refused, and was left as it is."""
    before = content_of(folder)
    answer = use(folder)
    assert answer.startswith("NotALog: "), answer
    assert all(word in answer for word in words), answer
    assert answer.isprintable()
    assert content_of(folder) == before
    return answer


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("log.sqlite*") if path.is_file()}


def execute(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "log.sqlite", isolation_level=None)) as stranger:
        for statement in statements:
            stranger.execute(statement)


def define(folder: Path, kind: object, name: object, table: object, sql: object) -> None:
    """A row of `sqlite_schema`, whatever SQLite would say to the statement."""
    with closing(sqlite3.connect(folder / "log.sqlite", isolation_level=None)) as stranger:
        stranger.execute("PRAGMA writable_schema=ON")
        stranger.execute(
            "INSERT INTO sqlite_schema VALUES (?, ?, ?, 2, ?)", (kind, name, table, sql)
        )


def redefine(folder: Path, name: str, old: str, new: str) -> None:
    with closing(sqlite3.connect(folder / "log.sqlite", isolation_level=None)) as stranger:
        stranger.execute("PRAGMA writable_schema=ON")
        changed = stranger.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ? AND sql LIKE ?",
            (old, new, name, f"%{old}%"),
        ).rowcount
        assert changed == 1, "the attack does not fit the schema any more"


def test_the_workspace_of_these_tests_is_used_without_a_word(lab: Path) -> None:
    assert use(lab) == "done"


# --- what the file defines ----------------------------------------------------------------

ENDLESS: Final = (
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
    "SELECT x AS one, x AS size, x AS position, x AS recorded_at, x AS frontier FROM n"
)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "CREATE TRIGGER forget AFTER INSERT ON stored_events BEGIN "
            "DELETE FROM stored_events WHERE notification_id = new.notification_id; END",
            "the trigger 'forget'",
        ),
        (
            "CREATE TRIGGER deaf BEFORE INSERT ON stored_events BEGIN SELECT RAISE(IGNORE); END",
            "the trigger 'deaf'",
        ),
        (f"CREATE VIEW more AS {ENDLESS}", "the view 'more'"),
        ("CREATE TABLE photos (name TEXT)", "the table 'photos'"),
        ("CREATE TABLE stored_photos (name TEXT)", "the table 'stored_photos'"),
        ("CREATE INDEX mine ON stored_events (topic)", "the index 'mine'"),
        ("CREATE UNIQUE INDEX once ON stored_events (topic)", "the index 'once'"),
        ("CREATE INDEX a ON stored_events (topic) WHERE length(state) > 9", "the index 'a'"),
        ("CREATE INDEX b ON stored_events (hex(state))", "the index 'b'"),
        ("CREATE VIRTUAL TABLE words USING fts4(word)", "'words"),
        ("ALTER TABLE drained ADD COLUMN more", "the table 'drained' otherwise"),
        ("ALTER TABLE drained ADD COLUMN g AS (hex(lap))", "the table 'drained' otherwise"),
        ("ALTER TABLE drained RENAME TO drowned", "the table 'drowned'"),
        ('CREATE TABLE "\x1b]0;owned\x07" (a)', r"the table '\x1b]0;owned\x07'"),
        ("CREATE TABLE [\u202egnp.exe] (a)", r"\u202e"),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode(),
)
def test_what_a_log_does_not_define_is_refused_and_named(
    lab: Path, statement: str, named: str
) -> None:
    execute(lab, statement)
    refused(lab, named)


def test_a_view_that_never_ends_in_the_place_of_a_table_is_refused(lab: Path) -> None:
    execute(
        lab, "ALTER TABLE log_head RENAME TO log_head_of_old", f"CREATE VIEW log_head AS {ENDLESS}"
    )
    refused(lab, "log_head")


def test_a_trigger_that_sets_traps_in_an_erasable_log_is_refused(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab", erasable=True) as workspace:
        Experiment(workspace, "e").start_logging(outputs=False, snapshot_directory=None).complete()
    assert use(tmp_path / "lab") == "done"
    execute(
        tmp_path / "lab",
        "CREATE TABLE copies AS SELECT * FROM run_keys",
        "CREATE TRIGGER keep BEFORE UPDATE ON run_keys BEGIN "
        "INSERT INTO copies SELECT * FROM run_keys; END",
    )
    refused(tmp_path / "lab")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("log_head", "CHECK (one = 1)", "CHECK (one = abs(1))"),
        ("log_head", "position INTEGER NOT NULL", "position INTEGER NOT NULL DEFAULT (random())"),
        ("stored_events", "topic TEXT NOT NULL", "topic TEXT NOT NULL COLLATE evil"),
        ("stored_events", "topic TEXT NOT NULL", "topic TEXT"),
        ("stored_events", "event_id BLOB", "event_id BLOB AS (zeroblob(1000000000))"),
        ("stored_events", "AUTOINCREMENT", ""),
        ("stored_events", "leaf BLOB NOT NULL", "leaf BLOB NOT NULL ON CONFLICT IGNORE"),
        ("stored_events", "originator_version)", "originator_version) ON CONFLICT REPLACE"),
        ("stored_events", "state BLOB NOT NULL", "state BLOB\u00a0NOT NULL"),
        ("stored_events", "state BLOB", "/* */ state BLOB"),
        ("stored_events_recorded_at", "(recorded_at)", "(recorded_at COLLATE evil)"),
        ("stored_events_recorded_at", "(recorded_at)", "(recorded_at) WHERE 0"),
        ("drained", "lap INTEGER NOT NULL", "lap INTEGER REFERENCES elsewhere (x)"),
        ("sqlite_sequence", "(name,seq)", "(name,seq,more DEFAULT (random()))"),
    ],
)
def test_a_table_that_is_defined_otherwise_is_refused(
    lab: Path, name: str, old: str, new: str
) -> None:
    redefine(lab, name, old, new)
    before = content_of(lab)
    answer = use(lab)
    # What SQLite itself cannot take is called damaged.
    assert answer.startswith(("NotALog: ", "LogCorrupt: ")), answer
    assert content_of(lab) == before


TRIGGER: Final = "CREATE TRIGGER t AFTER INSERT ON drained BEGIN DELETE FROM drained; END"


@pytest.mark.parametrize(
    "row",
    [
        ("table", "t", "drained", TRIGGER),
        ("trigger", "settled", "drained", TRIGGER),
        ("index", "sqlite_autoindex_drained_1", "drained", TRIGGER),
        ("table", "run_keys", "run_keys", "CREATE TABLE erasures (position, run_id)"),
        ("table", "run_keys", "other", KEYS_SCHEMA[0]),
        ("view", "run_keys", "run_keys", KEYS_SCHEMA[0]),
        ("table", b"\xff\xfe", "x", "CREATE TABLE x (a)"),
        ("table", "sqlite_stat1", "sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat,more)"),
        ("table", "x", "x", "CREATE VIRTUAL TABLE x USING fts5(a)"),
        ("table", "x", "x", "CREATE VIRTUAL TABLE x USING no_such_module(a)"),
        ("index", "sqlite_autoindex_photos_1", "photos", None),
        ("index", "mine", "drained", None),
        (1, 2, 3, 4),
    ],
    ids=str,
)
def test_a_definition_under_a_false_kind_or_name_is_refused(
    lab: Path, row: tuple[object, object, object, object]
) -> None:
    define(lab, *row)
    before = content_of(lab)
    answer = use(lab)
    assert answer.startswith(("NotALog: ", "LogCorrupt: ")), answer
    assert content_of(lab) == before


def test_thousands_of_definitions_are_refused(lab: Path) -> None:
    with closing(sqlite3.connect(lab / "log.sqlite")) as stranger:
        for number in range(5_000):
            stranger.execute(f"CREATE TABLE IF NOT EXISTS t{number} (a)")
        stranger.commit()
    refused(lab, "defines more than a log")


def test_a_definition_of_megabytes_is_refused(lab: Path) -> None:
    execute(lab, f"CREATE TABLE photos (a DEFAULT '{'x' * 20_000_000}')")
    refused(lab, "defines more than a log")


def test_statistics_of_sqlite_are_no_stranger(lab: Path) -> None:
    execute(lab, "ANALYZE", "PRAGMA optimize")
    assert use(lab) == "done"


def test_statistics_that_lie_do_no_harm(lab: Path) -> None:
    execute(lab, "ANALYZE", "UPDATE sqlite_stat1 SET stat = '9223372036854775807 -1 x'")
    assert use(lab) == "done"


@pytest.mark.parametrize(
    "body",
    [
        "AFTER INSERT ON stored_events BEGIN "
        "DELETE FROM stored_events WHERE notification_id = new.notification_id; END",
        "BEFORE INSERT ON stored_events BEGIN SELECT RAISE(IGNORE); END",
    ],
)
def test_a_trigger_that_comes_while_the_log_is_open_is_not_obeyed(lab: Path, body: str) -> None:
    with Workspace.open(lab) as workspace:
        [run] = Experiment(workspace, "e").get_runs()
        run.tag("before")
        execute(lab, f"CREATE TRIGGER t {body}")
        with pytest.raises(NotALog, match="was given the trigger or view 't' while it was open"):
            run.tag("after")
        with pytest.raises(NotALog, match="defines the trigger 't'"):
            run.tag("after")
        execute(lab, "DROP TRIGGER t")
        run.tag("again")
        assert run.get_tags().keys() == {"before", "again"}


def test_a_view_that_comes_while_the_log_is_open_is_not_read(lab: Path) -> None:
    with closing(open_sqlite(lab / "log.sqlite")) as log:
        log.head()
        execute(lab, "DROP TABLE log_head", f"CREATE VIEW log_head AS {ENDLESS}")
        with pytest.raises(NotALog, match="was given the trigger or view"):
            log.head()
        with pytest.raises(NotALog, match="log_head"):
            log.head()


# --- the header ---------------------------------------------------------------------------


def test_a_log_of_another_application_is_refused(lab: Path) -> None:
    execute(lab, "PRAGMA application_id=252006673")
    refused(lab, "of another application")


def test_a_negative_version_is_damage(lab: Path) -> None:
    execute(lab, "PRAGMA user_version=-1")
    assert use(lab).startswith("LogCorrupt: ")


def test_a_version_of_the_far_future_is_read_and_not_written_to(lab: Path) -> None:
    execute(lab, f"PRAGMA user_version={2**31 - 1}")
    with pytest.warns(UserWarning, match="version 2147483647"):
        workspace = Workspace.open(lab)
    with workspace:
        [run] = Experiment(workspace, "e").get_runs()
        assert run.get_metrics() == {"loss": 1.0}
        with pytest.raises(RunloreError, match="upgrade runlore"):
            run.tag("seen")


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (16, b"\x00\x07"),  # page size
        (16, b"\x00\x01"),
        (18, b"\x09\x09"),  # format of another time
        (20, b"\xff"),  # reserved space
        (21, b"\x00\x00\x00"),
        (28, b"\xff\xff\xff\xff"),  # page count
        (32, b"\x00\x00\x00\x02\x00\x00\x00\x05"),  # the free list: a page of a table
        (32, b"\xff\xff\xff\xf0\x00\x00\x00\x05"),
        (44, b"\x00\x00\x00\x63"),  # schema format
        (56, b"\x00\x00\x00\x09"),  # text encoding
        (52, b"\x00\x00\x00\x03"),  # auto-vacuum
    ],
)
def test_a_header_that_lies_ends_in_an_error_of_ours_or_is_passed_over(
    lab: Path, precious: Path, offset: int, value: bytes
) -> None:
    content = bytearray((lab / "log.sqlite").read_bytes())
    content[offset : offset + len(value)] = value
    (lab / "log.sqlite").write_bytes(content)
    assert use(lab).startswith(("NotALog: ", "LogCorrupt: ", "done"))


def test_pages_that_lead_to_each_other_a_billion_times_end_in_an_error(lab: Path) -> None:
    with closing(sqlite3.connect(lab / "log.sqlite", isolation_level=None)) as stranger:
        row = stranger.execute("SELECT * FROM stored_events LIMIT 1").fetchone()
        stranger.execute("BEGIN")
        for position in range(100, 3_000):  # Enough for an index of two levels.
            stranger.execute(
                "INSERT INTO stored_events VALUES (?, 'run/x', ?, ?, ?, NULL, ?, NULL, ?)",
                (position, position, *row[3:5], row[6], row[8]),
            )
        stranger.execute("COMMIT")
        (root,) = stranger.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_stored_events_1'"
        ).fetchone()
    lead_in_circles(lab / "log.sqlite", root)

    answer = answered(lambda: str(len(open_sqlite(lab / "log.sqlite").read_stream("run/x"))))
    assert answer.startswith("LogCorrupt: ") and "went on for longer" in answer, answer


def lead_in_circles(path: Path, root: int) -> None:
    """Put levels between a root and its first child; every pointer of each leads to the next."""
    content = bytearray(path.read_bytes())
    nbytes = int.from_bytes(content[16:18], "big")
    top = bytes(content[(root - 1) * nbytes : root * nbytes])
    assert top[0] == 2, "the index has one level only"
    [first_cell] = struct.unpack(">H", top[12:14])
    [child] = struct.unpack(">I", top[first_cell : first_cell + 4])
    for _level in range(6):
        content += with_children(top, child)
        child = len(content) // nbytes
    content[(root - 1) * nbytes : root * nbytes] = with_children(top, child)
    content[28:32] = struct.pack(">I", child)
    path.write_bytes(content)


def with_children(page: bytes, child: int) -> bytes:
    """A page of an index, whose every pointer leads to one child."""
    made = bytearray(page)
    made[8:12] = struct.pack(">I", child)
    cells = int.from_bytes(page[3:5], "big")
    for [at] in struct.iter_unpack(">H", page[12 : 12 + 2 * cells]):
        made[at : at + 4] = struct.pack(">I", child)
    return bytes(made)


# --- the content --------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("value", ["'x'", "x'00ff'", "9223372036854775807", "1.5"])
@pytest.mark.parametrize(
    "column",
    [
        "log_head.size",
        "log_head.position",
        "log_head.recorded_at",
        "log_head.frontier",
        "stored_events.originator_id",
        "stored_events.originator_version",
        "stored_events.topic",
        "stored_events.state",
        "stored_events.event_id",
        "stored_events.recorded_at",
        "stored_events.metadata",
        "stored_events.leaf",
        "drained.writer_id",
        "drained.lap",
        "drained.slot",
        "drained.position",
        "sqlite_sequence.seq",
    ],
)
def test_other_values_in_the_columns_end_in_an_error_of_ours_or_are_passed_over(
    lab: Path, precious: Path, column: str, value: str
) -> None:
    table, name = column.split(".")
    with suppress(sqlite3.IntegrityError):
        last = f"= (SELECT max({name}) FROM {table})"
        execute(lab, f"UPDATE {table} SET {name} = {value} WHERE {name} {last}")
    use(lab)


@pytest.mark.parametrize("seed", range(8))
def test_a_log_of_noise_ends_in_an_error_of_ours_or_is_passed_over(
    lab: Path, precious: Path, seed: int
) -> None:
    chance = random.Random(seed)
    content = bytearray((lab / "log.sqlite").read_bytes())
    for _ in range(40):
        content[chance.randrange(100, len(content))] = chance.randrange(256)
    (lab / "log.sqlite").write_bytes(content)
    use(lab)


# --- the files ----------------------------------------------------------------------------


def link(path: Path, precious: Path) -> None:
    path.symlink_to(precious)


def dangling_link(path: Path, precious: Path) -> None:
    path.symlink_to(precious.with_name("new"))


def hard_link(path: Path, precious: Path) -> None:
    path.hardlink_to(precious)


def pipe(path: Path, precious: Path) -> None:
    os.mkfifo(path)


def socket_file(path: Path, precious: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))


def folder(path: Path, precious: Path) -> None:
    path.mkdir()


def device(path: Path, precious: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # zero
    except PermissionError:
        pytest.skip("only root makes devices")


KINDS: Final = (link, dangling_link, hard_link, pipe, socket_file, folder, device)


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("name", ["log.sqlite-wal", "log.sqlite-shm", "log.sqlite-journal"])
def test_what_lies_beside_the_log_is_a_plain_file_or_refused(
    lab: Path, precious: Path, name: str, make: Callable[[Path, Path], None]
) -> None:
    make(lab / name, precious)
    answer = use(lab)
    assert answer.startswith("UnsafeEntry: ") and name in answer, answer


@pytest.mark.parametrize("make", KINDS)
def test_a_writers_queue_that_is_no_plain_file_is_refused(
    lab: Path, precious: Path, make: Callable[[Path, Path], None]
) -> None:
    (lab / "log.sqlite-queue").unlink()
    make(lab / "log.sqlite-queue", precious)
    answer = use(lab)
    assert answer.startswith("UnsafeEntry: ") and "log.sqlite-queue" in answer, answer


@pytest.mark.parametrize("make", [kind for kind in KINDS if kind is not hard_link])
def test_a_log_that_is_no_plain_file_is_refused(
    lab: Path, precious: Path, make: Callable[[Path, Path], None]
) -> None:
    (lab / "log.sqlite").unlink()
    make(lab / "log.sqlite", precious)
    answer = use(lab)
    assert answer.startswith("UnsafeEntry: ") and "log.sqlite" in answer, answer


def test_a_new_workspace_is_not_made_through_a_link(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "new").mkdir()
    dangling_link(tmp_path / "new" / "log.sqlite", precious)
    with pytest.raises(UnsafeEntry, match="symbolic link"):
        Workspace.create("new", path=tmp_path / "new")


def test_a_log_with_a_further_name_is_read_and_not_written_to(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "other.sqlite").hardlink_to(lab / "log.sqlite")
    before = content_of(lab)
    answer = use(lab)
    assert answer.startswith("LogReadOnly: ") and "2 names (hard links)" in answer, answer
    assert content_of(lab) == before


# --- journals, WAL and shared memory --------------------------------------------------------


def journal_that_deletes(log: Path, victim: Path) -> bytes:
    """A rollback journal of a transaction over two files, whose list is the victim."""
    nbytes = int.from_bytes(log.read_bytes()[16:18], "big")
    magic = bytes.fromhex("d9d505f920a163d7")
    page = log.read_bytes()[:nbytes]
    nonce = 12_345
    checksum = (nonce + sum(page[at] for at in range(nbytes - 200, 0, -200))) % 2**32
    header = magic + struct.pack(">5I", 1, nonce, log.stat().st_size // nbytes, 512, nbytes)
    name = os.fsencode(victim)
    return (
        header.ljust(512, b"\0")
        + struct.pack(">I", 1)
        + page
        + struct.pack(">I", checksum)
        + struct.pack(">I", 2**30 // nbytes + 1)
        + name
        + struct.pack(">2I", len(name), sum(name))
        + magic
    )


def test_a_journal_that_has_sqlite_delete_a_file_elsewhere_is_refused(
    lab: Path, tmp_path: Path, precious: Path
) -> None:
    with closing(sqlite3.connect(lab / "log.sqlite")) as stranger:
        stranger.execute("PRAGMA journal_mode=DELETE")
    victim = tmp_path / "victim"
    journal = lab / "log.sqlite-journal"

    victim.write_bytes(SECRET)
    journal.write_bytes(journal_that_deletes(lab / "log.sqlite", victim))
    with closing(sqlite3.connect(lab / "log.sqlite")) as unaware:
        unaware.execute("SELECT count(*) FROM stored_events").fetchone()
    assert not victim.exists(), "SQLite does not do this any more: the attack has to be mended"

    victim.write_bytes(SECRET)
    journal.write_bytes(journal_that_deletes(lab / "log.sqlite", victim))
    refused(lab, "log.sqlite-journal", "which SQLite would delete")
    assert victim.read_bytes() == SECRET


@pytest.mark.parametrize("name", ["log.sqlite-wal", "log.sqlite-shm", "log.sqlite-journal"])
@pytest.mark.parametrize("nbytes", [0, 10, 4096, 1_000_000])
def test_noise_beside_the_log_is_passed_over(
    lab: Path, precious: Path, name: str, nbytes: int
) -> None:
    (lab / name).write_bytes(random.Random(nbytes).randbytes(nbytes))
    assert use(lab) == "done"

"""Where the database is, and what becomes of one that is damaged, old, foreign or not allowed."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from runlore.projections.filters import RunFilter
from runlore.projections.own_projection import ProjectionFailed
from runlore.projections.projection_of_runs import tables_version
from runlore.projections.reader import RunsReader
from runlore.projections.slots import Memory, claim, place_below
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.system_errors import Fault, advice_on
from runlore.storage.value_codec import Series
from tests.disks import Disk
from tests.logged_values import Record
from tests.processes import in_child
from tests.projections.histories import History, opened, reader_of, rebuilt, tables_of

pytestmark = pytest.mark.long

NOBODY = 65534
RUNS = 40


@pytest.fixture
def history() -> History:
    return filled(History())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "projections"


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)
        for path in Path(name).rglob("*"):
            if path.is_dir():
                path.chmod(0o755)


def filled(history: History) -> History:
    """Enough of everything that a damage anywhere in the file is in something."""
    history.experiment()
    for number in range(RUNS):
        parent = f"r{number - 1}" if number % 3 else None
        history.run(f"r{number}", parent_id=parent, tags={"note": "x" * 2_000, "n": str(number)})
    rng = random.Random(0)
    records = [Record(Series("loss"), n, n, rng.random()) for n in range(20_000)]
    history.values("r0", records)
    return history


def database_below(folder: Path) -> Path:
    """The one database file."""
    (found,) = folder.rglob("reader-*/projection.duckdb")
    return found


def make_database(history: History, folder: Path) -> Path:
    with reader_of(history.log, folder) as reader:
        reader.projection.refresh()
    return database_below(folder)


def answers(reader: RunsReader) -> tuple[Any, ...]:
    """An answer of each kind, from every part of the file."""
    return (
        [row.run_id for row in reader.runs(RunFilter(include_children=True, tags="n"))],
        [row.run_id for row in reader.runs(RunFilter(below_run="r0", include_children=True))],
        reader.sql("SELECT count(*), sum(value), sum(hash(step)) FROM metric_points").fetchall(),
        reader.sql("SELECT sum(hash(data)) FROM events").fetchall(),
    )


def expected(history: History) -> tuple[Any, ...]:
    with reader_of(history.log) as reader:
        return answers(reader)


# --- damage -------------------------------------------------------------------------------


def truncated_to_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def truncated_to_a_header(content: bytes) -> bytes:
    return content[:4096]


def empty(content: bytes) -> bytes:
    return b""


def random_bytes(content: bytes) -> bytes:
    return random.Random(1).randbytes(len(content))


def text(content: bytes) -> bytes:
    return b"not a database\n" * 1_000


def zeros_in_the_middle(content: bytes) -> bytes:
    third = len(content) // 3
    return content[:third] + bytes(third) + content[2 * third :]


def a_bit_in_every_block(content: bytes) -> bytes:
    damaged = bytearray(content)
    for place in range(4096 * 3 + 100, len(damaged), 2**18):
        damaged[place] ^= 1
    return bytes(damaged)


@pytest.mark.parametrize(
    "damage",
    [
        truncated_to_half,
        truncated_to_a_header,
        empty,
        random_bytes,
        text,
        zeros_in_the_middle,
        a_bit_in_every_block,
    ],
    ids=lambda damage: damage.__name__.replace("_", " "),
)
def test_a_damaged_database_is_rebuilt_silently(
    damage: Callable[[bytes], bytes], history: History, folder: Path
) -> None:
    database = make_database(history, folder)
    database.write_bytes(damage(database.read_bytes()))

    with reader_of(history.log, folder) as reader:
        assert answers(reader) == expected(history)
    with reader_of(history.log, folder) as reader:
        assert answers(reader) == expected(history)
        assert reader.projection.events_read == 0, "the rebuilt file is sound"


def test_damage_anywhere_in_the_file_never_changes_an_answer(
    history: History, folder: Path
) -> None:
    database = make_database(history, folder)
    content = database.read_bytes()
    right = expected(history)
    rng = random.Random(7)
    for _ in range(25):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 4, 30])):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        database.write_bytes(damaged)
        with reader_of(history.log, folder) as reader:
            first = rng.randrange(4)  # Each answer must also be the one that finds the damage.
            found = [ask(reader) for ask in ASKED[first:] + ASKED[:first]]
            assert found[4 - first :] + found[: 4 - first] == list(right)


ASKED: list[Callable[[RunsReader], Any]] = [
    lambda reader: answers(reader)[0],
    lambda reader: answers(reader)[1],
    lambda reader: answers(reader)[2],
    lambda reader: answers(reader)[3],
]


def test_damage_that_a_users_query_meets_first_is_mended_before_it_answers(
    history: History, folder: Path
) -> None:
    database = make_database(history, folder)
    content = database.read_bytes()
    query = "SELECT count(*), sum(value), sum(hash(step)) FROM metric_points"
    right = expected(history)[2]
    rebuilds = 0
    for place in range(4096 * 3 + 2**17, len(content), 2**18):
        damaged = bytearray(content)
        damaged[place] ^= 255
        database.write_bytes(damaged)
        with reader_of(history.log, folder) as reader:
            assert reader.sql(query).fetchall() == right
            rebuilds += reader.projection.events_read > 0
    assert rebuilds


# --- other people's files -------------------------------------------------------------------


def test_the_projection_of_another_log_is_rebuilt(history: History, folder: Path) -> None:
    other = History()
    other.experiment()
    other.run("stranger")
    longer = filled(History())
    longer.run("one more")
    for log in (other.log, longer.log):
        with reader_of(log, folder) as reader:
            reader.projection.refresh()

        with reader_of(history.log, folder) as reader:
            assert tables_of(reader) == rebuilt(history.log)


def test_the_projection_of_a_log_that_was_set_back_is_rebuilt(folder: Path, tmp_path: Path) -> None:
    history = History(open_sqlite(tmp_path / "log.sqlite"))
    history.experiment()
    history.log.close()
    copy = (tmp_path / "log.sqlite").read_bytes()
    history.run("lost")
    with reader_of(history.log, folder) as reader:
        assert [row.run_id for row in reader.runs()] == ["lost"]
    history.log.close()
    for path in tmp_path.glob("log.sqlite*"):
        path.unlink()
    (tmp_path / "log.sqlite").write_bytes(copy)

    restored = History(open_sqlite(tmp_path / "log.sqlite"))
    with reader_of(restored.log, folder) as reader:
        assert list(reader.runs()) == []
    restored.log.close()


def test_a_database_with_other_tables_is_replaced(history: History, folder: Path) -> None:
    database = make_database(history, folder)
    for statements in (
        "CREATE TABLE mine (a INT)",
        "CREATE SCHEMA store; CREATE TABLE store.runs (a INT)",
        "CREATE TABLE tracking (application_name VARCHAR, notification_id BIGINT)",
    ):
        database.unlink()
        with duckdb.connect(str(database)) as connection:
            connection.execute(statements)

        with reader_of(history.log, folder) as reader:
            assert answers(reader) == expected(history)


def test_a_folder_of_another_version_is_left_alone(history: History, folder: Path) -> None:
    older = folder / "0-duckdb1.0.0" / "reader-0"
    older.mkdir(parents=True)
    (older / "projection.duckdb").write_bytes(b"of another version")

    with reader_of(history.log, folder) as reader:
        assert answers(reader) == expected(history)

    assert (older / "projection.duckdb").read_bytes() == b"of another version"
    current = folder / f"{tables_version()}-duckdb{duckdb.__version__}" / "reader-0"
    assert (current / "projection.duckdb").exists()


@pytest.mark.parametrize("what", ["all", "the slot", "the file"])
def test_what_is_deleted_between_two_readers_is_made_again(
    what: str, history: History, folder: Path
) -> None:
    database = make_database(history, folder)
    if what == "the file":
        database.unlink()
    else:
        shutil.rmtree(folder if what == "all" else database.parent)

    with reader_of(history.log, folder) as reader:
        assert answers(reader) == expected(history)
        assert reader.projection.events_read > 0


def test_what_is_deleted_under_an_open_reader_does_not_disturb_it(
    history: History, folder: Path
) -> None:
    with reader_of(history.log, folder) as reader:
        assert answers(reader) == expected(history)
        shutil.rmtree(folder)
        for number in range(3):
            history.run(f"late-{number}", tags={"n": "late"})
            assert answers(reader) == expected(history)


def test_a_file_that_is_cut_under_an_open_reader_is_rebuilt(history: History, folder: Path) -> None:
    with reader_of(history.log, folder) as reader:
        reader.projection.refresh()
    with reader_of(history.log, folder) as reader:
        reader.projection.refresh()
        os.truncate(database_below(folder), 5_000)
        history.run("late", tags={"n": "late"})
        assert answers(reader) == expected(history)


# --- no place at all ------------------------------------------------------------------------


def as_nobody(history: History, function: Callable[[], Any]) -> Any:
    """What the function returns in a child whose user owns nothing."""
    with reader_of(history.log) as reader:
        answers(reader)  # Loads modules and SQL, which that user may not be able to read.

    def child() -> Any:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return function()

    return in_child(child)


@pytest.mark.parametrize("made_before", [False, True], ids=["empty", "with a projection"])
def test_a_folder_that_cannot_be_written_is_answered_from_memory(
    made_before: bool, history: History, public_folder: Path
) -> None:
    folder = public_folder / "projections"
    if made_before:
        make_database(history, folder)
    for path in [public_folder, *public_folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(path.stat().st_mtime_ns for path in public_folder.rglob("*"))

    def ask() -> tuple[Any, ...]:
        with reader_of(history.log, folder) as reader:
            return answers(reader)

    assert as_nobody(history, ask) == expected(history)
    assert sorted(path.stat().st_mtime_ns for path in public_folder.rglob("*")) == before


def test_another_users_slots_are_passed_over(history: History, public_folder: Path) -> None:
    folder = public_folder / "projections"
    versioned = make_database(history, folder).parents[1]
    versioned.chmod(0o777)

    def ask() -> list[Any]:
        with reader_of(history.log, folder) as reader:
            found = answers(reader)
        return [found, sorted(path.name for path in versioned.iterdir())]

    found, slots = as_nobody(history, ask)
    assert found == expected(history)
    assert slots == ["reader-0", "reader-1"]


def test_a_full_disk_is_answered_from_memory_and_used_again_when_there_is_room(
    history: History, tmp_path: Path
) -> None:
    def ask() -> None:
        disk = Disk(tmp_path)
        try:
            with reader_of(history.log, tmp_path / "before") as reader:
                reader.projection.refresh()
                disk.fill()
                history.run("late", tags={"n": "late"})
                history.values("late", [Record(Series("x"), n, n, "y" * 999) for n in range(9_999)])
                assert answers(reader) == expected(history)  # Opened with room, went on without.
            with reader_of(history.log, tmp_path / "after") as reader:
                assert answers(reader) == expected(history)  # Never had any.
            disk.free()
            for folder in (tmp_path / "before", tmp_path / "after"):
                for _ in range(2):
                    with reader_of(history.log, folder) as reader:
                        assert answers(reader) == expected(history)
                assert reader.projection.events_read == 0, "the file is whole again"
        finally:
            disk.close()

    in_child(ask)


def test_memory_without_any_temporary_folder_works_without_spilling(
    history: History, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with reader_of(history.log) as reader:
        assert answers(reader)[2][0][0] == 20_000


# --- slots ------------------------------------------------------------------------------------


def test_the_next_reader_reads_only_what_the_log_got_since(history: History, folder: Path) -> None:
    make_database(history, folder)
    history.run("new")

    with reader_of(history.log, folder) as reader:
        assert [row.run_id for row in reader.runs()][0] == "new"
        assert reader.projection.events_read == 1


def test_readers_in_one_process_each_have_a_slot(history: History, folder: Path) -> None:
    with reader_of(history.log, folder) as one, reader_of(history.log, folder) as other:
        assert answers(one) == answers(other)
        assert len(list(folder.rglob("reader-*/projection.duckdb"))) == 2
        assert one.projection.events_read == other.projection.events_read > 0


def test_closing_frees_the_slot_and_twice_is_once(history: History, folder: Path) -> None:
    reader = opened(history.log, folder)
    reader.projection.close()  # Never opened.
    reader.projection.refresh()
    lock = database_below(folder).with_name("lock")
    reader.projection.close()
    reader.projection.close()

    fd = os.open(lock, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
    assert not lock.with_name("projection.duckdb.wal").exists()


def test_pages_that_a_killed_process_spilled_are_removed(history: History, folder: Path) -> None:
    slot = make_database(history, folder).parent
    (slot / "spill").mkdir()
    (slot / "spill" / "duckdb_temp_storage-0.tmp").write_bytes(b"x" * 1_000)

    with reader_of(history.log, folder) as reader:
        reader.projection.refresh()
        assert not (slot / "spill").exists()


def test_memory_leaves_no_temporary_folder(history: History) -> None:
    place = place_below(None)
    assert isinstance(place, Memory) and place.spill is not None
    assert place.spill.is_dir()
    assert place.spill.stat().st_mode & 0o077 == 0, "what is spilled there is nobody else's"
    place.release()
    assert not place.spill.exists()


def test_a_slot_is_a_lock_on_a_folder(folder: Path) -> None:
    first, second = claim(folder), claim(folder)
    assert [first.folder.name, second.folder.name] == ["reader-0", "reader-1"]
    first.release()
    third = claim(folder)
    assert third.folder == first.folder
    second.release()
    third.release()


# --- threads ------------------------------------------------------------------------------------


def test_threads_share_one_reader_while_another_writes(folder: Path) -> None:
    history = History()
    history.experiment()
    failures: list[BaseException] = []
    with reader_of(history.log, folder) as reader:

        def ask(kind: int) -> None:
            seen = 0
            try:
                while seen < 60:
                    head = history.log.head().size - 1
                    match kind:
                        case 0:
                            found = len(list(reader.runs()))
                        case 1:
                            (found,) = reader.sql("SELECT count(*) FROM runs").fetchall()[0]
                        case _:
                            found = reader.projection.refresh() - len(reader.experiments())
                    assert found >= max(seen, head)
                    seen = found
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=ask, args=[kind]) for kind in (0, 1, 2, 0)]
        for thread in threads:
            thread.start()
        for number in range(60):
            history.run(f"r{number}")
        for thread in threads:
            thread.join()

        assert failures == []
        assert tables_of(reader) == rebuilt(history.log)


def test_tables_that_cannot_be_made_say_what_to_do() -> None:
    assert str(ProjectionFailed("no room")).endswith("free memory or disk space and ask again")
    assert str(ProjectionFailed("no room", Fault.QUOTA)).endswith(advice_on(Fault.QUOTA))

"""Sealed points: however they are sealed and merged, what is read is what a rebuild reads."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.projections import segments
from runlore.projections.connection import connect
from runlore.projections.duckdb_view import DuckDBView, Tracking
from runlore.projections.generations import Publishing
from runlore.projections.projection_of_runs import RunsProjection
from runlore.projections.reader import RunsReader
from runlore.projections.runner import APPLICATION, catch_up
from runlore.projections.segment_files import Bounds, listed_segments, usable
from runlore.projections.user_sql import QueryFailed, QueryRefused
from runlore.storage.codec import fact_of
from runlore.storage.driver_errors import IntegrityError
from runlore.storage.log_query import LogQuery
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.value_codec import Series
from tests.disks import Disk
from tests.examples import few
from tests.logged_values import Record
from tests.processes import in_child, start_python, wait_until
from tests.projections.histories import (
    Happening,
    History,
    appends,
    asked,
    births,
    reader_of,
    rebuilt,
    tables,
    tables_of,
    value_batches,
)

pytestmark = pytest.mark.long

LOSS = Series("loss")
ROC = Series("roc", ("x", "y"), "row")
SMALL = Bounds(seal_rows=3, fan=2, merged_max_rows=12)

bounds = st.builds(
    Bounds,
    seal_rows=st.integers(1, 6),
    fan=st.integers(2, 3),
    merged_max_rows=st.sampled_from([0, 12, 100]),
)

points_first = st.lists(
    st.lists(st.one_of(births(), value_batches(), value_batches(), value_batches()), min_size=1),
    max_size=12,
)
"""Appends that mostly log values."""


@contextmanager
def projection_in(folder: Path, bounds: Bounds) -> Iterator[RunsProjection]:
    """The projection whose files are in the folder, as they were left there."""
    segments = folder / "segments"
    segments.mkdir(exist_ok=True)
    connection = connect(folder / "projection.duckdb", folder / "spill", segments)
    try:
        yield RunsProjection(DuckDBView(connection), segments, bounds)
    finally:
        connection.close()


def begun() -> History:
    history = History()
    history.experiment()
    for number in range(3):
        history.run(f"r{number}")
    return history


def log_some(history: History, times: int, seed: int = 0) -> None:
    """Batches of floats, texts and rows of three runs."""
    rng = random.Random(seed)
    for _ in range(times):
        records = [Record(LOSS, n, n, rng.random()) for n in range(rng.randint(1, 4))]
        records.append(Record(ROC, 0, 5, (rng.random(), rng.choice([1, 2**60, "text", None]))))
        history.values(f"r{rng.randrange(3)}", records)


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("segments/*")}


def names(connection: duckdb.DuckDBPyConnection) -> set[str]:
    return {segment.name for segment in listed_segments(connection)}


# --- the same as a rebuild --------------------------------------------------------------------


@settings(deadline=None, max_examples=few(10))
@given(points_first | st.lists(appends, max_size=10), bounds, st.data())
def test_any_interleaving_of_appends_catch_ups_seals_merges_and_openings_is_a_rebuild(
    appended: list[list[Happening]], bounds: Bounds, data: st.DataObject
) -> None:
    history = begun()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        waiting = list(appended)
        while True:
            with projection_in(folder, bounds) as projection:
                connection = projection.view.connection
                for _ in range(data.draw(st.integers(1, 4), "appends before it is closed")):
                    if waiting:
                        history.add(*waiting.pop(0))
                    batch = data.draw(st.sampled_from([None, 1, 3, 100]), "batch, or no catch-up")
                    if batch is not None:
                        catch_up(projection, history.log, batch=batch)
                    assert files_of(folder) == names(connection)
                if not waiting:
                    catch_up(projection, history.log, batch=2)
                    assert tables(connection) == rebuilt(history.log)
                    check_order(connection)
                    return


def check_order(connection: duckdb.DuckDBPyConnection) -> None:
    """Segments follow each other in the log, and the tail follows them."""
    after = 0
    for segment in listed_segments(connection):
        assert after < segment.from_position <= segment.to_position
        after = segment.to_position
    tail = connection.execute("SELECT min(position) FROM store.tail_points").fetchall()[0][0]
    assert tail is None or tail > after


@settings(deadline=None, max_examples=few(4))
@given(points_first, bounds)
def test_a_batch_that_is_delivered_twice_neither_adds_nor_seals(
    appended: list[list[Happening]], bounds: Bounds
) -> None:
    history = begun()
    for append in appended:
        history.add(*append)
    with (
        tempfile.TemporaryDirectory() as name,
        projection_in(Path(name), bounds) as projection,
    ):
        position = 0
        while rows := history.log.read_log(LogQuery(after_position=position, limit=3)):
            position = rows[-1].position
            facts = [fact_of(row) for row in rows]
            projection.commit(facts, Tracking(APPLICATION, position), rows[-1].leaf)
            once = tables(projection.view.connection), files_of(Path(name))

            with pytest.raises(IntegrityError):
                projection.commit(facts, Tracking(APPLICATION, position), rows[-1].leaf)

            assert (tables(projection.view.connection), files_of(Path(name))) == once
        assert tables(projection.view.connection) == rebuilt(history.log)


def test_a_batch_that_fails_after_a_seal_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = begun()
    log_some(history, 9)
    with projection_in(tmp_path, SMALL) as projection:
        catch_up(projection, history.log)
        connection = projection.view.connection
        before = tables(connection), files_of(tmp_path)
        log_some(history, 9, seed=1)

        class Undone(Exception):
            pass

        def fail(*_: object) -> None:
            assert files_of(tmp_path) > before[1], "it did seal"
            raise Undone

        with monkeypatch.context() as patched:
            patched.setattr(segments, "show", fail)
            with pytest.raises(Undone):
                catch_up(projection, history.log)

        assert (tables(connection), files_of(tmp_path)) == before
        catch_up(projection, history.log)
        assert tables(connection) == rebuilt(history.log)


def test_a_damaged_batch_among_good_ones_is_left_out_and_listed(tmp_path: Path) -> None:
    history = begun()
    log_some(history, 9)
    facts = [fact_of(row) for row in history.log.read_log(LogQuery(limit=99))]
    data = facts[6].data
    assert data is not None
    data["series"][0]["n"] += 1

    with projection_in(tmp_path, SMALL) as projection:
        projection.commit(facts, Tracking(APPLICATION, facts[-1].position))

        [found] = projection.damaged()
        assert (found.position, found.stream) == (facts[6].position, facts[6].stream)
        rows = tables(projection.view.connection)["store.metric_points"]
    whole = rebuilt(history.log)["store.metric_points"]
    assert set(rows) < set(whole)


def test_neighbours_of_one_size_are_merged_so_that_there_are_few_segments(tmp_path: Path) -> None:
    bounds = Bounds(seal_rows=10, fan=4, merged_max_rows=100)
    history = begun()
    with projection_in(tmp_path, bounds) as projection:
        for seed in range(40):
            log_some(history, 2, seed)
            catch_up(projection, history.log)
        segments = listed_segments(projection.view.connection)

        rows = sum(segment.rows for segment in segments)
        assert rows > 200
        assert len(segments) <= rows / 40 + 4
        assert max(segment.rows for segment in segments) <= 100
        assert tables(projection.view.connection) == rebuilt(history.log)


def test_in_memory_nothing_is_sealed() -> None:
    history = begun()
    log_some(history, 9)

    with reader_of(history.log, bounds=SMALL) as reader:
        assert asked(reader, "SELECT count(*) FROM store.segments") == [(0,)]
        assert tables_of(reader) == rebuilt(history.log)


@pytest.mark.parametrize("name", ["a [pattern] of *", "with 'quotes'", "key=value"])
def test_a_folder_of_any_name_will_do(name: str, tmp_path: Path) -> None:
    history = begun()
    log_some(history, 9)

    for _ in range(2):
        with reader_of(history.log, tmp_path / name, SMALL) as reader:
            assert tables_of(reader) == rebuilt(history.log)
    assert reader.projection.events_read == 0


def test_a_copy_of_the_database_works_beside_hard_links_to_the_segments(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    history = begun()
    log_some(history, 9)
    with projection_in(one, SMALL) as projection:
        catch_up(projection, history.log)
    (other / "segments").mkdir(parents=True)
    shutil.copy(one / "projection.duckdb", other)
    for name in files_of(one):
        os.link(one / "segments" / name, other / "segments" / name)
    content = (one / "projection.duckdb").read_bytes()
    assert str(tmp_path).encode() not in content
    log_some(history, 20, seed=2)

    with projection_in(other, SMALL) as projection:
        catch_up(projection, history.log)
        assert tables(projection.view.connection) == rebuilt(history.log)
    with projection_in(one, SMALL) as projection:
        catch_up(projection, history.log)
        assert tables(projection.view.connection) == rebuilt(history.log)


# --- damage ---------------------------------------------------------------------------------


def a_bit(content: bytes) -> bytes:
    damaged = bytearray(content)
    damaged[len(content) // 3] ^= 1
    return bytes(damaged)


def into_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a bit": lambda path: path.write_bytes(a_bit(path.read_bytes())),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a folder": into_a_folder,
    "all missing": lambda path: shutil.rmtree(path.parent),
}


def ask_points(reader: RunsReader) -> list[tuple[Any, ...]]:
    return reader.sql("SELECT * FROM metric_points ORDER BY ALL").fetchall()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_a_damaged_segment_is_rebuilt_silently(
    damage: Callable[[Path], object], is_open: bool, tmp_path: Path
) -> None:
    history = begun()
    log_some(history, 30)
    with reader_of(history.log) as reader:
        expected = list(map(repr, ask_points(reader)))
    with reader_of(history.log, tmp_path, SMALL) as reader:
        reader.projection.refresh()
        if is_open:
            damage(min(tmp_path.rglob("*.parquet")))
            assert list(map(repr, ask_points(reader))) == expected
    if not is_open:
        damage(min(tmp_path.rglob("*.parquet")))

    for _ in range(2):
        with reader_of(history.log, tmp_path, SMALL) as reader:
            assert list(map(repr, ask_points(reader))) == expected
            assert tables_of(reader) == rebuilt(history.log)
    assert reader.projection.events_read == 0, "the rebuilt files are sound"


@pytest.mark.parametrize("name", ["missing", "cut", "a bit", "zeros"])
def test_a_segment_that_is_damaged_after_it_was_read_is_rebuilt(name: str, tmp_path: Path) -> None:
    """By one reader of two that share its file, and then by the other."""
    history = begun()
    log_some(history, 30)
    with reader_of(history.log) as reader:
        expected = list(map(repr, ask_points(reader)))
    eager = Publishing(after_s=0.0, pause_s=0.0, worth_positions=0)
    with (
        reader_of(history.log, tmp_path, SMALL, eager) as one,
        reader_of(history.log, tmp_path, SMALL, eager) as other,
    ):
        for reader in (one, other):
            assert list(map(repr, ask_points(reader))) == expected
            reader.projection.publish()
        for path in list(tmp_path.rglob("*.parquet")):
            _damage_unseen(path, DAMAGES[name])

        for _ in range(2):
            for reader in (one, other):
                assert list(map(repr, ask_points(reader))) == expected


def _damage_unseen(path: Path, damage: Callable[[Path], object]) -> None:
    """Where that can be, the file looks as it did: a disk sets no time when it damages a file.

    A bit in the middle then would be unseen as well, as DuckDB does not find it.
    """
    found = path.stat()
    damage(path)
    if damage is not DAMAGES["a bit"] and path.is_file():
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_a_damaged_segment_is_not_merged_into_a_sound_one(tmp_path: Path) -> None:
    history = begun()
    log_some(history, 3)
    many = Bounds(seal_rows=3, fan=2, merged_max_rows=1_000_000)
    with reader_of(history.log, tmp_path, many) as reader:
        reader.projection.refresh()
        (path,) = tmp_path.rglob("*.parquet")
        path.write_bytes(a_bit(path.read_bytes()))
        read = reader.projection.events_read
        log_some(history, 3, seed=1)

        assert tables_of(reader) == rebuilt(history.log)
        assert reader.projection.events_read > read + 3, "it was rebuilt"


def test_files_that_are_not_listed_are_removed_at_the_next_opening(tmp_path: Path) -> None:
    history = begun()
    log_some(history, 9)
    with reader_of(history.log, tmp_path, SMALL) as reader:
        reader.projection.refresh()
    before = files_of(tmp_path)
    path = min(tmp_path.rglob("*.parquet"))
    shutil.copy(path, path.with_name("orphan.parquet"))
    path.with_name("torn.parquet").write_bytes(b"PAR1")

    with reader_of(history.log, tmp_path, SMALL) as reader:
        assert tables_of(reader) == rebuilt(history.log)
        assert reader.projection.events_read == 0
    assert files_of(tmp_path) == before


SEALER = """
import sys
from pathlib import Path
from runlore.projections.own_projection import OwnProjection
from runlore.projections.segment_files import Bounds
from runlore.storage.open_sqlite import open_sqlite

folder = Path(sys.argv[1])
log = open_sqlite(folder / "log.sqlite")
projection = OwnProjection(log, folder / "projections", Bounds(3, 2, 40))
while True:
    projection.refresh()
    print(projection.events_read, flush=True)
"""


def test_a_process_that_is_killed_while_it_seals_leaves_a_sound_projection(tmp_path: Path) -> None:
    history = History(open_sqlite(tmp_path / "log.sqlite"))
    history.experiment()
    for number in range(3):
        history.run(f"r{number}")
    rng = random.Random(3)
    rebuilds = 0
    for round_ in range(8):
        killed = start_python(SEALER, tmp_path)
        assert killed.stdout
        killed.stdout.readline()
        log_some(history, 10 + rng.randrange(20), seed=round_)
        if round_ % 2:  # Else at any moment.
            before = files_of(tmp_path)
            wait_until(lambda before=before: files_of(tmp_path) != before, "a seal")  # type: ignore[misc]
        killed.kill()
        with killed:
            killed.wait()

        with reader_of(history.log, tmp_path / "projections", Bounds(3, 2, 40)) as reader:
            assert tables_of(reader) == rebuilt(history.log)
            rebuilds += reader.projection.events_read >= history.log.head().size
            assert files_of(tmp_path) == {
                name for (name,) in asked(reader, "SELECT name FROM store.segments")
            }
    assert not rebuilds, "each was sound as it was left"
    history.log.close()


# --- the fence ------------------------------------------------------------------------------


def test_sql_of_users_may_read_segments_but_write_nothing_and_read_nothing_else(
    tmp_path: Path,
) -> None:
    history = begun()
    log_some(history, 9)
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    with reader_of(history.log, tmp_path / "projections", SMALL) as reader:
        reader.projection.refresh()
        path = min(tmp_path.rglob("*.parquet"))
        segments = path.parent
        (segments.parent / "other.csv").write_text("a,b\n1,2\n")
        rows = asked(reader, f"SELECT count(*) FROM '{path}'")[0][0]
        assert rows >= SMALL.seal_rows
        before = {one: one.read_bytes() for one in segments.iterdir()}
        for statement in (
            f"COPY (SELECT 1) TO '{segments}/stolen.parquet'",
            f"COPY store.runs TO '{path}'",
            f"WITH x AS (COPY (SELECT 1) TO '{segments}/x.csv') SELECT * FROM x",
            f"WITH x AS (coPy (SELECT 1) TO '{path}') SELECT 1 UNION ALL SELECT * FROM x",
            f"ATTACH '{segments}/other.duckdb'",
            f"ATTACH '{path}'",
            f"EXPORT DATABASE '{segments}'",
            f"COPY store.series FROM '{path}'",
            f"SELECT * FROM '{segments}/../other.csv'",
            f"SELECT * FROM '{segments}/../../../../secret.csv'",
            f"SELECT * FROM glob('{segments}/../*')",
            f"SELECT * FROM read_blob('{segments.parent}/lock')",
            f"SELECT * FROM read_csv('{secret}')",
            f"SELECT * FROM '{path}'",
            f"SELECT * FROM read_parquet('{path}')",
            "SELECT * FROM store.segments",
            "SELECT getvariable('segments')",
            "SELECT $segments",
            "SET VARIABLE segments = []",
            "RESET VARIABLE segments",
            "SET allowed_directories = ['/']",
        ):
            with pytest.raises((QueryRefused, QueryFailed)):
                print(statement, reader.sql(statement).fetchall())
        assert {one: one.read_bytes() for one in segments.iterdir()} == before
        assert tables_of(reader) == rebuilt(history.log)


def test_a_copy_that_is_hidden_from_the_parser_writes_nothing_either(tmp_path: Path) -> None:
    history = begun()
    log_some(history, 9)
    with reader_of(history.log, tmp_path, SMALL) as reader:
        reader.projection.refresh()
        before = files_of(tmp_path)
        hidden = f"WITH x AS (COPY (SELECT 1) TO ''{tmp_path}/x.csv'') FROM x".replace(
            "OP", "'||'OP"
        )
        for statement in (f"FROM query('{hidden}')", f"FROM (FROM query('{hidden}'))"):
            with pytest.raises((QueryRefused, QueryFailed)):
                reader.sql(statement)
        assert files_of(tmp_path) == before


def test_the_word_copy_is_no_copy(tmp_path: Path) -> None:
    with reader_of(begun().log, tmp_path, SMALL) as reader:
        assert reader.sql("SELECT 'a COPY' AS copy, ? AS b", [1]).fetchall() == [("a COPY", 1)]
        assert len(reader.sql("WITH copy AS (DESCRIBE runs) FROM copy")) > 20


def test_a_disk_that_is_full_when_points_are_sealed_is_answered_from_memory(
    tmp_path: Path,
) -> None:
    history = begun()

    def ask() -> None:
        disk = Disk(tmp_path)
        try:
            with reader_of(history.log, tmp_path / "projections", SMALL) as reader:
                reader.projection.refresh()
                disk.fill()
                log_some(history, 30)
                noise = random.Random(5)
                records = [Record(LOSS, n, n, noise.random()) for n in range(50_000)]
                history.values("r0", records)
                assert tables_of(reader) == rebuilt(history.log)
            disk.free()
            with reader_of(history.log, tmp_path / "projections", SMALL) as reader:
                assert tables_of(reader) == rebuilt(history.log)
                assert asked(reader, "SELECT count(*) > 0 FROM store.segments") == [(True,)]
        finally:
            disk.close()

    in_child(ask)


@pytest.mark.parametrize("name", ["a*", "a?", "a[1]"])
def test_no_segments_are_written_where_duckdb_would_read_others(tmp_path: Path, name: str) -> None:
    assert usable(tmp_path / name) is None
    assert usable(tmp_path / name / "below") is None
    assert usable(tmp_path / "a") == tmp_path / "a"
    assert usable(None) is None

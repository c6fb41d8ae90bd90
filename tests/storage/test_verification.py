"""What verification says of a log that is whole, and of one that is not: kind, place and words."""

from __future__ import annotations

import shutil
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runlore.storage.errors import LogCorrupt, NotALog
from runlore.storage.event_log import EventLog
from runlore.storage.findings import Finding, Kind
from runlore.storage.log_query import LogQuery
from runlore.storage.memory_log import MemoryLog
from runlore.storage.merkle import Frontier
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.verification import Verification, verify_log
from runlore.storage.verify_rows import TreeHead
from runlore.testing.logs import NOON, Clock, all_rows, new_events
from tests.processes import LIMIT_S, start_python, wait_until
from tests.tampering import COLUMNS, EVENTS, leaf_of, make_log, opened, rewrite, tampering

YEAR = 365 * 24 * 3_600_000_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "log.sqlite"
    make_log(path)
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(whole, tmp_path / "log.sqlite"))


def verified(path: Path, *kept: TreeHead) -> Verification:
    with opened(path) as log:
        return verify_log(log, kept=kept)


def found(path: Path, *kept: TreeHead) -> list[Finding]:
    return list(verified(path, *kept).findings)


def tree_head(path: Path, size: int) -> TreeHead:
    """What somebody keeps of the log's first events."""
    with opened(path) as log:
        leaves = [row.leaf for row in all_rows(log)[:size]]
    return TreeHead(size, Frontier().extended(leaves).root)


def execute(path: Path, statement: str, *params: Any) -> None:
    with tampering(path) as connection:
        connection.execute(statement, params)


# --- whole logs ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_longer_log_needs_no_more_memory(tmp_path: Path) -> None:
    def peak(events: int) -> int:
        log = open_sqlite(tmp_path / f"{events}.sqlite")
        for first in range(0, events, 2_000):
            log.append(new_events("run/r", range(first + 1, first + 2_001)))
        tracemalloc.start()
        try:
            assert verify_log(log).holds
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            log.close()

    assert peak(40_000) < peak(20_000) + 500_000  # The rows of 20,000 events are 10 MB.


def test_a_log_that_nobody_touched_holds(path: Path) -> None:
    verification = verified(path, tree_head(path, 17), tree_head(path, EVENTS))

    assert verification.holds
    assert verification.size == EVENTS
    assert verification.root == tree_head(path, EVENTS).root
    assert [one.size for one in verification.confirmed] == [17, EVENTS]


def test_an_empty_log_holds(tmp_path: Path) -> None:
    assert verified(tmp_path / "log.sqlite").holds


def test_a_log_in_memory_holds() -> None:
    log: EventLog = MemoryLog()
    log.append(new_events("run/a", range(1, 10)))

    assert verify_log(log).holds


def test_a_log_of_many_chunks_holds_and_its_progress_ends_at_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with opened(tmp_path / "log.sqlite") as log:
        for run in range(10):
            log.append(new_events(f"run/{run}", range(1, 1001)))
        verification = verify_log(log, progress=lambda done, total: seen.append((done, total)))

    assert verification.holds
    assert seen == sorted(seen)
    assert seen[-1] == (20_000, 20_000)


# --- findings -----------------------------------------------------------------------------


def test_a_changed_column_is_found_with_its_event(path: Path) -> None:
    execute(path, "UPDATE stored_events SET state = x'80' WHERE notification_id = 12")

    [finding] = found(path)

    assert (finding.kind, finding.first, finding.last) == (Kind.CHANGED, 12, 12)
    with opened(path) as log:
        row = all_rows(log)[11]
    assert (finding.stream, finding.version, finding.topic) == (row.stream, row.version, row.topic)
    assert finding.message.startswith(f"position 12 ({row.stream} version {row.version}, ")


def test_a_changed_leaf_is_found_with_its_event(path: Path) -> None:
    execute(path, "UPDATE stored_events SET leaf = x'00' WHERE notification_id = 12")

    assert [(one.kind, one.first) for one in found(path)] == [(Kind.CHANGED, 12)]


def test_columns_of_a_type_that_no_append_has_are_changes(path: Path) -> None:
    execute(path, "UPDATE stored_events SET state = 'text', leaf = 0 WHERE notification_id = 12")

    assert [(one.kind, one.first) for one in found(path)] == [(Kind.CHANGED, 12)]


def test_text_that_is_no_utf8_is_a_change_of_its_event_alone(path: Path) -> None:
    execute(
        path, "UPDATE stored_events SET topic = CAST(x'72ff' AS TEXT) WHERE notification_id = 12"
    )

    assert [(one.kind, one.first) for one in found(path)] == [(Kind.CHANGED, 12)]


def test_what_could_hide_a_finding_on_a_terminal_is_shown_as_text(path: Path) -> None:
    execute(path, "UPDATE stored_events SET topic = char(27) || '[2K' WHERE notification_id = 5")

    [finding] = found(path)

    assert "\\x1b[2K" in finding.message
    assert finding.topic == "\x1b[2K"


def test_a_row_rewritten_with_its_leaf_is_narrowed_down_by_the_head(path: Path) -> None:
    with tampering(path) as connection:
        connection.execute("UPDATE stored_events SET state = x'80' WHERE notification_id = 40")
        row = connection.execute(
            f"SELECT {COLUMNS} FROM stored_events WHERE notification_id = 40"
        ).fetchone()
        connection.execute(
            "UPDATE stored_events SET leaf = ? WHERE notification_id = 40", (leaf_of(row),)
        )

    [finding] = found(path)

    # Of 60 leaves the head has the subtrees of 32, 16, 8 and 4.
    assert (finding.kind, finding.first, finding.last) == (Kind.CHANGED, 33, 48)
    assert "rewritten together with its leaf" in finding.message


def test_a_kept_tree_head_narrows_it_down_further(whole: Path, path: Path) -> None:
    kept = tree_head(whole, 38), tree_head(whole, 50)
    with tampering(path) as connection:
        connection.execute("UPDATE stored_events SET state = x'80' WHERE notification_id = 40")
        row = connection.execute(
            f"SELECT {COLUMNS} FROM stored_events WHERE notification_id = 40"
        ).fetchone()
        connection.execute(
            "UPDATE stored_events SET leaf = ? WHERE notification_id = 40", (leaf_of(row),)
        )

    assert [(one.first, one.last) for one in found(path, *kept)] == [(39, 48), (39, 50)]


def test_missing_events_are_found_by_their_positions_and_versions(path: Path) -> None:
    with opened(path) as log:
        gone = all_rows(log)[19]
    execute(path, "DELETE FROM stored_events WHERE notification_id BETWEEN 20 AND 22")

    findings = found(path)

    hole = findings[0]
    assert (hole.kind, hole.first, hole.last) == (Kind.MISSING, 20, 22)
    assert (Kind.MISSING, gone.stream, gone.version) in [
        (one.kind, one.stream, one.version) for one in findings
    ]


def test_a_cut_off_end_is_found(path: Path) -> None:
    execute(path, "DELETE FROM stored_events WHERE notification_id > 50")

    [finding] = found(path)

    assert (finding.kind, finding.first, finding.last) == (Kind.TRUNCATED, 51, EVENTS)


@pytest.mark.parametrize("position", [EVENTS + 1, 2**62, 0, -7])
def test_an_inserted_event_is_found(path: Path, position: int) -> None:
    row = [position, "run/new", 1, "run.started", b"\x80", b"i" * 16, 2**50, None]
    with tampering(path) as connection:
        connection.execute(
            f"INSERT INTO stored_events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, leaf_of(row)),
        )

    [finding] = found(path)

    assert (finding.kind, finding.first, finding.stream) == (Kind.INSERTED, position, "run/new")


@pytest.mark.parametrize("with_leaves", [True, False])
def test_swapped_events_are_found_with_where_they_were(path: Path, with_leaves: bool) -> None:
    with tampering(path) as connection:
        leaves = dict(connection.execute("SELECT notification_id, leaf FROM stored_events"))
        for to, where in ((-5, 7), (7, 31), (31, -5)):
            connection.execute(
                "UPDATE stored_events SET notification_id = ? WHERE notification_id = ?",
                (to, where),
            )
        for position in (7, 31) if not with_leaves else ():
            connection.execute(
                "UPDATE stored_events SET leaf = ? WHERE notification_id = ?",
                (leaves[position], position),
            )

    moved = [one for one in found(path) if one.kind is Kind.REORDERED and one.first]

    assert [one.first for one in moved] == [7, 31]
    assert moved[0].message.endswith("it was appended at position 31")


def test_time_that_runs_backwards_is_found_where_all_was_made_to_fit(path: Path) -> None:
    def changed(rows: list[Any]) -> None:
        rows[30][6] -= 10**9

    with tampering(path) as connection:
        rewrite(connection, changed)

    [finding] = found(path)

    assert (finding.kind, finding.first) == (Kind.REORDERED, 31)
    assert "before its predecessor" in finding.message


def test_versions_that_do_not_follow_each_other_are_found_where_all_was_made_to_fit(
    path: Path,
) -> None:
    def changed(rows: list[Any]) -> None:
        gone = next(row for row in rows if row[1] == "run/a" and row[2] == 3)
        rows.remove(gone)

    with tampering(path) as connection:
        rewrite(connection, changed)

    [finding] = found(path)

    assert (finding.kind, finding.stream, finding.version) == (Kind.MISSING, "run/a", 3)


def test_a_head_that_was_changed_is_told_from_rows_that_were_by_a_kept_tree_head(
    whole: Path, path: Path
) -> None:
    with tampering(path) as connection:
        [frontier] = connection.execute("SELECT frontier FROM log_head").fetchone()
        connection.execute("UPDATE log_head SET frontier = ?", (b"x" * 32 + frontier[32:],))

    [without] = found(path)
    [kept] = found(path, tree_head(whole, 40))

    assert (without.first, without.last) == (1, 32)
    assert "or the head was changed" in without.message
    assert kept.message.endswith("the head was changed")


@pytest.mark.parametrize("time", [0, 2**60])
def test_a_heads_time_before_the_last_event_or_yet_to_come_is_found(path: Path, time: int) -> None:
    execute(path, "UPDATE log_head SET recorded_at = ?", time)

    assert [one.kind for one in found(path)] == [Kind.CHANGED]


def test_a_head_whose_time_was_settled_holds(path: Path) -> None:
    with opened(path) as log:
        log.settle(all_rows(log)[-1].recorded_at + 1_000_000)
        assert verify_log(log).holds


def test_a_log_holds_although_a_clock_was_ten_years_ahead(tmp_path: Path) -> None:
    clock = Clock()
    with closing(open_sqlite(tmp_path / "log.sqlite", clock=clock)) as log:
        log.append(new_events("run/a", [1]))
        clock.now = NOON + 10 * YEAR
        with pytest.warns(RuntimeWarning, match="days ahead"):
            log.append(new_events("run/a", [2]))
        clock.now = NOON + 1
        log.append(new_events("run/a", [3]))

        assert verify_log(log, clock=lambda: NOON).holds


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("DELETE FROM as_of_steps", Kind.MISLED),
        ("UPDATE as_of_steps SET position = position + 1", Kind.MISLED),
        ("INSERT INTO as_of_steps VALUES (1, 1)", Kind.MISLED),
        ("UPDATE as_of_steps SET position = 'text'", Kind.UNREADABLE),
        ("DROP TABLE as_of_steps", Kind.CHANGED),
        ("UPDATE settled SET until = 0x100000000000000", Kind.CHANGED),
        ("UPDATE settled SET until = (SELECT recorded_at FROM log_head)", Kind.CHANGED),
    ],
)
def test_changes_to_how_answers_as_of_a_time_are_found_are_reported(
    tmp_path: Path, statement: str, kind: Kind
) -> None:
    path = tmp_path / "log.sqlite"
    make_log(path, slow_clocks=True)
    assert verified(path).holds

    execute(path, statement)

    assert found(path)[0].kind is kind


def test_a_log_that_forgot_its_steps_and_that_it_was_settled_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    make_log(path, slow_clocks=True)

    execute(path, "DROP TABLE as_of_steps")
    execute(path, "DROP TABLE settled")

    assert [one.kind for one in found(path)] == [Kind.MISLED]


def test_a_head_that_cannot_be_read_raises(path: Path) -> None:
    execute(path, "UPDATE log_head SET size = 'x'")

    with pytest.raises(LogCorrupt, match="the log's head is damaged"):
        verified(path)


def test_an_enormous_head_takes_no_time(path: Path) -> None:
    execute(path, "UPDATE log_head SET position = ?", 2**62)

    kinds = [one.kind for one in found(path)]

    assert kinds == [Kind.CHANGED, Kind.TRUNCATED]


def with_index_of(connection: sqlite3.Connection, index: str, other: str) -> None:
    """Makes SQLite take another index's entries for those of this one."""
    connection.execute("PRAGMA writable_schema=ON")
    root = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
    roots = [connection.execute(root, (name,)).fetchone()[0] for name in (other, index)]
    for name, page in zip((index, other), roots, strict=True):
        connection.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", (page, name))


def test_an_index_that_somebody_added_is_refused_as_reads_may_go_through_it(path: Path) -> None:
    with tampering(path) as connection:
        connection.execute(
            "CREATE INDEX added ON stored_events (originator_id, originator_version, leaf)"
        )
        connection.execute("CREATE TABLE empty (a, b, c)")
        connection.execute("CREATE INDEX of_nothing ON empty (a, b, c)")
        with_index_of(connection, "added", "of_nothing")
        # Whoever may write says, too, which index is the best.
        connection.execute("ANALYZE")
        connection.execute("UPDATE sqlite_stat1 SET stat = '60 60 60' WHERE idx <> 'added'")
        connection.execute("UPDATE sqlite_stat1 SET stat = '60 1 1 1' WHERE idx = 'added'")

    with pytest.raises(NotALog, match="defines the index 'added'"), opened(path) as log:
        log.count_events(LogQuery(prefix="run/a"))


@pytest.mark.parametrize("position", [1000, -1])
def test_entries_of_the_indexes_that_lead_to_no_row_are_found(path: Path, position: int) -> None:
    with opened(path) as log:
        events, last = log.count_events(LogQuery(prefix="run/a")), log.head().recorded_at
    with tampering(path) as connection:
        made = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'stored_events'")
        connection.execute(made.fetchone()[0].replace("stored_events", "twin"))
        connection.execute("CREATE INDEX twin_times ON twin (recorded_at)")
        connection.execute(f"INSERT INTO twin SELECT {COLUMNS} FROM stored_events")
        connection.execute(
            "INSERT INTO twin VALUES (?, 'run/a', 1000, 'run.started', x'80', NULL, ?, NULL, x'')",
            (position, last),
        )
        with_index_of(connection, "sqlite_autoindex_stored_events_1", "sqlite_autoindex_twin_1")
        with_index_of(connection, "stored_events_recorded_at", "twin_times")
        connection.execute("DELETE FROM sqlite_schema WHERE tbl_name = 'twin'")
    with opened(path) as log:
        assert log.count_events(LogQuery(prefix="run/a")) == events + 1

    told = [one.message for one in found(path) if one.kind is Kind.MISLED]

    assert [message.partition(" leads")[0] for message in told] == [
        "the index of times",
        "the stream index",
    ]


def test_a_mark_of_a_position_that_is_not_there_is_found(path: Path) -> None:
    execute(path, "UPDATE drained SET position = 1000")

    assert {one.kind for one in found(path)} == {Kind.CHANGED}


def in_bytes(path: Path, old: bytes, new: bytes, which: int) -> None:
    """Replaces one of the places in the file where some bytes stand."""
    content = path.read_bytes()
    at = -1
    for _ in range(which + 1):
        at = content.index(old, at + 1)
    path.write_bytes(content[:at] + new + content[at + len(old) :])


def test_an_entry_of_the_stream_index_that_leads_elsewhere_is_found(path: Path) -> None:
    with opened(path) as log:
        row = next(row for row in all_rows(log) if row.stream == "run/b" and row.version > 1)
    # An entry of the index is: lengths, stream, version, position.
    entry = b"run/b" + bytes((row.version, row.position))
    in_bytes(path, entry, b"run/b" + bytes((row.version, row.position - 1)), 0)

    misled = [one for one in found(path) if one.kind is Kind.MISLED]

    assert [(one.stream, one.version) for one in misled] == [("run/b", row.version)]
    assert f"leads to positions [{row.position - 1}]" in misled[0].message


def test_an_entry_of_the_index_of_times_that_differs_is_found(path: Path) -> None:
    with opened(path) as log:
        row = all_rows(log)[29]
    entry = row.recorded_at.to_bytes(8, "big")[1:] + bytes((row.position,))
    time = (row.recorded_at - 1).to_bytes(8, "big")[2:]
    content = path.read_bytes()
    assert content.count(entry[1:]) == 1
    path.write_bytes(content.replace(entry[1:], time + bytes((row.position,))))

    misled = [one for one in found(path) if one.kind is Kind.MISLED]

    assert 30 in [one.first for one in misled]
    assert "the index of times" in misled[0].message


def test_a_row_that_a_read_in_order_comes_to_and_a_read_of_its_position_does_not_is_found(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.sqlite"
    make_log(path, page_size=512)
    content = bytearray(path.read_bytes())
    # An inner page of the table says up to which position its left child has the rows.
    page = next(at for at in range(0, len(content), 512) if content[at] == 5)
    cell = page + int.from_bytes(content[page + 12 : page + 14], "big")
    content[cell + 4] -= 1
    path.write_bytes(content)

    [misled] = [one for one in found(path) if one.kind is Kind.MISLED]

    assert "a read in order finds 32 events, look-ups by position 31" in misled.message


# --- what only a kept tree head shows -----------------------------------------------------


def test_a_rewrite_of_everything_is_found_by_a_kept_tree_head_only(whole: Path, path: Path) -> None:
    def changed(rows: list[Any]) -> None:
        rows[44][4] = b"\x80"

    with tampering(path) as connection:
        rewrite(connection, changed)

    assert verified(path).holds
    [finding] = found(path, tree_head(whole, 10), tree_head(whole, 50))
    assert (finding.kind, finding.first, finding.last) == (Kind.CHANGED, 11, 50)
    assert verified(path, tree_head(whole, 44)).holds


def test_an_end_that_was_cut_off_with_its_head_is_found_by_a_kept_tree_head_only(
    whole: Path, path: Path
) -> None:
    def changed(rows: list[Any]) -> None:
        del rows[55:]

    with tampering(path) as connection:
        rewrite(connection, changed)

    assert verified(path).holds
    [finding] = found(path, tree_head(whole, EVENTS))
    assert (finding.kind, finding.first, finding.last) == (Kind.TRUNCATED, 56, EVENTS)


# --- beside writers -----------------------------------------------------------------------

APPENDING = """
import sys
from runlore.storage.open_sqlite import open_sqlite
from runlore.testing.logs import new_events
log = open_sqlite(sys.argv[1])
print("ready", flush=True)
version = 0
while True:
    log.append(new_events(f"run/{sys.argv[2]}", range(version + 1, version + 4)))
    version += 3
"""


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "log.sqlite"
    with opened(path) as log:
        for run in range(10):
            log.append(new_events(f"run/early-{run}", range(1, 1001)))
    processes = [start_python(APPENDING, path, n) for n in range(4)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield path
    finally:
        for process in processes:
            process.kill()
            process.communicate(timeout=LIMIT_S)


@pytest.mark.processes
def test_verification_beside_four_writers_is_right_and_blocks_none_of_them(writers: Path) -> None:
    with opened(writers) as log:
        wait_until(lambda: log.head().size > 10_100, "the writers to begin")
        begun, during = 0, []

        def progress(done: int, total: int) -> None:
            nonlocal begun
            begun = begun or log.head().size
            during.append(log.head().size)

        first = verify_log(log, progress=progress)
        second = verify_log(log)

    assert first.holds and second.holds
    assert second.size > first.size > 10_000
    assert during[-1] > begun  # They committed while it ran.


def test_the_wal_can_be_emptied_while_a_verification_runs(path: Path) -> None:
    emptied: list[tuple[int, int]] = []
    with opened(path) as log:

        def progress(done: int, total: int) -> None:
            version = 1 + len(emptied)
            log.append(new_events("run/beside", [version]))
            other = sqlite3.connect(path)
            busy, left, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            other.close()
            emptied.append((busy, left))

        assert verify_log(log, progress=progress).holds

    assert emptied and set(emptied) == {(0, 0)}


def test_a_damaged_page_is_reported_with_the_events_that_were_on_it(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    make_log(path, page_size=512)
    content = bytearray(path.read_bytes())
    with opened(path) as log:
        row = all_rows(log)[29]
    page = content.index(row.leaf) // 512
    content[page * 512 : page * 512 + 8] = b"\xff" * 8
    path.write_bytes(content)

    unreadable = [one for one in found(path) if one.kind is Kind.UNREADABLE]

    assert row.position in [one.first for one in unreadable]
    assert len(unreadable) < EVENTS // 2


def test_open_log_is_all_that_is_needed(path: Path) -> None:
    log = open_sqlite(path)
    assert verify_log(log).holds
    log.close()

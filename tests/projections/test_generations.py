"""Generations: what they spare, and that neither a kill nor another process can spoil them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.projections.generations import Publishing, finished, publish
from runlore.projections.reader import RunsReader
from runlore.projections.segment_files import BOUNDS, Bounds
from runlore.storage.event_log import EventLog
from runlore.storage.file_lock import locked
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.value_codec import Series
from tests.examples import few
from tests.logged_values import Record
from tests.processes import LIMIT_S, Child, in_child, start_python, wait_until
from tests.projections.histories import (
    NEVER,
    Happening,
    History,
    asked,
    histories,
    opened,
    reader_of,
    rebuilt,
    run_created,
    tables_of,
)

pytestmark = pytest.mark.long


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "projections"


ALWAYS = Publishing(after_s=-1.0, worth_positions=1)
LATER = ALWAYS._replace(pause_s=3_600.0)


def publisher_of(
    log: EventLog, folder: Path, bounds: Bounds = BOUNDS, publishing: Publishing = ALWAYS
) -> AbstractContextManager[RunsReader]:
    """A reader that publishes what it caught up with."""
    return reader_of(log, folder, bounds, publishing)


def filled(history: History, count: int = 30, first: int = 0) -> History:
    if not first:
        history.experiment()
    for number in range(first, first + count):
        history.run(f"r{number}", tags={"n": str(number)})
    return history


def published_by(
    history: History, folder: Path, bounds: Bounds = BOUNDS, publishing: Publishing = ALWAYS
) -> RunsReader:
    """A reader that caught up, published and closed."""
    with publisher_of(history.log, folder, bounds, publishing) as reader:
        reader.projection.refresh()
    return reader


def log_values(history: History) -> None:
    """More than `SEALING` leaves in the tail."""
    history.values("r0", [Record(Series("loss"), n, n, n / 3) for n in range(5)])


SEALING = Bounds(seal_rows=3)
CLUSTERING = Bounds(cluster_rows=1)


def below(folder: Path) -> Path:
    (found,) = folder.glob("*/generations")
    return found


def positions(folder: Path) -> list[int]:
    return [one.position for one in finished(below(folder))]


def remove_slots(folder: Path) -> None:
    for slot in folder.glob("*/reader-*"):
        shutil.rmtree(slot)


# --- what they spare --------------------------------------------------------------------------


def test_the_first_reader_of_a_slot_reads_no_more_than_the_tail(tmp_path: Path) -> None:
    history = History(open_sqlite(tmp_path / "log.sqlite"))
    history.experiment()
    for start in range(0, 100_000, 10_000):
        births = [run_created(f"r{number}") for number in range(start, start + 10_000)]
        history.add(*[Happening(f"run/{one.run_id}", one) for one in births])
    published_by(history, tmp_path / "projections")
    history.say("run/r7", ev.RunCompleted(), ev.TagSet(key="late", value="x"))
    history.log.close()

    process = start_python(SECOND, tmp_path)
    answer, _ = process.communicate(timeout=LIMIT_S)

    assert eval(answer) == (["r7"], 2, 100_000)


SECOND = """
import sys
from pathlib import Path
from runlore.projections.filters import RunFilter
from runlore.projections.own_projection import OwnProjection
from runlore.projections.reader import RunsReader
from runlore.storage.open_sqlite import open_sqlite

folder = Path(sys.argv[1])
log = open_sqlite(folder / "log.sqlite")
taken = OwnProjection(log, folder / "projections")  # The slot of the publisher: not ours.
taken.refresh()
reader = RunsReader(OwnProjection(log, folder / "projections"))
found = [row.run_id for row in reader.runs(RunFilter(tags="late"))]
print((found, reader.projection.events_read, len(list(reader.runs()))))
reader.projection.close()
taken.close()
"""


def test_a_slot_that_is_far_behind_goes_on_from_a_newer_generation(folder: Path) -> None:
    history = filled(History())
    published_by(history, folder)
    filled(history, first=30)
    with publisher_of(history.log, folder) as one, publisher_of(history.log, folder) as other:
        assert one.projection.refresh() == other.projection.refresh()
        assert one.projection.events_read == other.projection.events_read == 30
    filled(history, first=60)
    with publisher_of(history.log, folder) as first:
        first.projection.refresh()
        first.projection.finish_publishing()
        with publisher_of(history.log, folder) as second:  # Its slot is that of `other`.
            assert tables_of(second) == rebuilt(history.log)
            assert second.projection.events_read == 0
    filled(history, first=90)
    published_by(history, folder, publishing=ALWAYS._replace(worth_positions=1_000))
    assert positions(folder) == [91, 61], "30 events more are not worth another one"


def test_a_catch_up_that_was_quick_publishes_nothing(folder: Path) -> None:
    published_by(filled(History()), folder, publishing=NEVER)
    assert list(folder.glob("*/generations/*")) == []


def test_an_answer_does_not_wait_for_the_publication(folder: Path) -> None:
    with publisher_of(filled(History()).log, folder, publishing=LATER) as one:
        assert len(list(one.runs())) == 30
        assert list(folder.glob("*/generations/*")) == []
    assert positions(folder) == [31], "by close()"


def test_the_newest_two_are_kept(folder: Path) -> None:
    history = filled(History())
    for first in (30, 60, 90):
        published_by(history, folder)
        filled(history, first=first)
    assert positions(folder) == [91, 61]
    assert sorted(path.name for path in below(folder).iterdir()) == ["61", "91", "lock"]


def test_segments_are_linked_and_outlive_their_generation(folder: Path) -> None:
    history = filled(History())
    log_values(history)
    published_by(history, folder, SEALING)
    with publisher_of(history.log, folder) as one, publisher_of(history.log, folder) as other:
        one.projection.refresh()
        assert other.projection.refresh() == 32
        (segment,) = below(folder).parent.glob("reader-0/segments/*")
        (linked,) = below(folder).parent.glob("reader-1/segments/*")
        assert linked.stat().st_ino == segment.stat().st_ino
        shutil.rmtree(below(folder))
        assert tables_of(other) == rebuilt(history.log)


def test_where_no_links_are_possible_segments_are_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuses)
    monkeypatch.setattr(os, "copy_file_range", refuses)
    history = filled(History())
    log_values(history)
    published_by(history, folder, SEALING)
    remove_slots(folder)

    with publisher_of(history.log, folder) as one:
        assert tables_of(one) == rebuilt(history.log)
        assert one.projection.events_read == 0
        assert len(list(below(folder).parent.glob("reader-0/segments/*"))) == 1


# --- what is passed over ------------------------------------------------------------------------


def gone(generation: Path) -> None:
    shutil.rmtree(generation)


def without_database(generation: Path) -> None:
    (generation / "projection.duckdb").unlink()


def damaged(generation: Path) -> None:
    database = generation / "projection.duckdb"
    content = bytearray(database.read_bytes())
    for place in range(4096 * 3 + 100, len(content), 4096):
        content[place] ^= 1
    database.write_bytes(content)


def torn(generation: Path) -> None:
    os.truncate(generation / "projection.duckdb", 5_000)


def of_another_log(generation: Path) -> None:
    (generation / "leaf").write_bytes(b"x" * 32)


def without_leaf(generation: Path) -> None:
    (generation / "leaf").unlink()


def of_a_longer_log(generation: Path) -> None:
    generation.rename(generation.with_name("1000000"))


@pytest.mark.parametrize(
    "spoil",
    [gone, without_database, damaged, torn, of_another_log, without_leaf, of_a_longer_log],
    ids=lambda spoil: spoil.__name__.replace("_", " "),
)
def test_a_generation_that_cannot_be_used_is_passed_over_and_replaced(
    spoil: Callable[[Path], None], folder: Path
) -> None:
    history = filled(History())
    published_by(history, folder)
    spoil(below(folder) / "31")
    remove_slots(folder)

    with publisher_of(history.log, folder) as one:
        assert tables_of(one) == rebuilt(history.log)
    remove_slots(folder)
    with publisher_of(history.log, folder) as two:
        assert tables_of(two) == rebuilt(history.log)
        assert two.projection.events_read == 0, "a sound one was published"


def test_an_older_generation_serves_where_the_newest_is_spoilt(folder: Path) -> None:
    history = filled(History())
    published_by(history, folder)
    filled(history, first=30)
    published_by(history, folder)
    without_leaf(below(folder) / "61")
    remove_slots(folder)

    with publisher_of(history.log, folder) as one:
        assert tables_of(one) == rebuilt(history.log)
        assert one.projection.events_read == 30


def test_a_folder_in_which_nothing_can_be_published_does_not_disturb(folder: Path) -> None:
    history = filled(History())
    published_by(history, folder)
    shutil.rmtree(below(folder))
    (folder / next(folder.iterdir()).name / "generations").write_bytes(b"no folder")
    filled(history, first=30)
    assert published_by(history, folder).projection.events_read == 30


# --- several processes ----------------------------------------------------------------------------

PUBLISHER = """
import sys
from pathlib import Path
from runlore.projections.generations import Publishing
from runlore.projections.own_projection import OwnProjection
from runlore.projections.segment_files import BOUNDS
from runlore.storage.open_sqlite import open_sqlite

folder = Path(sys.argv[1])
log = open_sqlite(folder / "log.sqlite")
always = Publishing(after_s=-1.0, worth_positions=1)
projection = OwnProjection(log, folder / "projections", BOUNDS, always)
projection.refresh()
projection.close()
"""


class Steps:
    """Kills this process at the so manieth step of what follows."""

    def __init__(self, fatal: int) -> None:
        self._left = fatal
        for name in ("rename", "mkdir", "write_bytes", "open"):
            self._count(Path, name)
        for name in ("copy_file_range", "open", "close", "link"):
            self._count(os, name)
        self._count(shutil, "rmtree")

    def _count(self, where: Any, name: str) -> None:
        call = getattr(where, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        setattr(where, name, counted)


def survives_publishing(history: History, folder: Path, fatal: int) -> bool:
    """Whether a child that catches up and publishes gets so far that it ends by itself."""

    def catch_up_and_publish() -> None:
        projection = opened(history.log, folder, publishing=LATER).projection
        projection.refresh()
        Steps(fatal)
        projection.close()
        os._exit(0)

    child = Child(catch_up_and_publish)
    status = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status == 0


def test_a_kill_at_any_step_of_a_publication_leaves_a_good_generation(tmp_path: Path) -> None:
    history = filled(History(open_sqlite(tmp_path / "log.sqlite")))
    folder = tmp_path / "projections"
    published_by(history, folder, publishing=LATER)
    fatal, survived = 0, False
    while not survived:
        fatal += 1
        filled(history, count=1, first=29 + fatal)
        survived = survives_publishing(history, folder, fatal)
        held = finished(below(folder))
        assert held, "the old one, or the new one"
        with TemporaryDirectory() as apart:  # What a new process finds; it changes nothing here.
            shutil.copytree(below(folder), Path(apart) / below(folder).relative_to(folder))
            with publisher_of(history.log, Path(apart), publishing=LATER) as one:
                assert tables_of(one) == rebuilt(history.log)
                assert one.projection.events_read <= history.log.head().position - held[0].position
    assert fatal > 8
    assert positions(folder)[0] == history.log.head().position
    assert len(positions(folder)) == 2
    assert not list(below(folder).glob("new-*")), "what was half made is gone"
    history.log.close()


def test_several_processes_publish_at_once(tmp_path: Path) -> None:
    history = filled(History(open_sqlite(tmp_path / "log.sqlite")))
    history.log.close()
    processes = [start_python(PUBLISHER, tmp_path) for _ in range(4)]
    for process in processes:
        process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0

    folder = tmp_path / "projections"
    assert positions(folder) == [31]
    assert sorted(path.name for path in below(folder).iterdir()) == ["31", "lock"]
    remove_slots(folder)
    with publisher_of(history.log, folder) as one:
        assert tables_of(one) == rebuilt(history.log)
        assert one.projection.events_read == 0
    history.log.close()


def test_who_finds_another_at_it_does_not_wait(folder: Path, tmp_path: Path) -> None:
    history = filled(History())
    published_by(history, folder)
    slot = below(folder).parent / "reader-0"

    def while_another_publishes() -> bool:
        return publish(below(folder), slot, 1_000, b"leaf", lambda: 0)

    with locked(below(folder) / "lock") as lock:
        assert lock is not None
        assert in_child(while_another_publishes) is False
    assert positions(folder) == [31]


def test_no_thread_publishes_across_a_fork(folder: Path) -> None:
    history = filled(History())
    with publisher_of(history.log, folder, publishing=LATER) as one:
        one.projection.refresh()
        assert one.projection.is_publishing
        assert in_child(lambda: (one.projection.is_publishing, len(list(one.runs())))) == (
            False,
            30,
        )
        assert positions(folder) == [31], "it was hurried up before the fork"
        assert len(list(one.runs())) == 30


def test_a_publication_in_the_background_comes_by_itself(folder: Path) -> None:
    history = filled(History())
    with publisher_of(history.log, folder, publishing=ALWAYS._replace(pause_s=0.0)) as one:
        one.projection.refresh()
        wait_until(lambda: list(folder.glob("*/generations/31")) != [], "the generation")
        filled(history, first=30)
        assert tables_of(one) == rebuilt(history.log)


def test_tags_of_one_experiment_and_value_lie_together_in_a_generation(folder: Path) -> None:
    history = History()
    for experiment in ("a", "b"):
        history.experiment(experiment, name=experiment)
    for number in range(40):
        history.run(f"r{number}", experiment_id="ab"[number % 2], tags={"n": str(number % 4)})
        history.say(f"run/r{number}", ev.RunCompleted())

    published_by(history, folder, CLUSTERING)

    with publisher_of(history.log, folder, CLUSTERING) as one:
        of_tags = asked(one, "SELECT experiment_no, value FROM store.run_tags")
        assert of_tags == sorted(of_tags)
        of_states = asked(one, "SELECT to_position IS NULL, run_no FROM store.run_states")
        assert of_states == sorted(of_states)
        assert tables_of(one) == rebuilt(history.log)


def test_a_table_is_rewritten_when_half_of_it_is_new(folder: Path) -> None:
    history = filled(History())

    def clustered_after(reader: RunsReader) -> list[tuple[int]]:
        reader.projection.refresh()
        reader.projection.finish_publishing()
        query = "SELECT rows FROM layout.clustered WHERE name = 'store.run_tags'"
        return asked(reader, query)

    with publisher_of(history.log, folder, Bounds(cluster_rows=20)) as one:
        assert clustered_after(one) == [(30,)]
        filled(history, count=29, first=30)
        assert clustered_after(one) == [(30,)]
        filled(history, count=1, first=59)
        assert clustered_after(one) == [(60,)]


@settings(deadline=None, max_examples=few(10))
@given(histories, st.sampled_from([BOUNDS, CLUSTERING]), st.data())
def test_readers_over_generations_show_what_a_rebuild_shows(
    appends: list[list[Happening]], bounds: Bounds, data: st.DataObject
) -> None:
    history = History()
    with TemporaryDirectory() as name:
        folder = Path(name)
        open_readers: list[RunsReader] = []
        try:
            for append in appends:
                history.add(*append)
                match data.draw(st.sampled_from(["nothing", "ask", "open", "close"]), "then"):
                    case "ask" if open_readers:
                        one = data.draw(st.sampled_from(open_readers), "which")
                        assert tables_of(one) == rebuilt(history.log)
                    case "open":
                        open_readers.append(opened(history.log, folder, bounds, ALWAYS))
                        open_readers[-1].projection.refresh()
                    case "close" if open_readers:
                        which = data.draw(st.integers(0, len(open_readers) - 1))
                        open_readers.pop(which).projection.close()
            open_readers.append(opened(history.log, folder, bounds, ALWAYS))
            expected = rebuilt(history.log)
            assert all(tables_of(one) == expected for one in open_readers)
        finally:
            for one in open_readers:
                one.projection.close()

"""Tables are believed only where this user alone can write, and only for the very log."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import duckdb
import pytest

from runlore import Experiment, Workspace
from runlore.projections.cached_tables import tables_in
from runlore.workspace import session_of
from tests.cached import cache, cached
from tests.tampering import tampering
from tests.workspaces import start

READ = "SELECT value FROM tags ORDER BY value"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A workspace whose last event is a tag."""
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        run = start(Experiment(ws, "e"))
        run.complete()
        run.tag("quality", "great")
    return tmp_path / "lab"


def read(folder: Path) -> list[str]:
    """The tags, and a generation of the tables."""
    with Workspace.open(folder) as ws:
        found = ws.sql(READ).fetchall()
        session_of(ws).reader().projection.publish()
        return [value for (value,) in found]


def tag(folder: Path, value: str) -> None:
    with Workspace.open(folder) as ws:
        next(iter(ws.experiments["e"].get_runs())).tag(value, value)


def forge(folder: Path) -> None:
    """Another value in the tables of a log, wherever they are kept."""
    for database in folder.glob("*/**/projection.duckdb"):
        with duckdb.connect(str(database)) as connection:
            connection.execute("UPDATE store.run_tags SET value = 'forged'")


def rewrite_last_event(log: Path, old: bytes, new: bytes) -> None:
    """Another payload; its leaf stays."""
    with tampering(log) as connection:
        position, state = connection.execute(
            "SELECT notification_id, state FROM stored_events ORDER BY notification_id DESC LIMIT 1"
        ).fetchone()
        assert old in state
        connection.execute(
            "UPDATE stored_events SET state = ? WHERE notification_id = ?",
            (state.replace(old, new), position),
        )


def test_tables_that_came_with_a_workspace_are_not_read(lab: Path, tmp_path: Path) -> None:
    read(lab)
    forge(cached(lab))
    shutil.copytree(cached(lab), lab / "projections")
    shutil.rmtree(tmp_path / "cache")

    assert read(lab) == ["great"]

    with duckdb.connect(next(str(p) for p in lab.glob("projections/*/reader-0/*.duckdb"))) as held:
        assert held.execute("SELECT value FROM store.run_tags").fetchall() == [("forged",)]


def test_nothing_is_written_into_a_workspace_that_is_read(lab: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in lab.rglob("*")}

    assert read(lab) == ["great"]

    after = {path: path.stat().st_mtime_ns for path in lab.rglob("*")}
    assert {path.name for path in after.keys() - before.keys()} <= {"log.sqlite-wal"}
    assert "projections" not in os.listdir(lab)


def test_a_log_that_can_only_be_read_has_tables_on_disk_as_well(lab: Path) -> None:
    with Workspace.open(lab) as ws:
        ws.sql(READ).fetchall()
    for path in (lab / "log.sqlite", lab):
        path.chmod(path.stat().st_mode & ~0o222)

    assert read(lab) == ["great"]
    assert list(cached(lab).glob("*/reader-0/projection.duckdb"))
    lab.chmod(0o755)


def test_a_strangers_log_with_our_id_and_our_leaves_has_tables_of_its_own(
    lab: Path, tmp_path: Path
) -> None:
    stranger = Path(shutil.copytree(lab, tmp_path / "stranger"))
    rewrite_last_event(stranger / "log.sqlite", b"great", b"awful")

    assert read(stranger) == ["awful"]
    assert read(lab) == ["great"]
    assert read(stranger) == ["awful"]
    assert cached(stranger) != cached(lab)


@pytest.mark.parametrize("with_slot", [True, False], ids=["slot", "generation"])
def test_leaves_are_computed_anew(with_slot: bool, lab: Path) -> None:
    """Whoever overwrites the log in its place keeps its inode, and may keep its leaves."""
    read(lab)
    rewrite_last_event(lab / "log.sqlite", b"great", b"awful")
    [tables] = tables_in(cached(lab))
    if not with_slot:
        shutil.rmtree(tables / "reader-0")
    assert list(tables.glob("generations/*/leaf"))

    assert read(lab) == ["awful"]


def test_two_copies_that_went_on_apart_do_not_mix(lab: Path, tmp_path: Path) -> None:
    read(lab)
    copy = Path(shutil.copytree(lab, tmp_path / "copy"))
    tag(lab, "here")
    tag(copy, "there")

    for _ in range(2):
        assert read(lab) == ["great", "here"]
        assert read(copy) == ["great", "there"]


def test_a_log_that_was_restored_in_the_same_place_begins_anew(lab: Path, tmp_path: Path) -> None:
    backup = Path(shutil.copy2(lab / "log.sqlite", tmp_path / "backup"))
    tag(lab, "lost")
    assert read(lab) == ["great", "lost"]
    for path in lab.glob("log.sqlite*"):
        path.unlink()
    backup.rename(lab / "log.sqlite")

    assert read(lab) == ["great"]


def test_a_log_that_was_set_back_in_its_file_begins_anew(lab: Path) -> None:
    content = (lab / "log.sqlite").read_bytes()
    tag(lab, "lost")
    assert read(lab) == ["great", "lost"]
    for path in lab.glob("log.sqlite-*"):
        path.unlink()
    (lab / "log.sqlite").write_bytes(content)
    tag(lab, "other")

    assert read(lab) == ["great", "other"]


def test_tables_of_another_log_under_our_name_are_rebuilt(lab: Path, tmp_path: Path) -> None:
    """As if a removed log's file had been the same as ours in everything that can be seen."""
    with Workspace.create("other", path=tmp_path / "other") as other:
        run = start(Experiment(other, "e"))
        for number in range(30):
            run.tag("n", str(number))
    read(tmp_path / "other")
    read(lab)
    [ours] = tables_in(cached(lab))
    [theirs] = tables_in(cached(tmp_path / "other"))
    shutil.rmtree(ours)
    shutil.copytree(theirs, ours)

    assert read(lab) == ["great"]


def test_without_any_cache_tables_are_in_memory(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))

    assert read(lab) == ["great"]
    assert read(lab) == ["great"]


def test_a_cache_that_is_a_link_is_left_alone(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").touch()
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "link"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert read(lab) == ["great"]

    assert os.listdir(photos) == ["a.jpg"]
    assert (tmp_path / f"runlore-{os.geteuid()}/logs").is_dir()


def test_tables_are_private_whatever_the_umask(lab: Path) -> None:
    before = os.umask(0)
    try:
        read(lab)
    finally:
        os.umask(before)

    assert cache().stat().st_mode & 0o777 == 0o700
    assert cached(lab).parent.stat().st_mode & 0o777 == 0o700
    published = cached(lab).glob("*/generations/*/*.duckdb")
    assert {path.stat().st_mode & 0o777 for path in published} == {0o600}

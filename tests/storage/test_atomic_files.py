"""Files written whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from runlore.storage.atomic_files import FileNotWritten, replacing, write_synced


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "file.txt"


def names_beside(path: Path) -> list[str]:
    return [found.name for found in path.parent.iterdir()]


def test_a_new_file_appears_at_the_end_of_the_block(path: Path) -> None:
    with replacing(path) as file:
        file.write(b"new")
        assert not path.exists()

    assert path.read_bytes() == b"new"
    assert names_beside(path) == [path.name]


def test_the_old_file_stays_if_the_block_raises(path: Path) -> None:
    write_synced(path, "old")

    with pytest.raises(KeyError), replacing(path) as file:
        file.write(b"half of the n")
        raise KeyError

    assert path.read_bytes() == b"old"
    assert names_beside(path) == [path.name]


def test_a_link_is_replaced_and_not_what_it_leads_to(path: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("other")
    path.parent.mkdir()
    path.symlink_to(tmp_path / "other")

    with replacing(path) as file:
        file.write(b"new")

    assert path.read_bytes() == b"new"
    assert (tmp_path / "other").read_text() == "other"


def test_a_folder_in_the_way_is_a_clear_error(path: Path) -> None:
    path.mkdir(parents=True)

    with pytest.raises(FileNotWritten, match="check the path"):
        write_synced(path, "text")

    assert names_beside(path) == [path.name]


def test_a_synced_file_replaces_the_old_one_and_all_users_may_read_it(path: Path) -> None:
    write_synced(path, "old")

    write_synced(path, "ü\n")

    assert path.read_bytes() == "ü\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert names_beside(path) == [path.name]


def test_an_error_without_a_number_says_what_it_says(path: Path) -> None:
    assert "the disk is on fire" in str(FileNotWritten(path, OSError("the disk is on fire")))

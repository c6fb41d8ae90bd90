"""Which folder is believed to be this user's alone, and whose tables lie where in it."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from runlore.storage import filesystem, user_cache
from runlore.storage.held_path import HeldPath, hold
from runlore.storage.user_cache import (
    Cache,
    Origin,
    find_cache,
    folder_of_log,
    folders_of_logs,
    key_of_log,
    known_caches,
)

ORIGIN = Origin("id-1", "lab", "/data/lab")
HERE = os.geteuid()
OF_NUMBERS = b'{"workspace_id": 1, "name": 2, "folder": 3}'


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder, in which the second choice is; no settings at first."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for name in ("RUNLORE_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return folder / f"runlore-{HERE}"


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    path = tmp_path / "log.sqlite"
    path.write_bytes(b"a log")
    return path


def at(path: Path) -> HeldPath:
    return hold(path.parent) / path.name


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


# --- which folder -----------------------------------------------------------------------------


def test_it_is_in_the_home_folder_and_private(tmp_path: Path) -> None:
    assert find_cache() == (tmp_path / "home/.cache/runlore", None)
    assert mode_of(tmp_path / "home/.cache/runlore") == 0o700
    assert mode_of(tmp_path / "home/.cache") == 0o700


def test_settings_name_it(tmp_path: Path, log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert find_cache().folder == tmp_path / "xdg/runlore"
    assert known_caches() == []
    folder_of_log(tmp_path / "xdg/runlore", at(log_file), ORIGIN)
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "own"))
    assert find_cache().folder == tmp_path / "own"
    folder_of_log(tmp_path / "own", at(log_file), ORIGIN)
    assert known_caches() == [tmp_path / "own", tmp_path / "xdg/runlore"]


def test_a_cache_that_is_not_safe_any_more_is_known(
    tmp_path: Path, log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept there must be found when a run is erased."""
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "own"))
    found = find_cache().folder
    assert found is not None
    folder_of_log(found, at(log_file), ORIGIN)
    found.chmod(0o777)

    assert find_cache().folder != found
    assert known_caches() == [found]


def test_a_relative_folder_of_the_specification_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert find_cache().folder == tmp_path / "home/.cache/runlore"


def a_link(folder: Path) -> str:
    folder.with_name("elsewhere").mkdir(mode=0o700)
    folder.symlink_to(folder.with_name("elsewhere"))
    return "symbolic link; set RUNLORE_CACHE_DIR to the folder that it leads to"


def a_dangling_link(folder: Path) -> str:
    folder.symlink_to(folder.with_name("elsewhere"))
    return "File exists"


def a_file(folder: Path) -> str:
    folder.write_bytes(b"")
    return "is not a folder"


def writable_by_the_group(folder: Path) -> str:
    folder.mkdir()
    folder.chmod(0o770)
    return "mode 0770, so others can write to it; remove it"


def writable_by_all(folder: Path) -> str:
    folder.mkdir()
    folder.chmod(0o1777)
    return "mode 1777, so others can write to it"


@pytest.mark.parametrize(
    "spoil",
    [a_link, a_dangling_link, a_file, writable_by_the_group, writable_by_all],
    ids=lambda spoil: spoil.__name__.replace("_", " "),
)
def test_a_folder_that_others_could_write_to_is_not_used(
    spoil: Callable[[Path], str],
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(folder))
    reason = spoil(folder)

    found = find_cache()

    assert found.folder == temporary
    assert mode_of(temporary) == 0o700
    assert found.problem is not None
    assert found.problem.startswith(str(folder)) and reason in found.problem
    assert not list(tmp_path.glob("elsewhere/*"))
    assert folder not in known_caches()


def test_a_folder_of_another_user_is_not_used(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(folder))
    monkeypatch.setattr(os, "geteuid", lambda: HERE + 1)  # Root may not be somebody else here.

    found = find_cache()

    assert found.problem is not None
    assert f"{folder} belongs to user {HERE}" in found.problem
    assert known_caches() == []


def another_users_tables(folder: Path) -> str:
    (folder / "logs").mkdir(parents=True)
    os.chown(folder / "logs", HERE + 1, -1)
    return f"logs belongs to user {HERE + 1}"


def tables_that_all_may_write(folder: Path) -> str:
    (folder / "logs").mkdir(parents=True)
    (folder / "logs").chmod(0o777)
    return "logs has mode 0777, so others can write to it; remove it"


def a_linked_folder_of_tables(folder: Path) -> str:
    folder.mkdir()
    (folder / "logs").symlink_to(folder.parent)
    return "logs is a symbolic link"


@pytest.mark.parametrize(
    "plant",
    [another_users_tables, tables_that_all_may_write, a_linked_folder_of_tables],
    ids=lambda plant: plant.__name__.replace("_", " "),
)
def test_tables_that_were_planted_before_the_folder_was_private_are_not_used(
    plant: Callable[[Path], str],
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "cache"
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(folder))
    reason = plant(folder)
    folder.chmod(0o700)

    found = find_cache()

    assert found.folder == temporary
    assert found.problem is not None
    assert reason in found.problem


@pytest.mark.parametrize(
    ("mode", "owner", "is_used"),
    [
        (0o755, HERE, True),
        (0o1777, HERE, True),
        (0o777, HERE, False),
        (0o755, HERE + 1, False),
    ],
)
def test_a_folder_that_others_can_exchange_for_another_one_is_not_used(
    mode: int,
    owner: int,
    is_used: bool,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For instance for one that this user has unpacked from their archive."""
    shared = tmp_path / "shared"
    (shared / "sub").mkdir(parents=True)
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(shared / "sub" / "cache"))
    os.chown(shared, owner, 12345)  # Of a group that is not this user's own.
    shared.chmod(mode)

    found = find_cache()

    assert found.folder == (shared / "sub" / "cache" if is_used else temporary)
    if not is_used:
        assert found.problem is not None
        assert f"lies in {shared}, where others" in found.problem


def test_a_folder_that_only_the_users_own_group_can_write_to_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As home folders are, where each user has a group of its own."""
    (tmp_path / "own").mkdir()
    os.chown(tmp_path / "own", HERE, HERE)
    (tmp_path / "own").chmod(0o775)
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "own" / "cache"))

    assert find_cache().folder == tmp_path / "own" / "cache"


def test_a_network_file_system_is_not_used(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mounted(folder: Path) -> None:
        if folder != temporary:
            raise filesystem.UnsafeFileSystem(folder, "nfs4", "a network mount")

    monkeypatch.setattr(user_cache, "check_file_system", mounted)

    found = find_cache()

    assert found.folder == temporary
    assert found.problem is not None
    assert "is on a file system of type nfs4" in found.problem
    assert "set RUNLORE_CACHE_DIR to a folder on a local disk" in found.problem


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_without_a_home_the_temporary_folder_is_used(
    home: str | None, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(uid: int) -> NoReturn:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    if home is not None:
        monkeypatch.setenv("HOME", home)
    found = find_cache()
    assert found == (
        temporary,
        "there is no home folder; set HOME, or RUNLORE_CACHE_DIR to a folder",
    )


def test_a_relative_folder_of_ours_is_told(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNLORE_CACHE_DIR", "cache")
    assert find_cache() == Cache(
        temporary, "RUNLORE_CACHE_DIR is 'cache': give the absolute path of a folder"
    )


def test_a_folder_that_cannot_be_made_is_told(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "file/cache"))
    found = find_cache()
    assert found.folder == temporary
    assert found.problem is not None and "cannot be made: Not a directory" in found.problem


def test_a_home_that_cannot_be_written_is_told(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_cache()
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = find_cache()
    assert found.folder is None
    assert found.problem is not None and "/home/.cache/runlore cannot be written" in found.problem


def test_a_stranger_who_was_first_in_the_temporary_folder_gets_nothing(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "")
    temporary.symlink_to(temporary.with_name("strangers"))
    temporary.with_name("strangers").mkdir()

    found = find_cache()

    assert found.folder is None
    assert list(temporary.iterdir()) == []


# --- whose tables -----------------------------------------------------------------------------


def test_a_log_has_one_folder_whose_origin_is_known(tmp_path: Path, log_file: Path) -> None:
    folder = folder_of_log(tmp_path, at(log_file), ORIGIN)

    assert folder_of_log(tmp_path, at(log_file), ORIGIN) == folder
    assert folder.name == key_of_log(at(log_file), "id-1")
    assert list(folders_of_logs(tmp_path)) == [(folder, ORIGIN)]
    assert mode_of(folder) == mode_of(folder.parent) == 0o700


def test_a_moved_log_keeps_its_folder_and_tells_its_new_place(
    tmp_path: Path, log_file: Path
) -> None:
    before = folder_of_log(tmp_path, at(log_file), ORIGIN)
    moved = log_file.rename(tmp_path / "moved.sqlite")
    elsewhere = Origin("id-1", "lab", "/data/moved")

    assert folder_of_log(tmp_path, at(moved), elsewhere) == before
    assert list(folders_of_logs(tmp_path)) == [(before, elsewhere)]


def test_the_id_alone_leads_to_nothing(tmp_path: Path, log_file: Path) -> None:
    copied = Path(shutil.copy2(log_file, tmp_path / "copied.sqlite"))

    assert key_of_log(at(copied), "id-1") != key_of_log(at(log_file), "id-1")
    assert key_of_log(at(log_file), "id-2") != key_of_log(at(log_file), "id-1")


def test_a_log_that_took_the_place_of_another_has_another_folder(
    tmp_path: Path, log_file: Path
) -> None:
    before = key_of_log(at(log_file), "id-1")
    (tmp_path / "restored").write_bytes(b"another log")
    os.replace(tmp_path / "restored", log_file)

    assert key_of_log(at(log_file), "id-1") != before


def test_a_log_with_the_inode_of_a_removed_one_has_another_folder(
    log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems give it to the very next file; this one may not."""
    before = key_of_log(at(log_file), "id-1")
    removed = log_file.stat()
    log_file.unlink()
    log_file.write_bytes(b"another log")
    monkeypatch.setattr(HeldPath, "stat", lambda _: removed)

    assert key_of_log(at(log_file), "id-1") != before


def test_a_damaged_origin_is_written_anew(tmp_path: Path, log_file: Path) -> None:
    folder = folder_of_log(tmp_path, at(log_file), ORIGIN)
    for damaged in (b"", b"{", b"[]", b'{"name": "x"}', OF_NUMBERS, b"\xff"):
        (folder / "origin").write_bytes(damaged)
        assert list(folders_of_logs(tmp_path)) == [(folder, None)]
        folder_of_log(tmp_path, at(log_file), ORIGIN)
        assert list(folders_of_logs(tmp_path)) == [(folder, ORIGIN)]

"""Walking and removing whole folders without following a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runlore.storage.held_folder import UnsafeEntry
from runlore.storage.held_path import HeldPath, hold
from runlore.storage.held_trees import DEPTH_MAX, remove_tree, walk
from tests.descriptors import open_below


def made(folder: Path, *names: str) -> HeldPath:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return hold(folder)


def deep(folder: Path, depth: int) -> None:
    """Makes folders below each other, also deeper than a path can be long."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


def test_a_walk_is_sorted_by_whole_name_and_prunes(tmp_path: Path) -> None:
    top = made(tmp_path, "b/x", "a.txt", "a/y", "skip/z", "a/b/c")

    found = [name for name, _ in walk(top, lambda name, is_folder: name != "skip")]

    assert found == sorted(["a.txt", "a/b/c", "a/y", "b/x"])


def test_a_walk_shows_links_as_neither_and_does_not_enter_them(tmp_path: Path) -> None:
    top = made(tmp_path / "top", "file")
    made(tmp_path / "other", "secret")
    (tmp_path / "top" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "top" / "self").symlink_to(".")

    assert [(name, entry.is_file, entry.is_folder) for name, entry in walk(top)] == [
        ("file", True, False),
        ("link", False, False),
        ("self", False, False),
    ]


@pytest.mark.long
def test_a_walk_ends_at_folders_that_lie_too_deep(tmp_path: Path) -> None:
    deep(tmp_path, 10_000)
    try:
        with pytest.raises(UnsafeEntry, match=f"more than {DEPTH_MAX} folders deep"):
            list(walk(hold(tmp_path)))
    finally:
        remove_tree(hold(tmp_path) / "d")


def test_a_tree_of_any_depth_is_removed(tmp_path: Path) -> None:
    deep(tmp_path, 10_000)

    remove_tree(hold(tmp_path) / "d")

    assert os.listdir(tmp_path) == []
    assert open_below(tmp_path) == []


def test_removing_a_tree_removes_links_and_not_what_they_lead_to(tmp_path: Path) -> None:
    made(tmp_path / "other", "kept/file")
    top = made(tmp_path / "top", "sub/file")
    (tmp_path / "top" / "sub" / "folder").symlink_to(tmp_path / "other")
    (tmp_path / "top" / "file").symlink_to(tmp_path / "other" / "kept" / "file")
    os.mkfifo(tmp_path / "top" / "pipe")

    remove_tree(hold(tmp_path) / "top")

    assert top.folder.now_at() is None
    assert (tmp_path / "other" / "kept" / "file").exists()
    assert os.listdir(tmp_path) == ["other"]


def test_a_linked_folder_is_not_removed(tmp_path: Path) -> None:
    made(tmp_path / "other", "file")
    (tmp_path / "link").symlink_to(tmp_path / "other")

    with pytest.raises(UnsafeEntry):
        remove_tree(hold(tmp_path) / "link")

    assert (tmp_path / "other" / "file").exists()


def test_folders_without_rights_are_removed(tmp_path: Path) -> None:
    made(tmp_path, "top/closed/deep/file")
    for name in ("top/closed/deep", "top/closed", "top"):
        (tmp_path / name).chmod(0)

    remove_tree(hold(tmp_path) / "top")

    assert os.listdir(tmp_path) == []

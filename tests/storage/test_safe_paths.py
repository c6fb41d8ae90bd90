"""Names that become paths: none leads out of its folder."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runlore.domain.errors import InvalidType, UserError
from runlore.storage.safe_paths import UnsafePath, safe_destination, safe_name, walk_files


def files_below(folder: Path) -> list[str]:
    return [name for name, _ in walk_files(folder)]


# --- names

GOOD_NAMES = [
    "model.pkl",
    "outputs/model.pkl",
    "outputs/.hidden",
    "a...b/..c/d..",
    "with space/ü/模型/🙂.bin",
    "~/x",
    "tag:v1/c",
    "x" * 5_000,
    "nul/con.txt",
]
BAD_NAMES = [
    "",
    "/etc/passwd",
    "//host/share",
    "..",
    ".",
    "../up",
    "a/../../up",
    "a/./b",
    "a//b",
    "a/",
    "./a",
    "C:/windows",
    "c:relative",
    "C:\\windows",
    "\\\\host\\share",
    "a\\b",
    "..\\up",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "a\x85b",
    "a\udcffb",
    "x" * 5_001,
]


@pytest.mark.parametrize("name", GOOD_NAMES, ids=lambda name: ascii(name)[:30])
def test_a_plain_relative_name_is_kept_to_the_letter(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name)[:30])
def test_a_name_that_could_leave_its_folder_or_break_a_reader_is_refused(name: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        safe_name(name)

    assert isinstance(caught.value, UserError) and isinstance(caught.value, ValueError)
    assert caught.value.asked == name
    assert len(str(caught.value).encode()) < 500


@pytest.mark.parametrize("name", [None, 7, b"model.pkl", Path("model.pkl")])
def test_a_name_that_is_not_text_is_refused(name: object) -> None:
    with pytest.raises(InvalidType, match=type(name).__name__):
        safe_name(cast(str, name))


NASTY = st.lists(
    st.sampled_from(["..", ".", "", "/", "\\", "a", "C:", "~", "\0", "\udc80", "é", "\n", " "])
).map("/".join)


@given(name=st.text() | NASTY | st.text(alphabet="./\\aC:~"))
@example(name="a/../../b")
@example(name="...")
def test_whatever_name_is_accepted_stays_below_the_folder(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "folder"
    try:
        accepted = safe_name(name)
    except UnsafePath:
        return

    assert accepted == name
    assert "/".join((folder / name).relative_to(folder).parts) == name
    assert os.path.normpath(folder / name) == str(folder / name)
    assert safe_destination(folder, name) == folder.resolve() / name


@given(
    parts=st.lists(
        st.text(st.characters(exclude_characters="/", codec="utf-8"), min_size=1, max_size=40),
        min_size=1,
        max_size=4,
    )
)
def test_a_file_written_under_an_accepted_name_is_found_under_that_name(parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = safe_destination(Path(folder), "/".join(parts))
        except UnsafePath:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")

        assert files_below(Path(folder)) == ["/".join(parts)]


# --- where a download goes


def test_a_download_goes_below_the_folder(tmp_path: Path) -> None:
    assert safe_destination(tmp_path, "a/b.txt") == tmp_path.resolve() / "a" / "b.txt"


def test_a_linked_folder_that_leads_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "outside")

    with pytest.raises(UnsafePath, match="symbolic link"):
        safe_destination(tmp_path / "folder", "link/model.pkl")


@pytest.mark.parametrize("target", ["../outside", "../missing", "/etc/passwd", "loop/../../x"])
def test_a_linked_file_that_leads_outside_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "outside").write_bytes(b"")
    (tmp_path / "folder" / "link").symlink_to(target)

    with pytest.raises(UnsafePath, match="symbolic link"):
        safe_destination(tmp_path / "folder", "link")


def test_a_sibling_whose_name_starts_like_the_folder_is_outside(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run2").mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path / "run2")

    with pytest.raises(UnsafePath):
        safe_destination(tmp_path / "run", "link/x")


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    assert safe_destination(tmp_path, "link/x") == tmp_path.resolve() / "real" / "x"


def test_the_folder_itself_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    assert safe_destination(tmp_path / "link", "x") == tmp_path.resolve() / "real" / "x"


# --- walking


def make_files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_files_come_sorted_by_their_whole_name(tmp_path: Path) -> None:
    names = ["b", "a/c", "a.txt", "a-b", "a/b/c", "a0", "Z", "a/b.c"]
    make_files(tmp_path, *names)

    assert files_below(tmp_path) == sorted(names)
    assert all(path.read_text() == name for name, path in walk_files(tmp_path))


def test_a_refused_folder_is_not_read(tmp_path: Path) -> None:
    make_files(tmp_path, "a/x", "b/x", "c")
    asked: list[tuple[str, bool]] = []

    def wanted(name: str, is_folder: bool) -> bool:
        asked.append((name, is_folder))
        return name != "a"

    assert [name for name, _ in walk_files(tmp_path, wanted=wanted)] == ["b/x", "c"]
    assert asked == [("a", True), ("b", True), ("b/x", False), ("c", False)]


def test_links_are_followed_to_files_inside_only(tmp_path: Path) -> None:
    make_files(tmp_path, "outside", "folder/real/file")
    folder = tmp_path / "folder"
    for name, target in {
        "to_file": "real/file",
        "to_outside": "../outside",
        "to_absolute": "/etc/passwd",
        "to_folder": "real",
        "to_itself": "to_itself",
        "to_parent": ".",
        "to_nothing": "missing",
    }.items():
        (folder / name).symlink_to(target)

    found = dict(walk_files(folder))

    assert list(found) == ["real/file", "to_file"]
    assert found["to_file"] == (folder / "real" / "file").resolve()


def test_sockets_and_pipes_are_left_out(tmp_path: Path) -> None:
    make_files(tmp_path, "file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        # A socket's path is limited to about 100 characters, so it is bound by a short one.
        folder_fd = os.open(tmp_path, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{folder_fd}/socket")
        os.close(folder_fd)

    assert (tmp_path / "socket").is_socket()
    assert files_below(tmp_path) == ["file"]


@pytest.mark.processes
def test_a_deep_tree_is_walked_without_recursion(tmp_path: Path) -> None:
    depth = 1_200
    folder_fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder_fd)
        inner_fd = os.open("d", os.O_RDONLY, dir_fd=folder_fd)
        os.close(folder_fd)
        folder_fd = inner_fd
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder_fd))
    os.close(folder_fd)

    assert files_below(tmp_path) == ["d/" * depth + "file"]
    # The recursive clean-up of pytest would not get through.
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_walking_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(walk_files(tmp_path / "missing"))

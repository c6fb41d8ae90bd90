"""Paths below a held folder: they follow no link, and open plain files only."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from runlore.domain.errors import RunloreError
from runlore.storage.held_folder import FolderMoved, HeldFolder, NotPermitted, UnsafeEntry
from runlore.storage.held_path import HeldPath, hold
from tests.descriptors import open_below
from tests.processes import in_child


@pytest.fixture
def top(tmp_path: Path) -> HeldPath:
    """A held folder `w` with a file `w/sub/file`; a file `secret` lies outside."""
    (tmp_path / "w" / "sub").mkdir(parents=True)
    (tmp_path / "w" / "sub" / "file").write_bytes(b"inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    return hold(tmp_path / "w")


# Each must fail, whatever the path leads through.
OPERATIONS: Final[dict[str, Callable[[HeldPath], object]]] = {
    "read": lambda path: path.read_bytes(),
    "write": lambda path: path.open(os.O_RDWR | os.O_CREAT),
    "truncate": lambda path: path.open_file("wb"),
    "append": lambda path: path.open_file("ab"),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
@pytest.mark.parametrize("name", ["link", "linked/secret", "sub/dangling", "loop"])
def test_no_link_is_followed(
    top: HeldPath, tmp_path: Path, name: str, operation: Callable[[HeldPath], object]
) -> None:
    outside = tmp_path / "outside"
    (tmp_path / "w" / "link").symlink_to(outside / "secret")
    (tmp_path / "w" / "linked").symlink_to(outside)
    (tmp_path / "w" / "sub" / "dangling").symlink_to(outside / "new")
    (tmp_path / "w" / "loop").symlink_to("loop")

    with pytest.raises(UnsafeEntry, match="symbolic link") as caught:
        operation(top / name)

    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, RunloreError)
    assert sorted(os.listdir(outside)) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_folders_are_not_listed_made_or_removed_through_a_link(
    top: HeldPath, tmp_path: Path
) -> None:
    (tmp_path / "w" / "linked").symlink_to(tmp_path / "outside")
    linked = top / "linked"

    for refused in (
        linked.names,
        linked.entries,
        linked.sync,
        (linked / "new").make_folder,
        linked.make_folder,
        (linked / "secret").unlink,
        lambda: (linked / "secret").rename(top / "stolen"),
        lambda: (top / "sub" / "file").rename(linked / "given"),
        lambda: (linked / "secret").change_mode(0o777),
    ):
        with pytest.raises(UnsafeEntry):
            refused()

    assert not linked.is_folder()
    assert linked.exists()
    assert not (linked / "secret").exists()
    assert os.listdir(tmp_path / "outside") == ["secret"]


def test_a_link_itself_can_be_removed_and_replaced(top: HeldPath, tmp_path: Path) -> None:
    (tmp_path / "w" / "link").symlink_to(tmp_path / "outside" / "secret")
    (tmp_path / "w" / "other").symlink_to(tmp_path / "outside" / "secret")

    (top / "link").unlink()
    (top / "sub" / "file").rename(top / "other")

    assert (top / "other").read_bytes() == b"inside"
    assert (tmp_path / "outside" / "secret").read_bytes() == b"secret"


def test_the_mode_of_what_a_link_leads_to_stays(top: HeldPath, tmp_path: Path) -> None:
    secret = tmp_path / "outside" / "secret"
    secret.chmod(0o600)
    (tmp_path / "w" / "link").symlink_to(secret)

    with pytest.raises(OSError):
        (top / "link").change_mode(0o666)

    assert secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_pipes_sockets_and_folders_are_refused_without_waiting(
    top: HeldPath, tmp_path: Path, operation: Callable[[HeldPath], object]
) -> None:
    os.mkfifo(tmp_path / "w" / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(tmp_path / "w" / "socket"))

    for name, kind in (("pipe", "a pipe"), ("socket", "a socket"), ("sub", "a folder")):
        with pytest.raises(UnsafeEntry, match=kind):
            operation(top / name)


def test_a_file_with_two_names_is_read_and_not_written(top: HeldPath, tmp_path: Path) -> None:
    os.link(tmp_path / "outside" / "secret", tmp_path / "w" / "second")
    second = top / "second"

    assert second.read_bytes() == b"secret"
    for write in ("write", "truncate", "append"):
        with pytest.raises(UnsafeEntry, match=r"2 names \(hard links\)"):
            OPERATIONS[write](second)
    assert second.read_bytes() == b"secret"


@pytest.mark.parametrize("name", ["", "..", ".", "/etc", "a//b", "a/../b", "a\0b", "a/"])
def test_names_that_lead_elsewhere_are_no_paths(top: HeldPath, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of something below"):
        top / name


def test_a_path_cannot_be_opened_by_other_means(top: HeldPath) -> None:
    with pytest.raises(TypeError):
        os.open(top / "sub" / "file", os.O_RDONLY)  # type: ignore[arg-type]


def test_errors_name_the_whole_path(top: HeldPath, tmp_path: Path) -> None:
    for path in (top / "none", top / "none" / "deeper"):
        with pytest.raises(FileNotFoundError) as caught:
            path.read_bytes()
        assert caught.value.filename == str(tmp_path / "w" / "none")


def test_a_folder_that_is_exchanged_for_a_link_shows_nothing(top: HeldPath, tmp_path: Path) -> None:
    sub, aside = tmp_path / "w" / "sub", tmp_path / "w" / "aside"
    (tmp_path / "outside" / "file").write_bytes(b"secret")
    (tmp_path / "w" / "link").symlink_to(tmp_path / "outside")
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            os.rename(sub, aside)
            os.rename(tmp_path / "w" / "link", sub)
            os.rename(sub, tmp_path / "w" / "link")
            os.rename(aside, sub)

    attacker = threading.Thread(target=exchange)
    attacker.start()
    seen = set()
    try:
        for _ in range(3_000):
            try:
                seen.add((top / "sub" / "file").read_bytes())
            except (FileNotFoundError, UnsafeEntry) as error:
                seen.add(type(error).__name__.encode())
    finally:
        over.set()
        attacker.join()

    assert b"inside" in seen
    assert b"secret" not in seen


def test_descriptors_are_given_back(top: HeldPath, tmp_path: Path) -> None:
    (tmp_path / "w" / "link").symlink_to(tmp_path)
    before = open_below(tmp_path)

    for path in (top / "sub" / "file", top / "link" / "x", top / "none" / "x"):
        for operation in (path.exists, path.read_bytes, path.entries, path.unlink):
            with suppress(OSError):
                operation()

    assert open_below(tmp_path) == before


def test_an_error_is_not_its_own_cause(top: HeldPath) -> None:
    """It would keep the frames of its callers, and the workspaces in them."""
    for path in (top / "none", top / "none" / "deeper"):
        for operation in (path.entries, path.names, path.read_bytes, path.stat, path.sync):
            with pytest.raises(FileNotFoundError) as caught:
                operation()
            assert caught.value.__cause__ is not caught.value


# --- the held folder itself ---------------------------------------------------------------


def test_a_folder_that_moved_is_still_held_and_says_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    folder = HeldFolder(tmp_path / "lab")
    folder.check_in_place()
    (tmp_path / "lab").rename(tmp_path / "lab-2025")
    (tmp_path / "lab").mkdir()

    with pytest.raises(FolderMoved, match=r"lab was moved.*lab-2025 now") as caught:
        folder.check_in_place()

    assert caught.value.now == tmp_path / "lab-2025"
    HeldPath(folder, ("new",)).make_folder()
    assert os.listdir(tmp_path / "lab-2025") == ["new"]
    assert os.listdir(tmp_path / "lab") == []


def test_a_folder_that_was_removed_is_nowhere(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    folder = HeldFolder(tmp_path / "lab")
    (tmp_path / "lab").rmdir()
    (tmp_path / "lab").mkdir()

    with pytest.raises(FolderMoved) as caught:
        folder.check_in_place()

    assert caught.value.now is None
    with pytest.raises(FileNotFoundError):
        HeldPath(folder, ("new",)).make_folder()


def test_the_folder_itself_may_be_named_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    folder = hold(tmp_path / "link")

    (folder / "sub").make_folder()
    assert os.listdir(tmp_path / "real") == ["sub"]
    assert folder.folder.is_in_place


def test_the_text_of_a_link_is_read_without_following_it(tmp_path: Path) -> None:
    top = hold(tmp_path)
    (tmp_path / "link").symlink_to("../elsewhere")
    (tmp_path / "file").touch()

    assert (top / "link").read_link() == "../elsewhere"
    assert (top / "file").read_link() is None
    assert (top / "missing").read_link() is None
    assert (top / "link/below").read_link() is None


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_what_may_not_be_read_raises_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "lab" / "closed").mkdir(parents=True)
    (tmp_path / "lab" / "closed" / "file").write_text("mine")
    (tmp_path / "lab" / "file").write_text("mine")
    for path in (tmp_path / "lab" / "closed", tmp_path / "lab" / "file"):
        path.chmod(0)
    lab = hold(tmp_path / "lab")
    reads: list[Callable[[], object]] = [
        (lab / "file").read_bytes,
        (lab / "closed/file").read_bytes,
        (lab / "closed/file").exists,
        (lab / "closed").names,
        (lab / "closed").entries,
    ]

    def tried() -> list[str]:
        os.setuid(65_534)
        told = []
        for read in reads:
            with pytest.raises(NotPermitted) as error:
                read()
            assert isinstance(error.value, PermissionError) and error.value.errno == errno.EACCES
            told.append(str(error.value))
        return told

    assert all("cannot read" in one and "lab/" in one for one in in_child(tried))

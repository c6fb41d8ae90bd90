"""Where a log may live: network mounts are refused, FUSE mounts are probed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runlore.domain.errors import UserError
from runlore.storage.filesystem import UnsafeFileSystem, check_file_system, probe, shows_locks_of

ROOT_MOUNT = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"


def mounts_of(folder: Path, kind: str) -> str:
    """The text of /proc/self/mountinfo where the folder is a mount of this type."""
    point = str(folder.resolve()).replace(" ", r"\040")
    return ROOT_MOUNT + f"36 22 0:31 / {point} rw,noatime - {kind} server:/export rw\n"


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "lustre", "beegfs", "ceph", "fuse.sshfs"]
)
def test_a_network_mount_is_refused_with_the_way_out(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileSystem, match="allow_network_file_system=True") as refused:
        check_file_system(tmp_path, mounts_of(tmp_path, kind))

    assert isinstance(refused.value, UserError)
    assert (refused.value.folder, refused.value.kind) == (tmp_path, kind)


def test_a_folder_deep_below_a_network_mount_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)

    with pytest.raises(UnsafeFileSystem):
        check_file_system(deep, mounts_of(tmp_path, "nfs4"))


def test_a_mount_point_with_a_space_is_recognised(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()

    with pytest.raises(UnsafeFileSystem):
        check_file_system(folder, mounts_of(folder, "nfs"))


def test_a_link_into_a_network_mount_is_refused(tmp_path: Path) -> None:
    remote, link = tmp_path / "remote", tmp_path / "link"
    remote.mkdir()
    link.symlink_to(remote)

    with pytest.raises(UnsafeFileSystem):
        check_file_system(link, mounts_of(remote, "nfs"))


def test_a_sibling_whose_name_only_starts_like_the_mount_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    sibling = tmp_path / "data2"
    sibling.mkdir()

    check_file_system(sibling, mounts_of(tmp_path / "data", "nfs"))


def test_a_local_mount_that_hides_a_network_mount_is_accepted(tmp_path: Path) -> None:
    hiding = f"40 36 254:1 / {tmp_path.resolve()} rw - ext4 /dev/vdb rw\n"

    check_file_system(tmp_path, mounts_of(tmp_path, "nfs") + hiding)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "fuse.grpcfuse"])
def test_local_and_working_fuse_mounts_are_accepted(kind: str, tmp_path: Path) -> None:
    check_file_system(tmp_path, mounts_of(tmp_path, kind))


@pytest.mark.processes
def test_a_fuse_mount_whose_locks_fail_is_refused(tmp_path: Path) -> None:
    # A process that cannot open more files cannot lock one: the probe fails for real.
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from runlore.storage.filesystem import UnsafeFileSystem, check_file_system\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try:\n"
        "    check_file_system(Path(sys.argv[1]), sys.argv[2])\n"
        "except UnsafeFileSystem as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), mounts_of(tmp_path, "fuse.odd")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "locks or shared mappings do not work" in ran.stdout


def test_the_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    assert probe(tmp_path) is None
    assert os.listdir(tmp_path) == []


def test_this_machines_own_mounts_are_read(tmp_path: Path) -> None:
    check_file_system(tmp_path)


@pytest.mark.parametrize(
    ("kind", "same_kernel", "shows"),
    [
        ("ext4", False, True),
        ("nfs4", True, False),
        ("fuse.sshfs", True, False),
        ("fuse.grpcfuse", True, True),
        ("fuse.grpcfuse", False, False),
    ],
)
def test_locks_of_other_machines_are_seen_on_local_disks_only(
    kind: str, same_kernel: bool, shows: bool, tmp_path: Path
) -> None:
    mounts = mounts_of(tmp_path, kind)
    assert shows_locks_of(tmp_path, same_kernel=same_kernel, mounts=mounts) is shows

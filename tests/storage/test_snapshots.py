"""Snapshots of real trees: their files, files that are never in them, and unchanged trees."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import uuid
import zipfile
from pathlib import Path

import pytest

from runlore.domain.errors import InvalidInput, UserError
from runlore.storage.artifact_backend import ArtifactCorrupt, ArtifactMissing
from runlore.storage.artifacts import ArtifactStore, artifacts_below
from runlore.storage.held_path import hold
from runlore.storage.safe_paths import UnsafePath, walk_files
from runlore.storage.snapshots import (
    NotASnapshot,
    Snapshot,
    SnapshotTooLarge,
    read_manifest,
    restore_snapshot,
    take_snapshot,
)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return artifacts_below(hold(tmp_path) / "store")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


def make_files(folder: Path, *names: str, **contents: str) -> None:
    for name, content in {**{name: name for name in names}, **contents}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def names_in(snapshot: Snapshot, store: ArtifactStore) -> list[str]:
    return [file.name for file in read_manifest(snapshot.manifest_sha256, store)]


def snapshot_names(folder: Path, store: ArtifactStore) -> list[str]:
    return names_in(take_snapshot(folder, store), store)


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        name: (path.stat().st_ino, path.stat().st_mtime_ns) for name, path in walk_files(folder)
    }


# --- what it is


def test_the_manifest_is_a_canonical_list_of_the_files(code: Path, store: ArtifactStore) -> None:
    make_files(code, "train.py", "lib/ü.py")
    (code / "train.py").chmod(0o755)

    snapshot = take_snapshot(code, store)

    with store.open(snapshot.manifest_sha256) as file:
        manifest = file.read()
    expected = [
        {
            "executable": name == "train.py",
            "name": name,
            "nbytes": len(name.encode()),
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
        }
        for name in ("lib/ü.py", "train.py")
    ]
    assert json.loads(manifest) == expected
    assert manifest == json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode()
    assert (snapshot.files, snapshot.nbytes) == (2, 17)


def test_the_id_is_a_uuid_made_from_the_manifest(code: Path, store: ArtifactStore) -> None:
    make_files(code, "train.py")

    snapshot = take_snapshot(code, store)

    assert snapshot.snapshot_id == str(uuid.UUID(snapshot.snapshot_id))
    assert snapshot.snapshot_id.replace("-", "") == snapshot.manifest_sha256[:32]


def test_an_unchanged_tree_has_the_same_id_and_stores_nothing(
    code: Path, store: ArtifactStore
) -> None:
    make_files(code, "train.py", "lib/model.py")
    first = take_snapshot(code, store)
    before = state_of(Path(store.location))

    os.utime(code / "train.py", (1, 1))
    second = take_snapshot(code, store)

    assert second == first
    assert state_of(Path(store.location)) == before


def test_the_same_tree_elsewhere_has_the_same_id(
    code: Path, store: ArtifactStore, tmp_path: Path
) -> None:
    make_files(code, "train.py", "lib/model.py")
    make_files(tmp_path / "elsewhere", "lib/model.py", "train.py")

    assert take_snapshot(code, store) == take_snapshot(tmp_path / "elsewhere", store)


@pytest.mark.parametrize("change", ["content", "name", "executable"])
def test_a_changed_tree_has_another_id(code: Path, store: ArtifactStore, change: str) -> None:
    make_files(code, "train.py", "lib/model.py")
    first = take_snapshot(code, store)

    match change:
        case "content":
            (code / "train.py").write_text("changed")
        case "name":
            (code / "train.py").rename(code / "fit.py")
        case "executable":
            (code / "train.py").chmod(0o755)

    assert take_snapshot(code, store).snapshot_id != first.snapshot_id


def test_an_empty_folder_has_an_empty_snapshot(code: Path, store: ArtifactStore) -> None:
    snapshot = take_snapshot(code, store)

    assert (snapshot.files, snapshot.nbytes) == (0, 0)
    assert names_in(snapshot, store) == []


# --- ignore files


def test_amlignore_counts_instead_of_gitignore(code: Path, store: ArtifactStore) -> None:
    make_files(code, "train.py", "data.csv", "notes.txt", "lib/data.csv")
    make_files(code, **{".amlignore": "*.csv\n", ".gitignore": "notes.txt\n"})

    assert snapshot_names(code, store) == [".amlignore", ".gitignore", "notes.txt", "train.py"]


def test_nested_gitignores_do_not_count_under_an_amlignore(
    code: Path, store: ArtifactStore
) -> None:
    make_files(code, "lib/data.csv", **{".amlignore": "", "lib/.gitignore": "*.csv\n"})

    assert "lib/data.csv" in snapshot_names(code, store)


def test_without_an_ignore_file_all_is_taken(code: Path, store: ArtifactStore) -> None:
    make_files(code, "train.py", ".hidden", "data/a.csv")

    assert snapshot_names(code, store) == [".hidden", "data/a.csv", "train.py"]


IGNORES = {
    "globs": {".gitignore": "*.csv\n!keep.csv\n# comment\n\n"},
    "folders": {".gitignore": "data/\nlib/build/\n"},
    "anchored": {".gitignore": "/train.py\n/lib/*.csv\n"},
    "no way back into an ignored folder": {".gitignore": "data/\n!data/keep.csv\n"},
    "way back into emptied folder": {".gitignore": "data/*\n!data/keep.csv\n"},
    "only some": {".gitignore": "*\n!*/\n!*.py\n"},
    "folders but one": {".gitignore": "*/\n!lib\n"},
    "any depth": {".gitignore": "**/build\nlib/**/keep.csv\ndata/**\n"},
    "nested": {".gitignore": "*.csv\n", "lib/.gitignore": "!*.csv\n/train.py\nbuild/\n"},
    "nested in ignored": {".gitignore": "lib/\n", "lib/.gitignore": "!*\n"},
    "escapes": {".gitignore": "\\!odd\n\\#odd\nspaced\\ \n"},
    "no patterns": {".gitignore": "!\n/\n!/\n[\n[z-a]\n\\\n"},
    "windows line ends": {".gitignore": "*.csv\r\nlib/\r\n"},
    "byte order mark": {".gitignore": "\ufefftrain.py\n"},
}


@pytest.mark.processes
@pytest.mark.parametrize("ignores", IGNORES.values(), ids=IGNORES)
def test_gitignores_mean_what_they_mean_to_git(
    code: Path, store: ArtifactStore, ignores: dict[str, str]
) -> None:
    make_files(
        code,
        *("train.py", "a.csv", "keep.csv", "!odd", "#odd", "spaced "),
        *("data/a.csv", "data/keep.csv", "data/sub/a.py", "lib/train.py", "lib/a.csv"),
        *("lib/build/out.py", "lib/sub/keep.csv", "lib/sub/sub/build"),
        **ignores,
    )
    git = ["git", "-C", str(code), "-c", f"core.excludesFile={os.devnull}"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    listed = subprocess.run(
        [*git, "ls-files", "--others", "--exclude-standard", "-z"], check=True, capture_output=True
    ).stdout.decode()

    assert snapshot_names(code, store) == sorted(listed.split("\0")[:-1])


def test_a_name_that_is_not_utf8_can_be_ignored(code: Path, store: ArtifactStore) -> None:
    (code / os.fsdecode(b"caf\xe9")).write_text("")
    (code / ".amlignore").write_bytes(b"caf\xe9\n")

    assert snapshot_names(code, store) == [".amlignore"]


# --- files that are never in it


@pytest.mark.parametrize(
    "name",
    [
        ".git/config",
        "vendor/.git",
        ".env",
        "deploy/.env.local",
        ".envrc",
        ".ENV",
        "__pycache__/train.pyc",
        "lib/__pycache__/model.pyc",
        "site-packages/numpy/__init__.py",
    ],
)
@pytest.mark.parametrize("ignore_file", [None, ".amlignore", ".gitignore"])
def test_private_and_derived_files_are_never_taken_whatever_the_ignore_file_says(
    code: Path, store: ArtifactStore, name: str, ignore_file: str | None
) -> None:
    make_files(code, "train.py", name)
    if ignore_file:
        make_files(code, **{ignore_file: f"!{name}\n!*\n"})

    assert snapshot_names(code, store) == [*filter(None, [ignore_file]), "train.py"]


@pytest.mark.parametrize("marker", ["pyvenv.cfg", "conda-meta/history", "log.sqlite"])
def test_virtual_environments_and_workspaces_are_never_taken(
    code: Path, store: ArtifactStore, marker: str
) -> None:
    make_files(code, "train.py", f"tools/thing/{marker}", "tools/thing/bin/python", "tools/x")

    assert snapshot_names(code, store) == ["tools/x", "train.py"]


@pytest.mark.processes
def test_a_real_virtual_environment_is_never_taken(code: Path, store: ArtifactStore) -> None:
    make_files(code, "train.py")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", code / "venv"], check=True)

    assert snapshot_names(code, store) == ["train.py"]


def test_the_store_itself_is_never_taken(code: Path) -> None:
    make_files(code, "train.py")
    inner = artifacts_below(hold(code) / "artifacts")

    first = take_snapshot(code, inner)

    assert take_snapshot(code, inner) == first
    assert names_in(first, inner) == ["train.py"]


def test_a_link_brings_in_nothing_that_would_be_left_out(code: Path, store: ArtifactStore) -> None:
    make_files(code, "train.py", ".env", ".git/config", "venv/pyvenv.cfg", "data/a.csv")
    make_files(code, **{".gitignore": "data/\n"})
    for name, target in {
        "to_env": ".env",
        "to_git": ".git/config",
        "to_venv": "venv/pyvenv.cfg",
        "to_data": "data/a.csv",
        "to_train": "train.py",
        "to_outside": "/etc/passwd",
        "to_parent": "..",
    }.items():
        (code / name).symlink_to(target)

    assert snapshot_names(code, store) == [".gitignore", "to_train", "train.py"]


def test_a_workspace_as_the_folder_is_refused(code: Path, store: ArtifactStore) -> None:
    make_files(code, "train.py", "log.sqlite")

    with pytest.raises(InvalidInput, match="itself a runlore workspace"):
        take_snapshot(code, store)


@pytest.mark.parametrize("name", ["missing", "train.py"])
def test_a_path_that_is_not_a_folder_is_refused(
    code: Path, store: ArtifactStore, name: str
) -> None:
    make_files(code, "train.py")

    with pytest.raises(InvalidInput, match="not a folder"):
        take_snapshot(code / name, store)


@pytest.mark.parametrize("name", [b"caf\xe9", b"Icon\r", b"back\\slash"])
def test_a_name_that_cannot_be_kept_is_refused_with_the_way_out(
    code: Path, store: ArtifactStore, name: bytes
) -> None:
    (code / os.fsdecode(name)).write_text("")

    with pytest.raises(UnsafePath, match="ignore it in .amlignore"):
        take_snapshot(code, store)


UNREADABLE = """
import os, tempfile
from pathlib import Path
from runlore.storage.artifacts import artifacts_below
from runlore.storage.held_path import hold
from runlore.storage.snapshots import SnapshotUnreadable, take_snapshot

if os.geteuid() == 0:
    os.setuid(65534)  # root may read anything
with tempfile.TemporaryDirectory(dir="/tmp") as name:
    file = Path(name) / "first" / "train.py"
    folder = Path(name) / "second" / "data"
    file.parent.mkdir()
    file.write_text("")
    folder.mkdir(parents=True)
    for private in (file, folder):
        private.chmod(0)
        try:
            take_snapshot(private.parent, artifacts_below(hold(name) / "store"))
        except SnapshotUnreadable as error:
            print(error)
        private.chmod(0o700)
"""


@pytest.mark.processes
def test_an_unreadable_file_or_folder_is_a_clear_error() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNREADABLE],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
        capture_output=True,
        text=True,
    )

    told_file, told_folder = done.stdout.splitlines()
    assert "first/train.py" in told_file and ".amlignore" in told_file
    assert "second/data" in told_folder


# --- limits


def test_too_many_bytes_are_refused_before_anything_is_copied(
    code: Path, store: ArtifactStore
) -> None:
    make_files(code, "train.py", "data/small.bin", **{".gitignore": "*.log\n"})
    with (code / "data" / "big.bin").open("wb") as file:
        file.truncate(301 * 2**20)

    with pytest.raises(SnapshotTooLarge) as caught:
        take_snapshot(code, store)

    error = caught.value
    assert isinstance(error, UserError)
    assert error.nbytes == 301 * 2**20 + len("train.py" + "data/small.bin" + "*.log\n")
    assert error.biggest[0] == ("data/big.bin", 301 * 2**20)
    for part in ("301.0 MB", "300.0 MB", "data/big.bin", ".gitignore"):
        assert part in str(error)
    assert not Path(store.location).exists()


def test_too_many_files_are_refused_before_anything_is_copied(
    code: Path, store: ArtifactStore
) -> None:
    make_files(code, *(f"{number}.txt" for number in range(6)))

    with pytest.raises(SnapshotTooLarge) as caught:
        take_snapshot(code, store, max_files=5)

    assert (caught.value.files, caught.value.max_files) == (6, 5)
    assert "6 files" in str(caught.value) and ".amlignore" in str(caught.value)
    assert not Path(store.location).exists()


def test_what_is_ignored_does_not_count(code: Path, store: ArtifactStore) -> None:
    make_files(code, *(f"data/{number}" for number in range(6)), **{".gitignore": "data/\n"})

    assert take_snapshot(code, store, max_files=1, max_nbytes=6).files == 1


def test_counting_stops_in_a_folder_far_over_the_limit(code: Path, store: ArtifactStore) -> None:
    make_files(code, *(f"{number}.txt" for number in range(50)))

    with pytest.raises(SnapshotTooLarge, match="more than 21 files") as caught:
        take_snapshot(code, store, max_files=2)

    assert not caught.value.counted_all


def test_a_tree_at_the_limits_is_taken(code: Path, store: ArtifactStore) -> None:
    make_files(code, a="12345", b="67890")

    assert take_snapshot(code, store, max_files=2, max_nbytes=10).nbytes == 10


# --- restoring


def test_a_restored_zip_holds_the_tree(code: Path, store: ArtifactStore, tmp_path: Path) -> None:
    make_files(code, "train.py", "lib/ü.py", empty="")
    (code / "train.py").chmod(0o755)
    snapshot = take_snapshot(code, store)

    path = restore_snapshot(snapshot.manifest_sha256, store, tmp_path / "out" / "code.zip")

    assert path == tmp_path / "out" / "code.zip"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        contents = {name: archive.read(name).decode() for name in archive.namelist()}
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert contents == {"empty": "", "lib/ü.py": "lib/ü.py", "train.py": "train.py"}
    assert list(contents) == sorted(contents)
    assert modes["train.py"] == stat.S_IFREG | 0o755
    assert modes["empty"] == stat.S_IFREG | 0o644


def test_an_unpacked_zip_has_the_snapshots_id_again(
    code: Path, store: ArtifactStore, tmp_path: Path
) -> None:
    make_files(code, "train.py", "lib/model.py")
    snapshot = take_snapshot(code, store)
    path = restore_snapshot(snapshot.manifest_sha256, store, tmp_path / "code.zip")

    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")

    assert take_snapshot(tmp_path / "unpacked", store) == snapshot


def test_the_same_snapshot_gives_the_same_zip(
    code: Path, store: ArtifactStore, tmp_path: Path
) -> None:
    make_files(code, "train.py", "lib/model.py")
    manifest = take_snapshot(code, store).manifest_sha256

    first = restore_snapshot(manifest, store, tmp_path / "1.zip").read_bytes()
    second = restore_snapshot(manifest, store, tmp_path / "2.zip").read_bytes()

    assert first == second
    assert hashlib.sha256(first).hexdigest() == (
        "d36011baee4cbb29cc008949940ebcf20b61aabab122bfff646755633f9ea69a"
    )


def test_a_corrupt_file_is_found_and_no_zip_is_left(
    code: Path, store: ArtifactStore, tmp_path: Path
) -> None:
    make_files(code, "train.py")
    snapshot = take_snapshot(code, store)
    path = store.path(hashlib.sha256(b"train.py").hexdigest())
    assert path is not None
    path.unlink()
    path.write_bytes(b"trojan.y")

    with pytest.raises(ArtifactCorrupt):
        restore_snapshot(snapshot.manifest_sha256, store, tmp_path / "out" / "code.zip")

    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_snapshot_leaves_no_zip(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing):
        restore_snapshot("0" * 64, store, tmp_path / "out" / "code.zip")

    assert not (tmp_path / "out").exists()


def line(name: str, **other: object) -> dict[str, object]:
    return {"executable": False, "name": name, "nbytes": 0, "sha256": "0" * 64} | other


@pytest.mark.parametrize(
    "document",
    [
        "no json",
        "{}",
        "[1]",
        json.dumps([line("a", sha256="../" + "0" * 61)]),
        json.dumps([line("a", sha256="0" * 64 + "\n")]),
        json.dumps([line("a", nbytes=-1)]),
        json.dumps([line("a", more=1)]),
        json.dumps([line("b"), line("a")]),
        json.dumps([line("a"), line("a")]),
    ],
)
def test_an_artifact_that_is_not_a_manifest_is_refused(
    store: ArtifactStore, tmp_path: Path, document: str
) -> None:
    manifest = store.put(io.BytesIO(document.encode()))

    with pytest.raises(NotASnapshot, match=manifest.sha256):
        restore_snapshot(manifest.sha256, store, tmp_path / "code.zip")


@pytest.mark.parametrize("name", ["../evil", "/etc/cron.d/evil", "a\\..\\evil", "C:evil", ""])
def test_a_forged_manifest_gets_no_path_into_a_zip(
    store: ArtifactStore, tmp_path: Path, name: str
) -> None:
    manifest = store.put(io.BytesIO(json.dumps([line(name)]).encode()))

    with pytest.raises(UnsafePath):
        restore_snapshot(manifest.sha256, store, tmp_path / "code.zip")

    assert not (tmp_path / "code.zip").exists()

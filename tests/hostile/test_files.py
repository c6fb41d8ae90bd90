"""Files of runs in a workspace that somebody else made, changes or moves.

| tried | what happens |
|---|---|
| `artifacts/` is a symbolic link | not followed; the error says how to trust the folder |
| an artifact, or the folder above it, is a link, a pipe or a folder | ArtifactCorrupt, at once |
| `artifacts/tmp` is a link | nothing is stored; the folder behind it is untouched |
| `artifacts` is swapped for a link while files are stored and read | never followed |
| the workspace is renamed, removed or replaced, then a file is uploaded | FolderMoved |
| `outputs`, or a folder above it, is a link to somebody's keys | nothing of it is kept |
| links, pipes, sockets and 10,000-deep folders in the outputs | left out, with one warning |
| a hard link in the outputs to another user's file | left out by a reader |
| a file is replaced by a link while it is collected | never followed |
| a snapshot is restored where links lie in the way | refused; nothing behind them changes |
| the id of a snapshot, which names its zip file, leads elsewhere | UnsafePath, or a plain name |
| the list of a snapshot's files is a link, or another file | the report says so |
"""

from __future__ import annotations

import io
import os
import shutil
import socket
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import RunloreError
from runlore.domain.run_commands import KeepSnapshot
from runlore.engine.runs.files import keep_folders
from runlore.engine.runs.sources import snapshot_of
from runlore.run.run import handle_of
from runlore.storage.artifact_backend import ArtifactCorrupt
from runlore.storage.artifact_places import ArtifactsLinked
from runlore.storage.held_folder import FolderMoved, UnsafeEntry
from runlore.storage.held_path import hold
from runlore.storage.held_trees import remove_tree
from runlore.storage.safe_paths import UnsafePath
from runlore.storage.snapshots import restore_tree
from runlore.workspace import session_of
from tests.workspaces import seen_again, start

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A private folder of the user, beside the workspace."""
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True)
    (folder / "id_ed25519").write_bytes(KEY)
    (folder / "id_ed25519").chmod(0o600)
    return folder


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return tmp_path / "lab"


@pytest.fixture
def ws(lab: Path) -> Workspace:
    return Workspace.create("lab", path=lab)


@pytest.fixture
def run(ws: Workspace) -> Run:
    return start(Experiment(ws, "e"))


def listed(folder: Path) -> list[tuple[str, int, bytes]]:
    """All that can change in a folder of plain files."""
    return sorted(
        (path.name, stat.S_IMODE(path.stat().st_mode), path.read_bytes())
        for path in folder.iterdir()
        if path.is_file()
    )


def write(path: Path, content: bytes = b"weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- the folder of artifacts --------------------------------------------------------------------


def test_a_linked_folder_of_artifacts_is_not_followed(
    lab: Path, run: Run, keys: Path, tmp_path: Path
) -> None:
    before = listed(keys)
    (lab / "artifacts").symlink_to(keys)

    with pytest.raises(ArtifactsLinked) as refused:
        run.upload_file("w", write(tmp_path / "w"))

    assert listed(keys) == before
    message = str(refused.value)
    assert f"open the workspace with artifacts='{keys}'" in message
    assert f'{{"artifacts": {{"{lab}": "{keys}"}}}}' in message
    assert seen_again(run).get_file_names() == []


@pytest.mark.parametrize("name", ["tmp", "shard"])
def test_a_linked_folder_below_it_is_not_followed(
    lab: Path, run: Run, keys: Path, tmp_path: Path, name: str
) -> None:
    before = listed(keys)
    (lab / "artifacts").mkdir()
    for linked in ["tmp"] if name == "tmp" else [f"{number:02x}" for number in range(256)]:
        (lab / "artifacts" / linked).symlink_to(keys)

    with pytest.raises(UnsafeEntry, match="not a folder"):
        run.upload_file("w", write(tmp_path / "w"))

    assert listed(keys) == before


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "linked folder"])
def test_what_is_in_the_place_of_an_artifact_is_not_opened(
    lab: Path, run: Run, keys: Path, tmp_path: Path, kind: str
) -> None:
    run.upload_file("w", write(tmp_path / "w"))
    [held] = [path for path in (lab / "artifacts").glob("??/*") if path.is_file()]
    held.unlink()
    match kind:
        case "link":
            held.symlink_to(keys / "id_ed25519")
        case "pipe":
            os.mkfifo(held)
        case "folder":
            held.mkdir()
        case _:
            write(keys / held.name, KEY)
            held.parent.rmdir()
            held.parent.symlink_to(keys)

    with pytest.raises(ArtifactCorrupt):
        run.download_file("w", tmp_path / "copy")

    assert not (tmp_path / "copy").exists()


def test_an_artifact_that_is_a_link_is_replaced_by_the_next_upload(
    lab: Path, run: Run, keys: Path, tmp_path: Path
) -> None:
    before = listed(keys)
    run.upload_file("w", write(tmp_path / "w"))
    [held] = [path for path in (lab / "artifacts").glob("??/*") if path.is_file()]
    held.unlink()
    held.symlink_to(keys / "id_ed25519")

    run.upload_file("w2", tmp_path / "w")

    assert listed(keys) == before
    assert not held.is_symlink()
    assert held.read_bytes() == b"weights"


def test_a_folder_that_is_swapped_for_a_link_is_never_followed(
    lab: Path, run: Run, keys: Path, tmp_path: Path
) -> None:
    before = listed(keys)
    run.upload_file("first", write(tmp_path / "w"))
    (tmp_path / "evil").symlink_to(keys)
    stopped = threading.Event()

    def swap() -> None:
        while not stopped.is_set():
            os.rename(lab / "artifacts", tmp_path / "aside")
            os.rename(tmp_path / "evil", lab / "artifacts")
            os.rename(lab / "artifacts", tmp_path / "evil")
            os.rename(tmp_path / "aside", lab / "artifacts")

    swapping = threading.Thread(target=swap)
    swapping.start()
    stored = 0
    try:
        for number in range(100):
            with suppress(RunloreError, OSError):
                run.upload_file(f"w{number}", io.BytesIO(b"%d" % number))
                stored += 1
            with suppress(RunloreError, OSError):
                run.download_file("first", tmp_path / "copy")
    finally:
        stopped.set()
        swapping.join()

    assert sorted(path.name for path in keys.iterdir()) == ["id_ed25519"]
    assert listed(keys) == before
    assert len(run.get_file_names()) == 1 + stored


# --- moved folders ------------------------------------------------------------------------------


def test_nothing_is_uploaded_into_a_renamed_workspace(lab: Path, run: Run, tmp_path: Path) -> None:
    run.upload_file("before", write(tmp_path / "w"))
    lab.rename(tmp_path / "lab-2025")

    with pytest.raises(FolderMoved, match="lab-2025"):
        run.upload_file("after", write(tmp_path / "w2", b"more"))

    assert not lab.exists()
    (tmp_path / "lab-2025").rename(lab)
    run.upload_file("back", tmp_path / "w2")
    assert seen_again(run).get_file_names() == ["before", "back"]


def test_nothing_is_uploaded_into_a_removed_workspace(lab: Path, run: Run, tmp_path: Path) -> None:
    shutil.rmtree(lab)

    with pytest.raises(FolderMoved):
        run.upload_file("after", write(tmp_path / "w"))

    assert not lab.exists()


def test_nothing_is_uploaded_into_another_workspace_in_its_place(
    lab: Path, run: Run, tmp_path: Path
) -> None:
    lab.rename(tmp_path / "lab-2025")
    with Workspace.create("lab", path=lab):
        pass
    before = sorted(path.name for path in lab.iterdir())

    with pytest.raises(FolderMoved):
        run.upload_file("after", write(tmp_path / "w"))

    assert sorted(path.name for path in lab.iterdir()) == before


# --- files that are collected -------------------------------------------------------------------


def collected(run: Run, folder: Path, **options: int) -> tuple[list[str], list[str]]:
    """The names that are kept of `outputs` in a held folder, and the problems."""
    problems = keep_folders(handle_of(run), {"outputs": hold(folder) / "outputs"}, **options)
    return sorted(seen_again(run).get_file_names()), problems


@pytest.mark.parametrize("linked", ["outputs", "source"])
def test_a_linked_folder_is_not_collected(
    run: Run, keys: Path, tmp_path: Path, linked: str
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    if linked == "outputs":
        (made / "outputs").symlink_to(keys)
        below = hold(made) / "outputs"
    else:
        (keys / "outputs").mkdir()
        write(keys / "outputs" / "id", KEY)
        (made / "source").symlink_to(keys)
        below = hold(made) / "source/outputs"

    problems = keep_folders(handle_of(run), {"outputs": below})

    assert seen_again(run).get_file_names() == []
    assert len(problems) == 1
    assert "symbolic link" in problems[0]


def test_all_that_is_not_a_plain_file_is_left_out_with_one_problem(
    run: Run, keys: Path, tmp_path: Path
) -> None:
    outputs = tmp_path / "made" / "outputs"
    write(outputs / "deep" / "model.pt")
    (outputs / "best.pt").symlink_to("deep/model.pt")
    (outputs / "deep" / "again.pt").symlink_to("../best.pt")
    (outputs / "key").symlink_to(keys / "id_ed25519")
    (outputs / "up").symlink_to("../../home/.ssh/id_ed25519")
    (outputs / "folder").symlink_to(keys)
    (outputs / "through").symlink_to("folder/id_ed25519")
    (outputs / "absolute").symlink_to(outputs / "deep" / "model.pt")
    (outputs / "loop").symlink_to("loop")
    (outputs / "nowhere").symlink_to("gone")
    os.mkfifo(outputs / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(outputs / "socket"))

    names, problems = collected(run, tmp_path / "made")

    assert names == ["outputs/best.pt", "outputs/deep/again.pt", "outputs/deep/model.pt"]
    assert len(problems) == 1
    assert problems[0].startswith("9 entries of 'outputs' were left out: ")
    assert "'absolute' is a link that leads elsewhere, " in problems[0]
    assert "'pipe' is not a plain file" in problems[0]


@pytest.mark.long
def test_a_folder_of_any_depth_is_left_out_and_what_is_beside_it_kept(
    run: Run, tmp_path: Path
) -> None:
    outputs = tmp_path / "made" / "outputs"
    write(outputs / "a.txt")
    write(outputs / "z.txt")
    fd = os.open(outputs, os.O_RDONLY)
    for _ in range(10_000):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)

    try:
        names, problems = collected(run, tmp_path / "made")
    finally:
        remove_tree(hold(outputs) / "d")

    assert names == ["outputs/a.txt", "outputs/z.txt"]
    assert len(problems) == 1
    assert "folders deep" in problems[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
def test_another_users_file_is_not_collected_by_a_reader(
    run: Run, keys: Path, tmp_path: Path
) -> None:
    outputs = tmp_path / "made" / "outputs"
    write(outputs / "mine.txt")
    os.chown(outputs / "mine.txt", 2001, -1)
    os.link(keys / "id_ed25519", outputs / "linked")

    names, problems = collected(run, tmp_path / "made", owner=2001)

    assert names == ["outputs/mine.txt"]
    assert problems == [
        "1 entries of 'outputs' were left out: 'outputs/linked' is a file of another user"
    ]


def test_a_file_that_is_swapped_for_a_link_is_never_followed(
    run: Run, keys: Path, tmp_path: Path
) -> None:
    outputs = tmp_path / "made" / "outputs"
    write(outputs / "folder" / "id_ed25519", b"harmless")
    (tmp_path / "evil").symlink_to(keys)
    stopped = threading.Event()

    def swap() -> None:
        while not stopped.is_set():
            with suppress(OSError):
                os.rename(outputs / "folder", tmp_path / "aside")
                os.rename(tmp_path / "evil", outputs / "folder")
                os.rename(outputs / "folder", tmp_path / "evil")
                os.rename(tmp_path / "aside", outputs / "folder")

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for _ in range(300):
            keep_folders(handle_of(run), {"outputs": hold(tmp_path / "made") / "outputs"})
    finally:
        stopped.set()
        swapping.join()

    store = session_of(run.experiment.workspace).artifacts_of(run.id)
    contents = {
        b"".join(store.verified_chunks(artifact.sha256 or ""))
        for artifact in handle_of(run).fetch().artifacts.values()
    }
    assert contents <= {b"harmless"}


# --- snapshots ----------------------------------------------------------------------------------


@pytest.mark.parametrize("linked", ["src", "src/train.py"])
def test_a_snapshot_is_not_restored_through_links(
    run: Run, keys: Path, tmp_path: Path, linked: str
) -> None:
    write(tmp_path / "code" / "src" / "train.py", b"print(1)")
    (tmp_path / "code" / "src" / "train.py").chmod(0o4755)
    run.take_snapshot(tmp_path / "code")
    manifest = handle_of(run).fetch().snapshot_manifest
    assert manifest is not None
    target = tmp_path / "target"
    target.mkdir()
    before = listed(keys)
    if linked == "src":
        (target / "src").symlink_to(keys)
    else:
        (target / "src").mkdir()
        (target / "src" / "train.py").symlink_to(keys / "id_ed25519")

    with suppress(UnsafeEntry):
        restore_tree(manifest, handle_of(run).artifacts, hold(target))

    assert listed(keys) == before
    if linked != "src":
        restored = target / "src" / "train.py"
        assert not restored.is_symlink()
        assert stat.S_IMODE(restored.stat().st_mode) & 0o7000 == 0
        assert os.access(restored, os.X_OK)


@pytest.mark.parametrize("snapshot_id", ["../evil", "/{folder}/evil", "a/../../evil", "a/evil"])
def test_the_id_of_a_snapshot_does_not_lead_out_of_the_folder(
    run: Run, tmp_path: Path, snapshot_id: str
) -> None:
    write(tmp_path / "code" / "train.py", b"print(1)")
    taken = snapshot_of(tmp_path / "code", handle_of(run).artifacts)
    snapshot_id = snapshot_id.format(folder=tmp_path)
    handle_of(run).change(KeepSnapshot(snapshot_id, taken.manifest_sha256, 1, 8))
    (tmp_path / "target").mkdir()

    with suppress(UnsafePath):
        seen_again(run).restore_snapshot(path=tmp_path / "target")

    assert [path.parent.name for path in tmp_path.rglob("*.zip")] in ([], ["target"])


@pytest.mark.parametrize("kind", ["link", "no list", "linked folder"])
def test_a_report_follows_nothing(
    lab: Path, run: Run, keys: Path, tmp_path: Path, kind: str
) -> None:
    write(tmp_path / "code" / "train.py", b"print(1)")
    run.take_snapshot(tmp_path / "code")
    manifest = handle_of(run).fetch().snapshot_manifest
    assert manifest is not None
    held = lab / "artifacts" / manifest[:2] / manifest
    held.unlink()
    write(keys / "list", b'[{"executable":false,"name":"x","nbytes":1,"sha256":"%s"}]' % KEY)
    match kind:
        case "link":
            held.symlink_to(keys / "list")
        case "no list":
            write(held, b"something else")
        case _:
            shutil.rmtree(lab / "artifacts")
            (lab / "artifacts").symlink_to(keys)

    with Workspace.open(lab) as ws:
        ws.audit.report(tmp_path / "report.html", run=run.id)

    text = (tmp_path / "report.html").read_text()
    assert "The list of its files cannot be read" in text
    assert "PRIVATE KEY" not in text

"""The artifact store on a real file system: write-once, whole or not at all, no way out."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runlore.domain.errors import InvalidType, UserError
from runlore.storage.artifacts import (
    CHUNK_NBYTES,
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactNotWritten,
    ArtifactStore,
    StoredArtifact,
    UnsafePath,
    safe_destination,
    safe_name,
    walk_files,
)

CONTENT = b"weights" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def start_child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another Python process that imports what this one can."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_child(code: str, *arguments: object) -> str:
    child = start_child(code, *arguments)
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 0, output
    return output


def replace_bytes(store: ArtifactStore, sha256: str, content: bytes) -> None:
    path = store.path(sha256)
    path.unlink()
    path.write_bytes(content)


def files_below(folder: Path) -> list[str]:
    return [name for name, _ in walk_files(folder)]


# --- put, open, has, path


def test_stored_bytes_come_back_under_their_digest(store: ArtifactStore) -> None:
    stored = store.put(io.BytesIO(CONTENT))

    assert stored == StoredArtifact(SHA256, len(CONTENT))
    with store.open(stored.sha256) as file:
        assert file.read() == CONTENT
    assert files_below(store.root) == [f"{SHA256[:2]}/{SHA256}"]


def test_a_file_is_stored_by_its_path(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(CONTENT)

    assert store.put_path(tmp_path / "model.bin") == StoredArtifact(SHA256, len(CONTENT))


def test_an_empty_file_is_an_artifact(store: ArtifactStore) -> None:
    assert store.put(io.BytesIO(b"")) == StoredArtifact(EMPTY_SHA256, 0)
    assert store.has(EMPTY_SHA256)


def test_a_stream_is_stored_from_where_it_stands(store: ArtifactStore) -> None:
    source = io.BytesIO(b"header" + CONTENT)
    source.seek(len(b"header"))

    assert store.put(source).sha256 == SHA256


def test_a_stored_file_is_read_only(store: ArtifactStore) -> None:
    path = store.path(store.put(io.BytesIO(CONTENT)).sha256)

    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_an_existing_artifact_is_not_rewritten(store: ArtifactStore) -> None:
    store.put(io.BytesIO(CONTENT))
    before = store.path(SHA256).stat()

    store.put(io.BytesIO(CONTENT))

    after = store.path(SHA256).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert files_below(store.root) == [f"{SHA256[:2]}/{SHA256}"]


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1]], ids=["emptied", "cut short"])
def test_putting_the_original_again_heals_a_file_of_wrong_length(
    store: ArtifactStore, damage: bytes
) -> None:
    store.put(io.BytesIO(CONTENT))
    replace_bytes(store, SHA256, damage)

    store.put(io.BytesIO(CONTENT))

    assert store.path(SHA256).read_bytes() == CONTENT


def test_a_held_file_is_not_written_again_when_probably_held(
    store: ArtifactStore, tmp_path: Path
) -> None:
    (tmp_path / "model.bin").write_bytes(CONTENT)

    first = store.put_path_unless_held(tmp_path / "model.bin")
    changed_ns = (store.root / "tmp").stat().st_mtime_ns
    second = store.put_path_unless_held(tmp_path / "model.bin")

    assert first == second == StoredArtifact(SHA256, len(CONTENT))
    assert (store.root / "tmp").stat().st_mtime_ns == changed_ns


def test_a_large_file_passes_in_chunks(store: ArtifactStore) -> None:
    class Zeros(io.RawIOBase):
        left = 64 * CHUNK_NBYTES

        def read(self, size: int = -1, /) -> bytes:
            nbytes = min(size, self.left)
            self.left -= nbytes
            return bytes(nbytes)

    tracemalloc.start()
    stored = store.put(cast(BinaryIO, Zeros()))
    store.copy_to(stored.sha256, store.root.parent / "copy")
    _, peak_nbytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert stored.nbytes == 64 * CHUNK_NBYTES
    assert peak_nbytes < 8 * CHUNK_NBYTES


def test_a_text_stream_is_refused_and_nothing_is_kept(store: ArtifactStore) -> None:
    with pytest.raises(InvalidType, match="'rb'"):
        store.put(cast(BinaryIO, io.StringIO("text")))

    assert files_below(store.root) == []


def test_an_error_of_the_source_passes_through_and_nothing_is_kept(store: ArtifactStore) -> None:
    class Broken(io.RawIOBase):
        chunks = [b"first"]

        def read(self, size: int = -1, /) -> bytes:
            if self.chunks:
                return self.chunks.pop()
            raise OSError(errno.EIO, "the stick was pulled out")

    with pytest.raises(OSError, match="stick") as caught:
        store.put(cast(BinaryIO, Broken()))

    assert not isinstance(caught.value, ArtifactNotWritten)
    assert files_below(store.root) == []


def test_a_missing_artifact_is_a_lookup_error_that_names_digest_and_store(
    store: ArtifactStore,
) -> None:
    with pytest.raises(ArtifactMissing) as caught:
        store.open(SHA256)

    assert isinstance(caught.value, LookupError)
    assert caught.value.sha256 == SHA256
    assert SHA256 in str(caught.value) and str(store.root) in str(caught.value)
    assert not store.has(SHA256)


@pytest.mark.parametrize(
    "digest",
    [
        "",
        SHA256[:-1],
        SHA256 + "0",
        SHA256 + "\n",
        SHA256.upper(),
        "../" * 20 + "etcc",
        "٣" * 64,
        "g" * 64,
        None,
        SHA256.encode(),
    ],
)
def test_no_path_is_made_of_a_malformed_digest(store: ArtifactStore, digest: str) -> None:
    for use in (store.path, store.has, store.open):
        with pytest.raises(UnsafePath):
            use(digest)
    with pytest.raises(UnsafePath):
        store.copy_to(digest, store.root / "copy")


def test_a_link_in_the_store_shows_nothing_from_outside(
    store: ArtifactStore, tmp_path: Path
) -> None:
    (tmp_path / "private").write_bytes(CONTENT)
    store.path(SHA256).parent.mkdir(parents=True)
    store.path(SHA256).symlink_to(tmp_path / "private")

    assert not store.has(SHA256)
    with pytest.raises(ArtifactCorrupt, match="symbolic link"):
        store.open(SHA256)


def test_making_a_store_object_writes_nothing(tmp_path: Path) -> None:
    ArtifactStore(tmp_path / "store").has(SHA256)

    assert not (tmp_path / "store").exists()


# --- copy_to


def test_a_copy_holds_the_same_bytes_and_makes_its_parents(
    store: ArtifactStore, tmp_path: Path
) -> None:
    store.put(io.BytesIO(CONTENT))

    store.copy_to(SHA256, tmp_path / "a" / "b" / "model.bin")

    assert (tmp_path / "a" / "b" / "model.bin").read_bytes() == CONTENT
    assert files_below(tmp_path / "a") == ["b/model.bin"]


def test_a_copy_may_be_written_to_by_its_owner(store: ArtifactStore, tmp_path: Path) -> None:
    store.put(io.BytesIO(CONTENT))

    store.copy_to(SHA256, tmp_path / "model.bin")

    assert (tmp_path / "model.bin").stat().st_mode & stat.S_IWUSR


def test_a_copy_replaces_a_link_and_not_what_it_leads_to(
    store: ArtifactStore, tmp_path: Path
) -> None:
    store.put(io.BytesIO(CONTENT))
    (tmp_path / "precious").write_bytes(b"keep me")
    (tmp_path / "model.bin").symlink_to(tmp_path / "precious")

    store.copy_to(SHA256, tmp_path / "model.bin")

    assert (tmp_path / "precious").read_bytes() == b"keep me"
    assert not (tmp_path / "model.bin").is_symlink()


def test_a_corrupt_artifact_is_found_while_copying_and_the_old_file_stays(
    store: ArtifactStore, tmp_path: Path
) -> None:
    store.put(io.BytesIO(CONTENT))
    replace_bytes(store, SHA256, CONTENT.replace(b"w", b"v", 1))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.bin").write_bytes(b"old")

    with pytest.raises(ArtifactCorrupt) as caught:
        store.copy_to(SHA256, tmp_path / "out" / "model.bin")

    assert caught.value.sha256 == SHA256
    assert (tmp_path / "out" / "model.bin").read_bytes() == b"old"
    assert files_below(tmp_path / "out") == ["model.bin"]


def test_copying_a_missing_artifact_leaves_no_file(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing):
        store.copy_to(SHA256, tmp_path / "out" / "model.bin")

    assert files_below(tmp_path) == []


def test_copying_onto_a_folder_is_a_clear_error(store: ArtifactStore, tmp_path: Path) -> None:
    store.put(io.BytesIO(CONTENT))
    (tmp_path / "out" / "model").mkdir(parents=True)

    with pytest.raises(ArtifactNotWritten) as caught:
        store.copy_to(SHA256, tmp_path / "out" / "model")

    assert caught.value.errno == errno.EISDIR
    assert files_below(tmp_path / "out") == []


# --- many processes, crashes, full disks

PUT_MANY = """
import hashlib, io, sys
from pathlib import Path
from runlore.storage.artifacts import ArtifactStore
print("ready", flush=True)
sys.stdin.readline()
store = ArtifactStore(Path(sys.argv[1]))
for number in range(100):
    content = b"%d" % number * 50_000
    assert store.put(io.BytesIO(content)).sha256 == hashlib.sha256(content).hexdigest()
"""


@pytest.mark.processes
def test_eight_processes_that_put_the_same_files_at_once_end_with_one_of_each(
    store: ArtifactStore,
) -> None:
    children = [start_child(PUT_MANY, store.root) for _ in range(8)]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"

    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()

    for child in children:
        child.communicate(timeout=120)
        assert child.returncode == 0
    found = files_below(store.root)
    assert len(found) == 100
    assert all(name == f"{digest[:2]}/{digest}" for name, digest in hash_all(store).items())


def hash_all(store: ArtifactStore) -> dict[str, str]:
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in walk_files(store.root)
        if not name.startswith("tmp/")
    }


DIE_AT_EVERY_STEP = """
import io, json, os, signal, sys
from pathlib import Path
from runlore.storage.artifacts import ArtifactStore

STEPS = ("open", "os.mkdir", "os.scandir", "os.chmod", "os.rename", "os.remove")

def put_and_die_at(step, root):
    left = step
    def die(event, arguments):
        nonlocal left
        if event in STEPS:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(die)
    ArtifactStore(root).put(io.BytesIO(b"weights" * 100_000))
    os._exit(0)

died = []
while True:
    step = len(died)
    child = os.fork()
    if not child:
        put_and_die_at(step, Path(sys.argv[1]) / str(step))
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == 0:
        break
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, status
    died.append(step)
print(json.dumps(died))
"""


@pytest.mark.processes
def test_a_process_killed_at_any_step_of_put_leaves_no_half_artifact(tmp_path: Path) -> None:
    died = json.loads(run_child(DIE_AT_EVERY_STEP, tmp_path))

    assert len(died) > 8
    for step in died:
        store = ArtifactStore(tmp_path / str(step))
        if store.root.exists():
            assert all(name.endswith(digest) for name, digest in hash_all(store).items())
        assert store.put(io.BytesIO(CONTENT)).sha256 == SHA256
        assert store.path(SHA256).read_bytes() == CONTENT


PUT_HALF = """
import io, sys
from pathlib import Path
from runlore.storage.artifacts import ArtifactStore

class Half(io.RawIOBase):
    chunks = [b"half"]
    def read(self, size=-1):
        if self.chunks:
            return self.chunks.pop()
        print("half", flush=True)
        sys.stdin.read()

ArtifactStore(Path(sys.argv[1])).put(Half())
"""


def kill_while_putting(store: ArtifactStore) -> Path:
    child = start_child(PUT_HALF, store.root)
    assert child.stdout is not None and child.stdout.readline() == "half\n"
    child.kill()
    child.communicate(timeout=60)
    (leftover,) = (store.root / "tmp").iterdir()
    return leftover


@pytest.mark.processes
def test_a_leftover_older_than_a_day_is_swept_by_the_next_stores_first_put(
    store: ArtifactStore,
) -> None:
    leftover = kill_while_putting(store)
    long_ago = time.time() - 25 * 60 * 60
    os.utime(leftover, (long_ago, long_ago))

    store.put(io.BytesIO(CONTENT))

    assert not leftover.exists()


@pytest.mark.processes
def test_a_younger_leftover_stays_because_it_may_still_be_written(store: ArtifactStore) -> None:
    leftover = kill_while_putting(store)

    store.put(io.BytesIO(CONTENT))

    assert leftover.read_bytes() == b"half"


WITHOUT_ROOM = """
import errno, io, json, os, resource, sys
from pathlib import Path
from runlore.storage.artifacts import ArtifactNotWritten, ArtifactStore

root = Path(sys.argv[1])
store = ArtifactStore(root / "store")
held = store.put(io.BytesIO(bytes(3 * 2**20)))
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20 + 17, resource.RLIM_INFINITY))
told = []
for attempt in (
    lambda: store.put(io.BytesIO(b"x" * 3 * 2**20)),
    lambda: store.copy_to(held.sha256, root / "out" / "copy"),
):
    try:
        attempt()
    except ArtifactNotWritten as error:
        told.append([error.errno, str(error)])
small = store.put(io.BytesIO(b"small"))
print(json.dumps([told, held.sha256, small.sha256]))
"""


@pytest.mark.processes
def test_no_room_is_a_clear_error_and_leaves_no_half_file(tmp_path: Path) -> None:
    told, held, small = json.loads(run_child(WITHOUT_ROOM, tmp_path))

    assert [code for code, _ in told] == [errno.EFBIG, errno.EFBIG]
    assert str(tmp_path / "store") in told[0][1] and "free some space" in told[0][1]
    assert str(tmp_path / "out" / "copy") in told[1][1]
    expected = {f"store/{digest[:2]}/{digest}" for digest in (held, small)}
    assert set(files_below(tmp_path)) == expected


WITHOUT_PERMISSION = """
import io, json, os, sys
from pathlib import Path
from runlore.storage.artifacts import ArtifactNotWritten, ArtifactStore

os.chdir(sys.argv[1])
os.chmod("closed", 0o555)
if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere
try:
    ArtifactStore(Path("closed/store")).put(io.BytesIO(b"x"))
except ArtifactNotWritten as error:
    print(json.dumps([error.errno, str(error)]))
"""


@pytest.mark.processes
def test_an_unwritable_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir()

    code, message = json.loads(run_child(WITHOUT_PERMISSION, tmp_path))

    assert code == errno.EACCES
    assert "closed/store" in message and "writable" in message
    assert list((tmp_path / "closed").iterdir()) == []


def test_a_store_below_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ArtifactNotWritten, match="Not a directory"):
        ArtifactStore(tmp_path / "file" / "store").put(io.BytesIO(CONTENT))


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
def test_a_name_that_is_no_text_is_refused(name: object) -> None:
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

"""The artifact store on a real file system: write-once, and whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from runlore.domain.errors import InvalidType
from runlore.storage.artifact_backend import ArtifactCorrupt, ArtifactMissing
from runlore.storage.artifacts import (
    CHUNK_NBYTES,
    ArtifactStore,
    StoredArtifact,
    artifacts_below,
)
from runlore.storage.atomic_files import FileNotWritten
from runlore.storage.held_folder import UnsafeEntry
from runlore.storage.held_path import hold
from runlore.storage.safe_paths import UnsafePath, walk_files

CONTENT = b"weights" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return artifacts_below(hold(tmp_path) / "store")


def file_of(store: ArtifactStore, sha256: str) -> Path:
    path = store.path(sha256)
    assert path is not None
    return path


def start_child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another Python process with the import path of this one."""
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
    path = file_of(store, sha256)
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
    assert files_below(Path(store.location)) == [f"{SHA256[:2]}/{SHA256}"]


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
    path = file_of(store, store.put(io.BytesIO(CONTENT)).sha256)

    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_an_existing_artifact_is_not_rewritten(store: ArtifactStore) -> None:
    store.put(io.BytesIO(CONTENT))
    before = file_of(store, SHA256).stat()

    store.put(io.BytesIO(CONTENT))

    after = file_of(store, SHA256).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert files_below(Path(store.location)) == [f"{SHA256[:2]}/{SHA256}"]


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1]], ids=["emptied", "cut short"])
def test_putting_the_original_again_heals_a_file_of_wrong_length(
    store: ArtifactStore, damage: bytes
) -> None:
    store.put(io.BytesIO(CONTENT))
    replace_bytes(store, SHA256, damage)

    store.put(io.BytesIO(CONTENT))

    assert file_of(store, SHA256).read_bytes() == CONTENT


def test_a_held_file_is_not_written_again_when_probably_held(
    store: ArtifactStore, tmp_path: Path
) -> None:
    (tmp_path / "model.bin").write_bytes(CONTENT)

    first = store.put_path_unless_held(tmp_path / "model.bin")
    changed_ns = (Path(store.location) / "tmp").stat().st_mtime_ns
    second = store.put_path_unless_held(tmp_path / "model.bin")

    assert first == second == StoredArtifact(SHA256, len(CONTENT))
    assert (Path(store.location) / "tmp").stat().st_mtime_ns == changed_ns


def test_a_large_file_passes_in_chunks(store: ArtifactStore) -> None:
    class Zeros(io.RawIOBase):
        left = 64 * CHUNK_NBYTES

        def read(self, size: int = -1, /) -> bytes:
            nbytes = min(size, self.left)
            self.left -= nbytes
            return bytes(nbytes)

    tracemalloc.start()
    stored = store.put(cast(BinaryIO, Zeros()))
    store.copy_to(stored.sha256, Path(store.location).parent / "copy")
    _, peak_nbytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert stored.nbytes == 64 * CHUNK_NBYTES
    assert peak_nbytes < 8 * CHUNK_NBYTES


def test_a_text_stream_is_refused_and_nothing_is_kept(store: ArtifactStore) -> None:
    with pytest.raises(InvalidType, match="'rb'"):
        store.put(cast(BinaryIO, io.StringIO("text")))

    assert files_below(Path(store.location)) == []


def test_an_error_of_the_source_passes_through_and_nothing_is_kept(store: ArtifactStore) -> None:
    class Broken(io.RawIOBase):
        chunks = [b"first"]

        def read(self, size: int = -1, /) -> bytes:
            if self.chunks:
                return self.chunks.pop()
            raise OSError(errno.EIO, "the stick was pulled out")

    with pytest.raises(OSError, match="stick") as caught:
        store.put(cast(BinaryIO, Broken()))

    assert not isinstance(caught.value, FileNotWritten)
    assert files_below(Path(store.location)) == []


def test_a_missing_artifact_is_a_lookup_error_that_names_digest_and_store(
    store: ArtifactStore,
) -> None:
    with pytest.raises(ArtifactMissing) as caught:
        store.open(SHA256)

    assert isinstance(caught.value, LookupError)
    assert caught.value.sha256 == SHA256
    assert SHA256 in str(caught.value) and str(Path(store.location)) in str(caught.value)
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
        store.copy_to(digest, Path(store.location) / "copy")


def test_a_link_in_the_store_shows_nothing_from_outside(
    store: ArtifactStore, tmp_path: Path
) -> None:
    (tmp_path / "private").write_bytes(CONTENT)
    file_of(store, SHA256).parent.mkdir(parents=True)
    file_of(store, SHA256).symlink_to(tmp_path / "private")

    assert not store.has(SHA256)
    with pytest.raises(ArtifactCorrupt, match="symbolic link"):
        store.open(SHA256)


def test_making_a_store_object_writes_nothing(tmp_path: Path) -> None:
    artifacts_below(hold(tmp_path) / "store").has(SHA256)

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

    with pytest.raises(FileNotWritten) as caught:
        store.copy_to(SHA256, tmp_path / "out" / "model")

    assert caught.value.errno == errno.EISDIR
    assert files_below(tmp_path / "out") == []


# --- many processes, crashes, full disks

PUT_MANY = """
import hashlib, io, sys
from pathlib import Path
from runlore.storage.artifacts import artifacts_below
from runlore.storage.held_path import hold
print("ready", flush=True)
sys.stdin.readline()
store = artifacts_below(hold(Path(sys.argv[1]).parent) / Path(sys.argv[1]).name)
for number in range(100):
    content = b"%d" % number * 50_000
    assert store.put(io.BytesIO(content)).sha256 == hashlib.sha256(content).hexdigest()
"""


@pytest.mark.processes
def test_eight_processes_that_put_the_same_files_at_once_end_with_one_of_each(
    store: ArtifactStore,
) -> None:
    children = [start_child(PUT_MANY, Path(store.location)) for _ in range(8)]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"

    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()

    for child in children:
        child.communicate(timeout=120)
        assert child.returncode == 0
    found = files_below(Path(store.location))
    assert len(found) == 100
    assert all(name == f"{digest[:2]}/{digest}" for name, digest in hash_all(store).items())


def hash_all(store: ArtifactStore) -> dict[str, str]:
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in walk_files(Path(store.location))
        if not name.startswith("tmp/")
    }


DIE_AT_EVERY_STEP = """
import io, json, os, signal, sys
from pathlib import Path
from runlore.storage.artifacts import artifacts_below
from runlore.storage.held_path import hold

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
    artifacts_below(hold(root.parent) / root.name).put(io.BytesIO(b"weights" * 100_000))
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
        store = artifacts_below(hold(tmp_path) / str(step))
        if Path(store.location).exists():
            assert all(name.endswith(digest) for name, digest in hash_all(store).items())
        assert store.put(io.BytesIO(CONTENT)).sha256 == SHA256
        assert file_of(store, SHA256).read_bytes() == CONTENT


PUT_HALF = """
import io, sys
from pathlib import Path
from runlore.storage.artifacts import artifacts_below
from runlore.storage.held_path import hold

class Half(io.RawIOBase):
    chunks = [b"half"]
    def read(self, size=-1):
        if self.chunks:
            return self.chunks.pop()
        print("half", flush=True)
        sys.stdin.read()

artifacts_below(hold(Path(sys.argv[1]).parent) / Path(sys.argv[1]).name).put(Half())
"""


def kill_while_putting(store: ArtifactStore) -> Path:
    child = start_child(PUT_HALF, Path(store.location))
    assert child.stdout is not None and child.stdout.readline() == "half\n"
    child.kill()
    child.communicate(timeout=60)
    (leftover,) = (Path(store.location) / "tmp").iterdir()
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
from runlore.storage.artifacts import artifacts_below
from runlore.storage.held_path import hold
from runlore.storage.atomic_files import FileNotWritten

root = Path(sys.argv[1])
store = artifacts_below(hold(root) / "store")
held = store.put(io.BytesIO(bytes(3 * 2**20)))
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20 + 17, resource.RLIM_INFINITY))
told = []
for attempt in (
    lambda: store.put(io.BytesIO(b"x" * 3 * 2**20)),
    lambda: store.copy_to(held.sha256, root / "out" / "copy"),
):
    try:
        attempt()
    except FileNotWritten as error:
        told.append([error.errno, str(error)])
small = store.put(io.BytesIO(b"small"))
print(json.dumps([told, held.sha256, small.sha256]))
"""


@pytest.mark.processes
def test_no_room_is_a_clear_error_and_leaves_no_half_file(tmp_path: Path) -> None:
    told, held, small = json.loads(run_child(WITHOUT_ROOM, tmp_path))

    assert [code for code, _ in told] == [errno.EFBIG, errno.EFBIG]
    assert str(tmp_path / "store") in told[0][1] and "raise the limit" in told[0][1]
    assert str(tmp_path / "out" / "copy") in told[1][1]
    expected = {f"store/{digest[:2]}/{digest}" for digest in (held, small)}
    assert set(files_below(tmp_path)) == expected


WITHOUT_PERMISSION = """
import io, json, os, sys
from pathlib import Path
from runlore.storage.artifacts import artifacts_below
from runlore.storage.held_path import hold
from runlore.storage.atomic_files import FileNotWritten

os.chdir(sys.argv[1])
os.chmod("closed", 0o555)
closed = hold("closed")
if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere
try:
    artifacts_below(closed / "store").put(io.BytesIO(b"x"))
except FileNotWritten as error:
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

    with pytest.raises(UnsafeEntry, match="file: it is not a folder"):
        artifacts_below(hold(tmp_path) / "file/store").put(io.BytesIO(CONTENT))

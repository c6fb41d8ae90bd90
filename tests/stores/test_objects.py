"""The artifact store on an object store: write-once, streamed, verified, and patient."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import obstore
import pytest
from obstore.store import S3Store

from runlore.domain.errors import InvalidInput, UserError
from runlore.storage.artifact_backend import ArtifactCorrupt, ArtifactMissing
from runlore.storage.artifact_objects import PART_NBYTES, ArtifactObjects
from runlore.storage.artifacts import ArtifactStore, FileChanged
from runlore.storage.object_errors import StoreUnavailable, Trouble
from runlore.storage.object_places import object_place
from tests.stores.conftest import SECRET
from tests.stores.faulty_proxy import Fault, FaultyProxy

pytestmark = [pytest.mark.long, pytest.mark.processes]  # moto's server

CONTENT = b"weights" * 1_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LONG = os.urandom(2**20) * 17
LONG_SHA256 = hashlib.sha256(LONG).hexdigest()


def store_in(bucket: str, prefix: str = "team/lab") -> ArtifactStore:
    return ArtifactStore(ArtifactObjects(object_place(f"s3://{bucket}/{prefix}")))


@pytest.fixture
def store(bucket: str) -> ArtifactStore:
    return store_in(bucket)


def run_python(code: str, *arguments: object) -> str:
    """What another process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(store: ArtifactStore, sha256: str) -> bytes:
    return b"".join(store.verified_chunks(sha256))


# --- bytes


@pytest.mark.parametrize("content", [b"", b"x", CONTENT, LONG], ids=["none", "one", "few", "many"])
def test_stored_bytes_come_back(store: ArtifactStore, content: bytes) -> None:
    stored = store.put(io.BytesIO(content))

    assert (stored.nbytes, stored.was_held) == (len(content), False)
    assert store.has(stored.sha256)
    assert read(store, stored.sha256) == content


@pytest.mark.parametrize("content", [CONTENT, LONG], ids=["few", "many"])
def test_bytes_are_stored_once(store: ArtifactStore, proxy: FaultyProxy, content: bytes) -> None:
    store.put(io.BytesIO(content))
    proxy.requests.clear()

    assert store.put(io.BytesIO(content)).was_held
    assert not [asked for asked in proxy.requests if asked.startswith("POST")]


def test_a_small_file_costs_one_request_in_and_one_out(
    store: ArtifactStore, proxy: FaultyProxy
) -> None:
    store.put(io.BytesIO(CONTENT))
    read(store, SHA256)

    assert [asked.split()[0] for asked in proxy.requests] == ["PUT", "GET"]


def test_a_stream_that_cannot_go_back_is_stored(store: ArtifactStore, tmp_path: Path) -> None:
    read_fd, write_fd = os.pipe()
    writer = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.stdout.buffer.write(b'x' * {len(LONG)})"],
        stdout=write_fd,
    )
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as source:
        stored = store.put(source)
    writer.wait()

    assert stored.nbytes == len(LONG)
    assert read(store, stored.sha256) == b"x" * len(LONG)


MEASURED = """
import resource, sys
from runlore.storage.artifact_objects import ArtifactObjects
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.object_places import object_place
from pathlib import Path
store = ArtifactStore(ArtifactObjects(object_place(sys.argv[1])))
small = store.put_path(Path(sys.argv[2]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.put_path(Path(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_long_file_is_sent_in_parts_and_never_whole_in_memory(
    bucket: str, proxy: FaultyProxy, tmp_path: Path
) -> None:
    small, long = tmp_path / "small", tmp_path / "long"
    small.write_bytes(CONTENT)
    nbytes = 20 * PART_NBYTES
    with long.open("wb") as file:
        file.truncate(nbytes)

    grown_kib = int(run_python(MEASURED, f"s3://{bucket}/x", small, long))

    parts = [asked for asked in proxy.requests if "partNumber" in asked]
    assert len(parts) == 20
    assert grown_kib * 1024 < nbytes * 2 / 3


def test_a_file_that_is_written_to_while_it_is_stored_is_not_kept(
    store: ArtifactStore, bucket: str, s3_port: int
) -> None:
    class Growing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            if not found:  # It has been read to its end.
                self.getbuffer()[5:6] = b"!"
            return found

    source = Growing(LONG)
    with pytest.raises(FileChanged, match="was written to"):
        store.put(source)

    assert list(store.digests()) == []
    pending = urlopen(f"http://127.0.0.1:{s3_port}/{bucket}?uploads").read()
    assert b"<UploadId>" not in pending


def test_a_file_can_be_sought_without_being_read(store: ArtifactStore, proxy: FaultyProxy) -> None:
    store.put(io.BytesIO(LONG))
    proxy.requests.clear()

    with store.open(LONG_SHA256) as file:
        file.seek(-100, io.SEEK_END)
        assert file.read() == LONG[-100:]
        file.seek(PART_NBYTES - 10)
        assert file.read(20) == LONG[PART_NBYTES - 10 : PART_NBYTES + 10]
    assert len(proxy.requests) <= 4


def test_a_digest_that_is_not_there_is_missing(store: ArtifactStore) -> None:
    assert not store.has(SHA256)
    with pytest.raises(ArtifactMissing, match=SHA256):
        store.open(SHA256)


def test_names_and_removal(store: ArtifactStore) -> None:
    store.put(io.BytesIO(CONTENT))

    assert list(store.digests()) == [SHA256]
    assert store.remove(SHA256) == len(CONTENT)
    assert store.remove(SHA256) == 0
    assert not store.has(SHA256)


# --- somebody has spoilt what is there


def tamper(bucket: str, sha256: str, content: bytes) -> None:
    key = f"team/lab/{sha256[:2]}/{sha256}"
    obstore.put(S3Store(bucket, client_options={"allow_http": True}), key, content)


def test_other_bytes_are_refused(store: ArtifactStore, bucket: str) -> None:
    store.put(io.BytesIO(CONTENT))
    tamper(bucket, SHA256, b"other" * 1_400)

    with pytest.raises(ArtifactCorrupt, match="hash to"):
        read(store, SHA256)


def test_an_object_that_was_cut_short_is_healed_by_the_next_put(
    store: ArtifactStore, bucket: str
) -> None:
    store.put(io.BytesIO(CONTENT))
    tamper(bucket, SHA256, CONTENT[:100])

    store.put(io.BytesIO(CONTENT))

    assert read(store, SHA256) == CONTENT


# --- the store misbehaves


@pytest.mark.parametrize(
    ("fault", "content"),
    [(Fault(status=500), CONTENT), (Fault(status=503, code="SlowDown"), LONG)],
    ids=["500", "503"],
)
def test_a_server_that_fails_for_a_while_is_asked_again(
    store: ArtifactStore, proxy: FaultyProxy, fault: Fault, content: bytes
) -> None:
    proxy.spoil(fault, times=2)
    stored = store.put(io.BytesIO(content))
    proxy.spoil(fault, times=2)

    assert read(store, stored.sha256) == content


@pytest.mark.parametrize(
    ("half", "content"), [("broken", LONG), ("short", CONTENT)], ids=["broken", "short"]
)
def test_half_a_file_is_fetched_again(
    store: ArtifactStore, proxy: FaultyProxy, half: str, content: bytes
) -> None:
    stored = store.put(io.BytesIO(content))
    proxy.spoil(Fault(half=half), method="GET", times=2)

    assert read(store, stored.sha256) == content


def test_a_store_that_always_sends_half_a_file_gives_none(
    store: ArtifactStore, proxy: FaultyProxy
) -> None:
    store.put(io.BytesIO(CONTENT))
    proxy.spoil(Fault(half="short"), method="GET")

    with pytest.raises((ArtifactCorrupt, StoreUnavailable)):
        read(store, SHA256)


def test_a_broken_upload_goes_on_with_the_part_that_broke(
    store: ArtifactStore, proxy: FaultyProxy
) -> None:
    proxy.spoil(Fault(half="broken"), method="PUT", times=1)

    store.put(io.BytesIO(LONG))

    parts = [asked for asked in proxy.requests if "partNumber" in asked]
    assert len(parts) == 3 + 1
    assert read(store, LONG_SHA256) == LONG


@pytest.mark.parametrize(
    ("fault", "trouble", "advice"),
    [
        (Fault(status=403, code="SignatureDoesNotMatch"), Trouble.REFUSED, "AWS_ACCESS_KEY_ID"),
        (Fault(status=404, code="NoSuchBucket"), Trouble.NO_BUCKET, "make the bucket"),
        (Fault(status=500), Trouble.SILENT, "try again"),
        (Fault(wait_s=3), Trouble.SILENT, "try again"),
    ],
    ids=["403", "404", "500", "slow"],
)
def test_a_store_that_cannot_be_used_says_why_and_no_secret(
    bucket: str,
    proxy: FaultyProxy,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    trouble: Trouble,
    advice: str,
) -> None:
    store_in(bucket).put(io.BytesIO(CONTENT))
    monkeypatch.setenv("RUNLORE_STORE_TIMEOUT_S", "1")
    store = store_in(bucket)
    proxy.spoil(fault)

    for ask in (lambda: store.put(io.BytesIO(b"new")), lambda: store.open(SHA256)):
        with pytest.raises(StoreUnavailable) as caught:
            ask()
        assert caught.value.trouble is trouble
        assert advice in str(caught.value)
        assert caught.value.__cause__ is None
        shown = repr(caught.value) + str(caught.value) + repr(store) + repr(store.location)
        assert not any(word in shown for word in (SECRET, "AKIDTEST", "secret-string"))


def test_no_server_at_all(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("RUNLORE_STORE_TIMEOUT_S", "1")

    with pytest.raises(StoreUnavailable, match="check the network"):
        store_in(bucket).put(io.BytesIO(CONTENT))


def test_the_keys_of_a_profile_count(
    bucket: str, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"[profile lab]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = {SECRET}\n"
        f"region = us-east-1\nendpoint_url = {proxy.endpoint}\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "lab")

    store = store_in(bucket)
    store.put(io.BytesIO(CONTENT))

    assert read(store, SHA256) == CONTENT
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UserError, match="AWS_PROFILE"):
        store_in(bucket).put(io.BytesIO(CONTENT))


FORKED = """
import io, os, sys
from runlore.storage.artifact_objects import ArtifactObjects
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.object_places import object_place
store = ArtifactStore(ArtifactObjects(object_place(sys.argv[1])))
store.put(io.BytesIO(b"before"))
child = os.fork()
if child == 0:
    try:
        store.put(io.BytesIO(b"in the child"))
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_forked_child_is_told_and_does_not_hang(bucket: str) -> None:
    told = run_python(FORKED, f"s3://{bucket}/x")

    assert "forked" in told
    assert "spawn" in told


# --- addresses


@pytest.mark.parametrize(
    "uri",
    ["s3://key:sekrit-sekrit@lab/x", "s3://lab/x?X-Amz-Signature=sekrit-sekrit", "s3://lab:80/"],
)
def test_an_address_with_credentials_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(InvalidInput, match=r"docs/files\.md") as caught:
        object_place(uri)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["s3://", "s3:///x", "s3://lab/../x", "s3://lab/a//b", "s3://lab/\n"]
)
def test_a_strange_address_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInput):
        object_place(uri)


def test_a_place_is_below_another_by_whole_parts() -> None:
    lab = object_place("s3://lab/team")

    assert object_place("s3://lab/team/x").is_below(lab)
    assert not object_place("s3://lab/teams").is_below(lab)
    assert not object_place("gs://lab/team").is_below(lab)
    assert str(lab) == "s3://lab/team"

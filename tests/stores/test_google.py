"""Files at gs:// addresses, against a server of S3: it is not Google's, and shows nothing of it.

Google's XML API is that of S3 but for a few headers, which the proxy translates. So this shows what
the library asks of Google's side, and that artifacts keep their promises there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import pytest

from runlore.storage.artifact_backend import ArtifactCorrupt, ArtifactMissing
from runlore.storage.artifact_objects import PART_NBYTES, ArtifactObjects
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.object_errors import StoreUnavailable, Trouble
from runlore.storage.object_places import object_place
from tests.stores.faulty_proxy import Fault, FaultyProxy

pytestmark = pytest.mark.processes  # moto's server

LONG = os.urandom(2**20) * 17


@pytest.fixture
def backend(
    bucket: str, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ArtifactObjects:
    account = {"gcs_base_url": proxy.endpoint, "disable_oauth": True, "private_key": ""}
    file = tmp_path / "account.json"
    file.write_text(json.dumps({**account, "client_email": "", "private_key_id": ""}))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(file))
    return ArtifactObjects(object_place(f"gs://{bucket}/team/lab"))


@pytest.mark.parametrize("content", [b"", b"few", LONG], ids=["none", "few", "many"])
def test_bytes_are_stored_once_and_come_back(
    backend: ArtifactObjects, proxy: FaultyProxy, content: bytes
) -> None:
    store = ArtifactStore(backend)

    stored = store.put(io.BytesIO(content))

    assert not stored.was_held
    assert store.put(io.BytesIO(content)).was_held
    assert b"".join(store.verified_chunks(stored.sha256)) == content
    assert list(store.digests()) == [stored.sha256]
    parts = [asked for asked in proxy.requests if "partNumber" in asked]
    assert len(parts) == (-(-len(content) // PART_NBYTES) if content is LONG else 0)


def test_what_is_there_is_not_replaced(backend: ArtifactObjects) -> None:
    name = hashlib.sha256(b"one").hexdigest()

    assert backend.publish(name, io.BytesIO(b"one"), 3)
    assert not backend.publish(name, io.BytesIO(b"two"), 3)

    assert backend.open(name).read() == b"one"


def test_a_file_that_is_replaced_while_it_is_read_is_corrupt(backend: ArtifactObjects) -> None:
    stored = ArtifactStore(backend).put(io.BytesIO(LONG))

    with backend.open(stored.sha256) as file:
        file.read(1)
        backend.store(stored.sha256, lambda: iter([bytes(len(LONG))]))
        with pytest.raises(ArtifactCorrupt, match="replaced"):
            file.read()


def test_files_of_a_run_are_removed_and_no_others(backend: ArtifactObjects) -> None:
    own, other = (ArtifactStore(backend.below(name)) for name in ("own", "other"))
    for store in (own, other):
        store.put(io.BytesIO(b"x"))
    [name] = own.digests()

    assert backend.below("own").remove(name) == 1
    assert backend.below("own").remove(name) == 0
    assert backend.below("own").remove_all()

    with pytest.raises(ArtifactMissing):
        own.open(name)
    assert list(other.digests()) == [name]


@pytest.mark.parametrize(
    ("fault", "trouble", "advice"),
    [
        (Fault(status=403, code="AccessDenied"), Trouble.REFUSED, "GOOGLE_APPLICATION_CREDENTIALS"),
        (Fault(status=404, code="NoSuchBucket"), Trouble.NO_BUCKET, "make the bucket"),
    ],
    ids=["403", "404"],
)
def test_a_store_that_cannot_be_used_says_why(
    backend: ArtifactObjects, proxy: FaultyProxy, fault: Fault, trouble: Trouble, advice: str
) -> None:
    proxy.spoil(fault)

    with pytest.raises(StoreUnavailable, match=advice) as caught:
        ArtifactStore(backend).put(io.BytesIO(b"new"))
    assert caught.value.trouble is trouble


def test_the_variable_names_another_server(
    bucket: str, proxy: FaultyProxy, backend: ArtifactObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = ArtifactStore(backend).put(io.BytesIO(b"x"))
    file = Path(os.environ["GOOGLE_SERVICE_ACCOUNT"])
    file.write_text(
        json.dumps({**json.loads(file.read_text()), "gcs_base_url": "http://a.invalid"})
    )
    monkeypatch.setenv("GOOGLE_BASE_URL", proxy.endpoint)

    again = ArtifactStore(ArtifactObjects(object_place(f"gs://{bucket}/team/lab")))

    assert again.open(stored.sha256).read() == b"x"

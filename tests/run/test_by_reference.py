"""Files that stay where they are: the log has their place, size and digest."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import InvalidInput, UserError
from runlore.engine.runs.files import artifact_of
from runlore.run.run import handle_of
from runlore.storage.artifact_folder import ArtifactFolder
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.held_path import hold

CONTENT = b"weights" * 400_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    ws = Workspace.create("lab", path=tmp_path / "lab")
    return Experiment(ws, "exp").start_logging(snapshot_directory=None, outputs=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "a model.pt"
    path.write_bytes(CONTENT)
    return path


def kept(run: Run, name: str) -> tuple[str | None, int | None, str | None]:
    artifact = artifact_of(handle_of(run), name)
    return artifact.uri, artifact.nbytes, artifact.sha256


def test_a_file_that_is_not_copied_stays_where_it_is(run: Run, model: Path) -> None:
    run.upload_file("outputs/model.pt", model, copy=False)

    assert kept(run, "outputs/model.pt") == (model.as_uri(), len(CONTENT), SHA256)
    with pytest.raises(UserError, match="fetch_reference"):
        run.download_file("outputs/model.pt", model.parent / "back")
    run.fetch_reference("outputs/model.pt", model.parent / "back", allow=[model.parent])
    assert (model.parent / "back").read_bytes() == CONTENT


def test_the_link_of_a_user_is_followed_once_for_all(run: Run, model: Path) -> None:
    link = model.parent / "latest"
    link.symlink_to(model)

    run.upload_file("latest", link, copy=False)

    assert kept(run, "latest")[0] == model.as_uri()


def test_a_stream_or_nothing_cannot_be_referred_to(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a stream is nowhere"):
        run.upload_file("x", io.BytesIO(b"x"), copy=False)
    with pytest.raises(UserError, match="no file"):
        run.upload_file("x", tmp_path / "none", copy=False)


def test_an_artifact_has_a_digest_where_it_can_be_read(run: Run, model: Path) -> None:
    run.log_artifact(model.as_uri())
    run.log_artifact("file:///no/such/file", "gone")
    run.log_artifact("https://data.example.org/a/train.csv?v=2")

    assert kept(run, "a model.pt") == (model.as_uri(), len(CONTENT), SHA256)
    assert kept(run, "gone") == ("file:///no/such/file", None, None)
    assert kept(run, "train.csv")[1:] == (None, None)


def test_a_path_is_not_a_uri(run: Run, model: Path) -> None:
    with pytest.raises(UserError, match=r"upload_file\(name, path, copy=False\)"):
        run.log_artifact(str(model))


def test_a_uri_with_a_password_is_refused(run: Run) -> None:
    with pytest.raises(InvalidInput) as caught:
        run.log_artifact("s3://ann:sekrit@lab/x", "x")
    assert "sekrit" not in str(caught.value)


def test_a_kept_file_does_not_change_with_its_source(tmp_path: Path, model: Path) -> None:
    # Whether the file system has reflinks or not.
    store = ArtifactStore(ArtifactFolder(hold(tmp_path) / "store"))
    stored = store.put_path(model)
    with model.open("r+b") as file:
        file.write(b"CHANGED")

    assert (stored.sha256, stored.nbytes) == (SHA256, len(CONTENT))
    assert b"".join(store.verified_chunks(SHA256)) == CONTENT


def test_an_artifact_of_another_store_is_linked_not_copied(tmp_path: Path, model: Path) -> None:
    first = ArtifactStore(ArtifactFolder(hold(tmp_path) / "first"))
    second = ArtifactStore(ArtifactFolder(hold(tmp_path) / "second"))
    first.put_path(model)

    second.take(SHA256, first)
    second.take(SHA256, first)

    paths = [store.path(SHA256) for store in (first, second)]
    assert all(path is not None for path in paths)
    assert os.path.samefile(*[path for path in paths if path is not None])

"""The copies of small files of object stores: checked, bounded, and never needed."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from runlore.storage.artifact_backend import ArtifactCorrupt
from runlore.storage.artifact_cache import FILE_MAX_NBYTES, LIMIT_VARIABLE, ArtifactCache

NBYTES = 100


class Store:
    """A store that counts how often it is asked for which file."""

    def __init__(self, *contents: bytes) -> None:
        self.files = {hashlib.sha256(content).hexdigest(): content for content in contents}
        self.names = list(self.files)
        self.asked: list[str] = []

    def fetch(self, name: str) -> BinaryIO:
        self.asked.append(name)
        return io.BytesIO(self.files[name])


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("RUNLORE_CACHE_DIR", raising=False)
    return tmp_path


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_small_file_is_fetched_once(cached: Path) -> None:
    store = Store(b"a")
    for _ in range(3):
        assert ArtifactCache("s3://b").open(store.names[0], store.fetch).read() == b"a"
    assert store.asked == store.names


def test_what_was_used_least_recently_goes_first(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(*(bytes([number]) * NBYTES for number in range(5)))
    first, second, third, fourth, _ = store.names
    monkeypatch.setenv(LIMIT_VARIABLE, str(3 * NBYTES))
    cache = ArtifactCache("s3://b")
    for age, name in enumerate((first, second, third)):
        cache.open(name, store.fetch)
        [path] = [one for one in files_in(cached) if one.name == name]
        os.utime(path, (age, age))
    cache.open(first, store.fetch)  # Now it was used last.
    cache.open(fourth, store.fetch)

    assert {path.name for path in files_in(cached)} == {first, third, fourth}
    assert store.asked == [first, second, third, fourth]


def test_what_others_have_kept_counts(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(*(bytes([number]) * NBYTES for number in range(6)))
    for name in store.names[:5]:
        ArtifactCache("s3://b").open(name, store.fetch)
    monkeypatch.setenv(LIMIT_VARIABLE, str(2 * NBYTES))

    ArtifactCache("s3://other").open(store.names[5], store.fetch)

    assert sum(path.stat().st_size for path in files_in(cached)) <= 2 * NBYTES


def test_a_changed_copy_is_fetched_again(cached: Path) -> None:
    store = Store(b"right")
    cache = ArtifactCache("s3://b")
    cache.open(store.names[0], store.fetch)
    [path] = files_in(cached)
    path.chmod(0o600)
    path.write_bytes(b"wrong")

    assert cache.open(store.names[0], store.fetch).read() == b"right"


def test_a_store_that_sends_other_bytes_is_told(cached: Path) -> None:
    store = Store(b"right")
    store.files[store.names[0]] = b"wrong"
    with pytest.raises(ArtifactCorrupt, match="hash to"):
        ArtifactCache("s3://b").open(store.names[0], store.fetch)
    assert files_in(cached) == []


def test_a_large_file_is_not_kept(cached: Path) -> None:
    store = Store(bytes(FILE_MAX_NBYTES + 1))
    assert len(ArtifactCache("s3://b").open(store.names[0], store.fetch).read()) > FILE_MAX_NBYTES
    assert files_in(cached) == []


def test_without_room_nothing_is_kept(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    store = Store(b"a")
    assert ArtifactCache("s3://b").open(store.names[0], store.fetch).read() == b"a"
    assert files_in(cached) == []

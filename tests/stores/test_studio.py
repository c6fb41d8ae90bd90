"""The Studio of a workspace whose files are in an object store."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from tests.stores.faulty_proxy import Fault, FaultyProxy
from tests.studio.asking import Served, served

pytestmark = pytest.mark.processes  # moto's server

TEXT = "".join(f"line {number}\n" for number in range(2_000))


@pytest.fixture
def studio(tmp_path: Path, bucket: str) -> Iterator[Served]:
    """A run `one` with a picture, a log of many lines, and a file that was pruned."""
    with Workspace.create("lab", path=tmp_path / "lab", artifacts=f"s3://{bucket}/lab") as ws:
        run = Experiment(ws, "exp").start_logging(
            run_id="one", snapshot_directory=None, outputs=False
        )
        for name, content in {
            "plots/a.png": b"\x89PNG\r\n\x1a\n",
            "logs/a.txt": TEXT.encode(),
            "old.pt": b"weights",
        }.items():
            (tmp_path / "x").write_bytes(content)
            run.upload_file(name, tmp_path / "x")
        run.complete()
        ws.prune_files("old.pt", keep_last=0, dry_run=False, reason="the disk is full")
        with served(ws) as found:
            yield found


def test_files_are_shown_and_downloaded(studio: Served) -> None:
    ask = studio.client.get

    assert ask("/api/runs/one/files/plots/a.png").content == b"\x89PNG\r\n\x1a\n"
    assert ask("/api/runs/one/text/logs/a.txt").json()["text"].startswith("line 0\nline 1\n")
    packed = zipfile.ZipFile(io.BytesIO(ask("/api/runs/one/files.zip").content))
    assert packed.read("logs/a.txt") == TEXT.encode()
    assert "old.pt" not in packed.namelist()


def test_logs_are_shown_and_searched(studio: Served) -> None:
    part = studio.client.get("/api/runs/one/logs/logs/a.txt?tail=100").json()
    found = studio.client.get("/api/runs/one/log-search/logs/a.txt?text=line 1999").json()

    assert part["text"].endswith("line 1999\n")
    assert found["total"] == 1


def test_a_pruned_file_says_who_and_why(studio: Served) -> None:
    answer = studio.client.get("/api/runs/one/files/old.pt")

    assert answer.status_code == 410
    assert "the disk is full" in answer.text


def test_a_store_that_is_away_is_an_answer(
    studio: Served, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNLORE_ARTIFACT_CACHE_LIMIT", "0")
    proxy.spoil(Fault(status=403))

    answer = studio.client.get("/api/runs/one/files/plots/a.png")

    assert answer.status_code == 503
    assert "credentials" in answer.text

"""Small files into an object store: 1,000 uploads of 4 KiB, beside the bare library.

The server is moto's, in a process of its own on loopback; it takes most of the time, so each part
is also given as processor time of this process. `python -m benchmarks artifacts`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import obstore
from obstore.store import S3Store

from benchmarks.harness import Result, at_most_times, scratch, sized
from benchmarks.s3_server import make_bucket, s3_server
from runlore import Experiment, Workspace
from runlore.storage.artifacts import ArtifactStore
from runlore.workspace import session_of

_NBYTES = 4096


def run() -> Iterator[Result]:
    """Uploads by the store, by a run, and by the library, taking turns."""
    count, rounds = sized(1_000), sized(3, 1)
    bare: list[tuple[float, float]] = []
    stored: list[tuple[float, float]] = []
    kept: list[tuple[float, float]] = []
    with s3_server() as port, _environment(port), scratch() as folder:
        make_bucket(port, "bench")
        library = S3Store("bench", prefix="bare", client_options={"allow_http": True})
        with Workspace.create("bench", path=folder / "ws", artifacts="s3://bench/ours") as ws:
            one = Experiment(ws, "files").start_logging(snapshot_directory=None, outputs=False)
            store = session_of(ws).artifacts_of(one.id)
            for turn in range(rounds):
                files = _made(folder, turn, count)
                bare.append(_timed(partial(_put_all, library, files)))
                stored.append(_timed(partial(_store_all, store, files)))
                files = _made(folder, turn, count)  # Other content: this is not known yet.
                names = [path.name for path in files]
                kept.append(_timed(partial(one.upload_files, names, files)))
            one.complete()
    for what, ours in (("the store", stored), ("run.upload_files, in one commit", kept)):
        for place, kind in enumerate(("wall", "processor time of this process")):
            yield Result(
                f"{count:,} uploads of 4 KiB by {what}, {kind}",
                median(turn[place] for turn in ours),
                median(turn[place] for turn in bare),
                "obstore.put, if absent",
                "s",
                rounds,
                (at_most_times(1.3),) if kind == "wall" else (),
            )


def _made(folder: Path, turn: int, count: int) -> list[Path]:
    files = [folder / f"{turn}-{number}" for number in range(count)]
    for path in files:
        path.write_bytes(os.urandom(_NBYTES))
    return files


def _put_all(library: S3Store, files: list[Path]) -> None:
    for path in files:
        with path.open("rb") as file:
            obstore.put(library, path.name, file.read(), mode="create")


def _store_all(store: ArtifactStore, files: list[Path]) -> None:
    for path in files:
        store.put_path(path)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


@contextmanager
def _environment(port: int) -> Iterator[None]:
    mine = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in mine}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

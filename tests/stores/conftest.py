"""A server of S3 from moto, in a process of its own, and a proxy that spoils its answers."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from tests.stores.faulty_proxy import FaultyProxy, faulty_proxy

SECRET: Final = "sekrit-sekrit"  # noqa: S105  (of no store)
_START_MAX_S: Final = 60.0
_bucket_numbers: Final = count()


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def proxy(s3_port: int) -> Iterator[FaultyProxy]:
    """What the store's address leads to."""
    with faulty_proxy("127.0.0.1", s3_port) as proxy:
        yield proxy


@pytest.fixture
def bucket(
    s3_port: int, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: object
) -> str:
    """A new bucket, with the credentials for it in the environment."""
    name = f"lab-{next(_bucket_numbers)}"
    urlopen(Request(f"http://127.0.0.1:{s3_port}/{name}", method="PUT")).close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("RUNLORE_STORE_TIMEOUT_S", "20")
    return name


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_MAX_S
    while True:
        try:
            urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
        except (URLError, ConnectionError, TimeoutError):
            assert server.poll() is None, "moto has ended"
            assert time.monotonic() < end, "moto does not answer"
            time.sleep(0.05)
        else:
            return

"""A server of S3 from moto, in a process of its own on loopback: for tests and benchmarks."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.error import URLError
from urllib.request import Request, urlopen

_START_MAX_S: Final = 60.0


@contextmanager
def s3_server() -> Iterator[int]:
    """The server's port, within the block."""
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


def make_bucket(port: int, name: str) -> None:
    """Make a bucket, for which any credentials will do."""
    urlopen(Request(f"http://127.0.0.1:{port}/{name}", method="PUT")).close()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_MAX_S
    while True:
        try:
            urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
        except (URLError, ConnectionError, TimeoutError):
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError("moto's server does not answer") from None
            time.sleep(0.05)
        else:
            return

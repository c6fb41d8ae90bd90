"""A server of S3 from moto, in a process of its own, and a proxy that spoils its answers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

import pytest

from benchmarks.s3_server import make_bucket, s3_server
from tests.stores.faulty_proxy import FaultyProxy, faulty_proxy

SECRET: Final = "sekrit-sekrit"  # noqa: S105  (of no store)
_bucket_numbers: Final = count()


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture
def proxy(s3_port: int) -> Iterator[FaultyProxy]:
    """What the store's address leads to."""
    with faulty_proxy("127.0.0.1", s3_port) as proxy:
        yield proxy


@pytest.fixture
def bucket(s3_port: int, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, with the credentials for it in the environment."""
    name = (
        f"lab{next(_bucket_numbers)}"  # Google's side encodes a hyphen, which moto does not decode.
    )
    make_bucket(s3_port, name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("RUNLORE_STORE_TIMEOUT_S", "20")
    return name

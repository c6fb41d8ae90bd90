"""A Studio that is served in a thread of the test, and ways to ask it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from runlore import Workspace
from runlore.studio.server import Serving, StudioServer
from tests.processes import LIMIT_S, wait_until


@dataclass(frozen=True)
class Served:
    """A Studio at an address, and a client that asks it as a script does."""

    server: StudioServer
    client: httpx.Client
    thread: threading.Thread

    @property
    def origin(self) -> str:
        """The beginning of its addresses."""
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def host(self) -> str:
        """The value of the header Host that leads to it."""
        return f"127.0.0.1:{self.server.port}"

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of an answer that must be good."""
        answer = self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def problem(self, path: str, **params: Any) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of an answer that must be a problem."""
        return as_problem(self.client.get(path, params=params))

    def send(self, method: str, path: str, content: object = None, **headers: str) -> Any:
        """The answer to a change, as a page of this Studio sends it."""
        told = {"Origin": self.origin, "Content-Type": "application/json"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, path, content=json.dumps(content), headers=told)

    def raw(self, request: bytes) -> bytes:
        """What comes back for bytes that no client would send."""
        with socket.create_connection(("127.0.0.1", self.server.port), LIMIT_S) as peer:
            peer.sendall(request)
            found = b""
            while piece := peer.recv(65_536):
                found += piece
        return found

    def status_of(self, target: str) -> int:
        """The status of the answer to a GET whose target is sent as it is."""
        return status_in(
            self.raw(
                f"GET {target} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n".encode()
            )
        )


@contextmanager
def served(workspace: Workspace, **options: Any) -> Iterator[Served]:
    """A Studio of the workspace at a free port."""
    server = StudioServer(workspace, Serving(**{"port": 0, **options}))
    thread = threading.Thread(target=server.run, name="studio")
    thread.start()
    address = f"http://127.0.0.1:{server.port}{options.get('base_path', '')}"
    try:
        with httpx.Client(base_url=address, trust_env=False, timeout=LIMIT_S) as client:
            yield Served(server, client, thread)
    finally:
        server.stop()
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def status_in(answer: bytes) -> int:
    """The status of an answer of HTTP."""
    return int(answer.split(b" ", 2)[1])


def as_problem(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    """The status and the content of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    content = answer.json()
    assert content["status"] == answer.status_code
    assert content["title"]
    assert content["detail"]
    return answer.status_code, content


@contextmanager
def listening(studio: Served, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    """The messages of a stream of the feed, as they come; `over` is under that name."""
    with studio.client.stream("GET", "/api/feed", headers=headers) as answer:
        assert answer.status_code == 200
        yield _messages(answer)


def _messages(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    event = ""
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            yield {event: json.loads(value)} if event else json.loads(value)
            event = ""


__all__ = ["as_problem", "listening", "served", "status_in", "wait_until"]

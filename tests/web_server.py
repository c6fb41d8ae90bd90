"""A real web server on loopback that answers as a test tells it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.processes import wait_until

if TYPE_CHECKING:
    from typing import Self

SECRET = "s3cr3t-T0K3N"
Answer = int | Callable[[BaseHTTPRequestHandler], None]
"""A status, or what writes the answer."""


class Server(ThreadingHTTPServer):
    """Answers in turn with `answers`, and then always with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/{SECRET}?key={SECRET}"

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [body for _, _, _, body in self.requests]

    @property
    def titles(self) -> list[str]:
        return [body["title"] for body in self.documents]

    def received(self, count: int) -> None:
        """Wait for this many requests."""
        wait_until(lambda: len(self.requests) >= count, f"{count} requests")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = json.loads(sent) if sent else {}
        answer = self.server.answers.pop(0) if self.server.answers else 200
        self.server.requests.append((self.command, self.path, headers, body))
        if callable(answer):
            answer(self)
        else:
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_GET = do_DELETE = do_POST

    def log_message(self, *_: object) -> None:
        pass


# --- answers ------------------------------------------------------------------------------------


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def never_answers(handler: BaseHTTPRequestHandler) -> None:
    server = handler.server
    assert isinstance(server, Server)
    server.stopping.wait(60)


def drips(handler: BaseHTTPRequestHandler) -> None:
    """A byte at a time, each of which comes in time, and never an end."""
    server = handler.server
    assert isinstance(server, Server)
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not server.stopping.wait(0.05):
        handler.wfile.write(b"x")


def speaks_no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff\x1b[2J garbage\r\n\r\n")
    handler.close_connection = True


def endless_body(handler: BaseHTTPRequestHandler) -> None:
    """200, and then a body without end."""
    server = handler.server
    assert isinstance(server, Server)
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not server.stopping.wait(0.001):
        handler.wfile.write(b"x" * 65_536)


def says(status: int, content: object, content_type: str = "application/json") -> Answer:
    """Content that is a text or bytes as it is, anything else as JSON."""
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    body = text.encode() if isinstance(text, str) else text

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def says_half(status: int, content: object) -> Answer:
    """Announce all of the JSON, send half of it, and hang up."""
    body = json.dumps(content).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2])
        handler.close_connection = True

    return answer


def redirects_to(url: str, status: int = 302) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Location", url)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def busy(retry_after: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(429)
        handler.send_header("Retry-After", retry_after)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer

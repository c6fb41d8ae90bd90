"""A server between a program and its object store, which spoils the answers that a test names."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_SECRET_ECHO: Final = (
    "<Error><Code>{code}</Code><Message>refused</Message>"
    "<AWSAccessKeyId>{key}</AWSAccessKeyId><StringToSign>secret-string</StringToSign></Error>"
)
_HOP_BY_HOP: Final = ("connection", "transfer-encoding", "content-length", "date", "server")


@dataclass(frozen=True)
class Fault:
    """What happens to a request: a status, a wait, or half of the answer.

    `half` is "broken" for a connection that ends, "short" for an answer that says it is whole.
    """

    status: int = 0
    code: str = "InternalError"
    wait_s: float = 0.0
    half: str = ""


Choose = Callable[[str, str], Fault | None]
"""From a request's method and path to what happens to it."""


@dataclass
class FaultyProxy:
    """The proxy's address, the requests it saw, and which of them go wrong."""

    endpoint: str = ""
    requests: list[str] = field(default_factory=list)
    _choose: Choose = lambda method, path: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spoil(self, fault: Fault, *, method: str = "", times: int = 10**9) -> None:
        """Let requests of a method, or all, go wrong that many times."""
        left = [times]

        def choose(asked: str, path: str) -> Fault | None:
            if method not in ("", asked) or left[0] <= 0:
                return None
            left[0] -= 1
            return fault

        self._choose = choose

    def heal(self) -> None:
        """Let all requests through."""
        self._choose = lambda method, path: None

    def fault_of(self, method: str, path: str) -> Fault:
        """Note a request; return what happens to it."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            return self._choose(method, path) or Fault()


@contextmanager
def faulty_proxy(host: str, port: int) -> Iterator[FaultyProxy]:
    """A proxy before a server, within the block."""
    proxy = FaultyProxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            nbytes = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(nbytes)
            fault = proxy.fault_of(self.command, self.path)
            time.sleep(fault.wait_s)
            if fault.status:
                self._refuse(fault)
                return
            with closing(http.client.HTTPConnection(host, port, timeout=30)) as upstream:
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                content = answer.read()
            self._send(answer, content, fault)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815  (the library's)

        def _refuse(self, fault: Fault) -> None:
            key = self.headers.get("Authorization", "")
            content = _SECRET_ECHO.format(code=fault.code, key=key).encode()
            self.send_response(fault.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _send(self, answer: http.client.HTTPResponse, content: bytes, fault: Fault) -> None:
            if fault.half == "broken" and not content:
                self.close_connection = True
                return
            half = content[: len(content) // 2] if fault.half else content
            declared = half if fault.half == "short" else content
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(declared)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(half)
            if fault.half == "broken":
                self.close_connection = True
                self.connection.close()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: clients that give up are what is tested."""

    server = Server(("127.0.0.1", 0), Handler)
    proxy.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

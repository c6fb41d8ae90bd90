"""A stub of the Kubernetes API: it is not Kubernetes, and shows nothing about a real cluster.

It keeps Secrets, and executes each Job's command as a process of this machine, with the variables
of its Secret and no others. That is enough to see what a kind of target asks for, and that runs
which are placed by it keep the contract.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_GRACE_S = 5.0


class Stub:
    """The stub's Jobs and Secrets by name, and the processes that execute the jobs."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.refused: set[str] = set()  # Kinds of objects that this user may not make.
        self.lock = threading.Lock()

    def post(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Make an object; a Job starts as soon as its Secret is there."""
        name = content["metadata"]["name"]
        content["metadata"]["uid"] = f"uid-{name}"
        with self.lock:
            (self.jobs if kind == "jobs" else self.secrets)[name] = content
            if name in self.jobs and name in self.secrets:
                self._start(name)
        return content

    def get(self, name: str) -> dict[str, Any] | None:
        """A Job with its status; None if there is none."""
        with self.lock:
            if name not in self.jobs:
                return None
            process = self.processes.get(name)
            status: dict[str, Any] = {}
            if process is not None and process.poll() is None:
                status = {"ready": 1}
            elif process is not None:
                how = "Failed" if process.returncode else "Complete"
                message = f"exit code {process.returncode}"
                status = {"conditions": [{"type": how, "status": "True", "message": message}]}
            return {**self.jobs[name], "status": status}

    def delete(self, name: str) -> bool:
        """Delete a Job with its Secret, and end its process: TERM, then KILL."""
        with self.lock:
            known = self.jobs.pop(name, None) is not None
            self.secrets.pop(name, None)
            process = self.processes.get(name)
        if process is not None:
            process.terminate()
            threading.Thread(target=_kill_later, args=[process], daemon=True).start()
        return known

    def close(self) -> None:
        """End what still executes."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
            process.kill()
            process.wait()

    def _start(self, name: str) -> None:
        [container] = self.jobs[name]["spec"]["template"]["spec"]["containers"]
        given = {one["name"]: one["value"] for one in container["env"]}
        self.processes[name] = subprocess.Popen(
            container["command"],
            env={**self.secrets[name]["stringData"], **given},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if os.environ.get("RUNLORE_TEST_STUB_OUTPUT") else subprocess.DEVNULL,
            start_new_session=True,
        )


def _kill_later(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    process.kill()


@contextmanager
def running_stub() -> Iterator[tuple[Stub, str]]:
    """A stub that listens on loopback, and its address."""
    stub = Stub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": stub}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield stub, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        stub.close()


class _Handler(BaseHTTPRequestHandler):
    stub: Stub

    def do_POST(self) -> None:
        kind = self.path.rpartition("/")[2]
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if kind in self.stub.refused:
            self._answer(403, {"kind": "Status", "message": f"{kind} is forbidden: no right"})
        else:
            self._answer(201, self.stub.post(kind, content))

    def do_GET(self) -> None:
        found = self.stub.get(self.path.rpartition("/")[2])
        self._answer(404 if found is None else 200, found or {"kind": "Status", "code": 404})

    def do_DELETE(self) -> None:
        known = self.stub.delete(self.path.rpartition("/")[2].partition("?")[0])
        self._answer(200 if known else 404, {"kind": "Status"})

    def _answer(self, code: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Server", "runlore's stub of the Kubernetes API")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Tests need no log of requests."""

"""A real Ray head on loopback, for tests and benchmarks: nothing of it is left when it stops.

Ray comes from an environment of its own (`make test-ray` makes it), whose `ray` is named by
RUNLORE_RAY: it has 60 packages, and runlore needs none of them.

    python -m tests.ray.head COMMAND...    runs the command beside one, at RAY_API_SERVER_ADDRESS
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil

from runlore.testing.submitted import without_ours
from runlore.testing.waiting import wait_until

VARIABLE: Final = "RUNLORE_RAY"
"""Names the program `ray`; tests of Ray are collected only where it is set."""
_MARK: Final = "RUNLORE_TEST_RAY_HEAD"
_FIRST_PORT: Final = 20_000
_LAST_PORT: Final = 32_000  # Below the ports that the kernel gives away.
_OF_THE_HEAD: Final = ("port", "dashboard-port", "ray-client-server-port")
_OF_A_NODE: Final = (
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "runtime-env-agent-port",
    "metrics-export-port",
    "object-manager-port",
    "node-manager-port",
)
_WORKERS: Final = 100
_PORTS_OF_A_NODE: Final = len(_OF_A_NODE) + _WORKERS
# Ray listens on loopback only where it takes itself to be on a laptop, and there it refuses more
# than one node. This is `ray start` without that one refusal.
_START_NODE: Final = """
import types
from ray._private import ray_constants
from ray.scripts import scripts
scripts.ray_constants = types.SimpleNamespace(**{**vars(ray_constants), "ENABLE_RAY_CLUSTER": True})
scripts.main()
"""
_START_MAX_S: Final = 120.0
_ATTEMPTS: Final = 3


class Head:
    """A cluster of one node, with `cpus` logical CPUs, to which more can be added."""

    def __init__(self, cpus: int = 4) -> None:
        self._cpus = cpus
        self._mark = secrets.token_hex(8)
        self._sessions: list[int] = []
        first = _free_ports(len(_OF_THE_HEAD) + 2 + 2 * _PORTS_OF_A_NODE)
        self._ports = {name: first + number for number, name in enumerate(_OF_THE_HEAD)}
        self._metrics = first + len(_OF_THE_HEAD)
        self._first_of_nodes = self._metrics + 2
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))  # Short: sockets lie in it.
        self.address = f"http://127.0.0.1:{self._ports['dashboard-port']}"

    def start(self) -> None:
        """Start it, and wait until it takes jobs. Raises if it ends, or takes too long."""
        words = [
            *(os.environ[VARIABLE], "start", "--head", "--dashboard-host=127.0.0.1"),
            *(f"--{name}={port}" for name, port in self._ports.items()),
            f"--temp-dir={self.folder}",
        ]
        self._start(words, self._cpus, self._first_of_nodes)
        wait_until(lambda: self._nodes() == 1, "the Ray head to take jobs", limit_s=_START_MAX_S)

    def add_node(self, resource: str) -> None:
        """Add a second node, which has one of a resource that the first lacks."""
        words = [
            *(str(Path(os.environ[VARIABLE]).with_name("python")), "-c", _START_NODE, "start"),
            f"--address=127.0.0.1:{self._ports['port']}",
            f"--resources={json.dumps({resource: 1})}",
        ]
        self._start(words, 1, self._first_of_nodes + _PORTS_OF_A_NODE)
        wait_until(lambda: self._nodes() == 2, "the node to join", limit_s=_START_MAX_S)

    def _start(self, words: list[str], cpus: int, first: int) -> None:
        workers = first + len(_OF_A_NODE)
        words = [
            *(*words, "--disable-usage-stats", "--node-ip-address=127.0.0.1"),
            *(f"--num-cpus={cpus}", "--object-store-memory=100000000"),
            *(f"--{name}={first + number}" for number, name in enumerate(_OF_A_NODE)),
            *(f"--min-worker-port={workers}", f"--max-worker-port={workers + _WORKERS - 1}"),
        ]
        environment = {
            **without_ours(),
            _MARK: self._mark,
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "AUTOSCALER_METRIC_PORT": str(self._metrics),
            "DASHBOARD_METRIC_PORT": str(self._metrics + 1),
            "RAY_JOB_STOP_WAIT_TIME_S": "3",
        }
        for _ in range(_ATTEMPTS):  # On a busy machine Ray loses patience with itself, after 30 s.
            with (self.folder / "ray.log").open("ab") as log:
                starter = subprocess.Popen(
                    words, stdout=log, stderr=log, env=environment, start_new_session=True
                )
            self._sessions.append(starter.pid)  # Its processes stay in it when it has ended.
            if starter.wait(_START_MAX_S) == 0:
                return
            self._kill(session=starter.pid)
            self._sessions.remove(starter.pid)
        raise RuntimeError(f"Ray ended: {(self.folder / 'ray.log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Kill all of its processes, jobs included."""
        self._kill()
        self._sessions.clear()

    def close(self) -> None:
        """Stop it, and remove its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """All of its living processes."""
        return [one for one in psutil.process_iter() if self._is_ours(one)]

    def kill_node(self, number: int) -> None:
        """Let a node die: the first is the head's own, whose dashboard goes on."""
        for process in self.processes():
            with suppress(psutil.Error, OSError):
                if process.name() == "raylet" and os.getsid(process.pid) == self._sessions[number]:
                    process.send_signal(signal.SIGKILL)

    def kill_dashboard(self) -> None:
        """Let nobody answer, while all jobs go on."""
        for process in self.processes():
            with suppress(psutil.Error):
                if process.name().startswith("ray-dashboard") or any(
                    word.endswith("/dashboard/dashboard.py") for word in process.cmdline()
                ):
                    process.kill()

    def ask(self, path: str) -> Any:
        """What the dashboard answers, without any client of ours."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=30) as answer:
            return json.load(answer)

    def text(self, path: str) -> str:
        """The same, as a text."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def stop_job(self, submission_id: str) -> None:
        """Stop a job as `ray job stop` does."""
        where = f"{self.address}/api/jobs/{submission_id}/stop"
        urllib.request.urlopen(urllib.request.Request(where, method="POST"), timeout=30).close()

    def _kill(self, session: int | None = None) -> None:
        """Kill its processes, or those of one session of it."""
        while found := [one for one in self.processes() if _is_in(session, one)]:
            for process in found:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(found, timeout=10)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # Ray writes some processes' titles over their environment, but these make no session.
            is_in_session = os.getsid(process.pid) in self._sessions
            return is_in_session or bool(process.environ().get(_MARK) == self._mark)
        except (psutil.Error, OSError):  # It has just ended, or is another user's.
            return False

    def _nodes(self) -> int:
        """The number of its living nodes; 0 if it does not answer."""
        try:
            nodes = self.ask("/nodes?view=summary")["data"]["summary"]
            return sum(node["raylet"].get("state") == "ALIVE" for node in nodes)
        except (OSError, KeyError, ValueError):
            return 0


def _is_in(session: int | None, process: psutil.Process) -> bool:
    try:
        return session is None or os.getsid(process.pid) == session
    except OSError:  # It has just ended.
        return False


@contextmanager
def running_head(cpus: int = 4) -> Iterator[Head]:
    """A new head, stopped and removed after the block."""
    head = Head(cpus)
    try:
        head.start()
        yield head
    finally:
        head.close()


def _free_ports(count: int) -> int:
    """The first of so many consecutive ports that nobody listens on."""
    begin = _FIRST_PORT + (os.getpid() * 251) % (_LAST_PORT - _FIRST_PORT - count)
    places: list[int] = [
        *range(begin, _LAST_PORT - count, count),
        *range(_FIRST_PORT, begin, count),
    ]
    for first in places:
        if all(map(_is_free, range(first, first + count))):
            return first
    raise RuntimeError(f"no {count} free ports from {_FIRST_PORT} to {_LAST_PORT}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def main(command: list[str]) -> int:
    """Run a command beside a new head. Returns its exit code."""
    with running_head() as head:
        environment = {**os.environ, "RAY_API_SERVER_ADDRESS": head.address}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

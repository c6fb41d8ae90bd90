"""The HTTP API of a cluster, against a web server that answers as a test tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.engines.engine import EngineUnavailable
from runlore.execution.targets.engines.http_api import HttpApi, dns_label, token_in
from tests.web_server import SECRET, Answer, Server, hangs_up, redirects_to, says


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def api(server: Server) -> HttpApi:
    return HttpApi(f"http://127.0.0.1:{server.server_port}/cluster/", token=lambda: SECRET)


def test_a_document_is_asked_for_with_the_token_and_by_quoted_names(
    server: Server, api: HttpApi
) -> None:
    server.answers = [says(200, {"kind": "Job"}), says(404, {"kind": "Status"})]

    assert api.get("v1/jobs", "a/../b?c=d") == {"kind": "Job"}
    assert api.get("v1/jobs", "b") is None

    (method, path, headers, _), _ = server.requests
    assert (method, path) == ("GET", "/cluster/v1/jobs/a%2F..%2Fb%3Fc%3Dd")
    assert headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_leads_elsewhere_is_refused(name: str, server: Server, api: HttpApi) -> None:
    with pytest.raises(ComputeTargetException, match="not the name of an object"):
        api.delete("v1/jobs", name)
    assert server.requests == []


def test_what_is_posted_is_json_and_what_is_deleted_may_be_gone(
    server: Server, api: HttpApi
) -> None:
    server.answers = [says(201, {"uid": "7"}), says(404, {"kind": "Status"})]

    assert api.post("v1/jobs", {"name": "é"}) == {"uid": "7"}
    api.delete("v1/jobs", "a", query="policy=Foreground")

    posted, deleted = server.requests
    assert posted[3] == {"name": "é"}
    assert deleted[:2] == ("DELETE", "/cluster/v1/jobs/a?policy=Foreground")


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (says(403, {"kind": "Status", "message": "no\x1b[2J right"}), ComputeTargetException, "no"),
        (says(404, {"kind": "Status"}), ComputeTargetException, "404"),
        (says(409, {"message": "exists"}), ComputeTargetException, "409: exists"),
        (says(429, "slow down"), EngineUnavailable, "slow down"),
        (says(503, "away"), EngineUnavailable, "503: away"),
        (says(200, "<html>a login page</html>"), EngineUnavailable, "a login page"),
        (says(200, []), EngineUnavailable, "200"),
        (redirects_to("http://127.0.0.1:9/"), EngineUnavailable, "302"),
        (hangs_up, EngineUnavailable, "cannot be asked"),
    ],
    ids=["403", "404", "409", "429", "503", "html", "list", "redirect", "hangs-up"],
)
def test_a_refusal_is_told_apart_from_no_answer(
    answer: Answer, error: type[Exception], said: str, server: Server, api: HttpApi
) -> None:
    server.answers = [answer]

    with pytest.raises(ComputeTargetException, match=said) as raised:
        api.post("v1/jobs", {})

    assert type(raised.value) is error
    assert SECRET not in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert len(server.requests) == 1


def test_a_token_follows_no_redirect(server: Server, api: HttpApi) -> None:
    with Server() as other:
        server.answers = [redirects_to(f"http://127.0.0.1:{other.server_port}/")]
        with pytest.raises(EngineUnavailable):
            api.get("v1/jobs", "a")
        assert other.requests == []


def test_a_token_is_read_anew_from_its_file(tmp_path: Path, server: Server) -> None:
    file = tmp_path / "token"
    api = HttpApi(f"http://127.0.0.1:{server.server_port}", token=token_in(file))
    with pytest.raises(ComputeTargetException, match="cannot read the token"):
        api.get("v1")
    server.answers = [says(200, {"a": 1})] * 3
    for token in ("first\n", "second", "no token\nbut lines"):
        file.write_text(token)
        api.get("v1")

    sent = [headers.get("authorization") for _, _, headers, _ in server.requests]
    assert sent == ["Bearer first", "Bearer second", None]


def test_labels_are_short_and_different() -> None:
    names = [f"runlore-{'r' * 250}{end}" for end in ("-1", "_1", "-2")] + ["", "Ä", "a-b", "a_b"]

    labels = list(map(dns_label, names))

    assert len(set(labels)) == len(names)
    for label in labels:
        assert len(label) <= 63
        assert label.strip("-") == label
        assert label.replace("-", "").isalnum()
        assert label == label.lower()
        assert label.isascii()

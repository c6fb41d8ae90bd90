"""Files and logs of runs leave the Studio as data: nothing is executed, nothing is fetched."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from runlore import Experiment, Run, Workspace
from runlore.run.run import handle_of
from runlore.studio import log_parts
from runlore.studio.log_parts import log_part
from tests.studio.asking import Served, as_problem, served
from tests.studio.conftest import Filled
from tests.workspaces import start

FILES: dict[str, tuple[str, bytes]] = {
    "picture": ("plots/picture.png", b"\x89PNG"),
    "jpeg": ("a.JPG", b"\xff\xd8"),
    "page": ("index.html", b"<script>alert(1)</script>"),
    "xhtml": ("index.xhtml", b"<html/>"),
    "drawing": ("drawing.svg", b"<svg onload='alert(1)'/>"),
    "packed": ("drawing.svgz", b"\x1f\x8b"),
    "packed-text": ("notes.txt.gz", b"\x1f\x8b"),
    "text": ("notes.txt", b"<script>alert(1)</script>"),
    "table": ("a.csv", b"=cmd|' /C calc'!A0"),
    "script": ("main.js", b"alert(1)"),
    "styles": ("a.css", b"*{}"),
    "xml": ("a.xml", b"<a/>"),
    "pdf": ("a.pdf", b"%PDF"),
    "none": ("README", b"text"),
    "address": ("data:text/html,<script>alert(1)", b"x"),
    "quotes": ('a";filename="x.html', b"x"),
    "utf-8": ("日本/ñ €.png", b"x"),
    "percent": ("50%2f..%00.png", b"x"),
    "query": ("a?b#c.png", b"x"),
    "empty": ("nothing.bin", b""),
}
SHOWN = {"picture": "image/png", "jpeg": "image/jpeg", "utf-8": "image/png", "percent": "image/png",
         "query": "image/png", "text": "text/plain"}  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Studio of a run with all these files, sealed as an erasable workspace seals them."""
    with Workspace.create("lab", path=tmp_path_factory.mktemp("kept") / "lab",
                          erasable=True) as ws:  # fmt: skip
        run = start(Experiment(ws, "e"), run_id="r")
        for name, content in FILES.values():
            run.upload_file(name, io.BytesIO(content))
        run.complete()
        with served(ws) as found:
            yield found


@pytest.mark.parametrize("case", FILES)
def test_a_file_is_saved_and_never_executed(kept: Served, case: str) -> None:
    name, content = FILES[case]

    answer = kept.client.get(f"/api/runs/r/files/{quote(name, safe='/')}")

    assert answer.status_code == 200
    assert answer.content == content
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind == SHOWN.get(case, "application/octet-stream")
    told = answer.headers["content-disposition"]
    assert told == f"attachment; filename*=UTF-8''{quote(name.rpartition('/')[2], safe='')}"
    assert answer.headers.get_list("content-security-policy") == ["sandbox; default-src 'none'"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "content-encoding" not in answer.headers


def test_all_files_are_listed_with_their_size_and_digest(kept: Served) -> None:
    found = {one["name"]: one for one in kept.get("/api/runs/r/files")["files"]}

    assert found.keys() == {name for name, _ in FILES.values()}
    for name, content in FILES.values():
        assert found[name]["nbytes"] == len(content)
        assert found[name]["uri"] is None
        assert len(found[name]["sha256"]) == 64


@pytest.mark.parametrize("case", ["page", "drawing", "picture", "text"])
def test_a_preview_is_text_within_json(kept: Served, case: str) -> None:
    name, content = FILES[case]

    answer = kept.client.get(f"/api/runs/r/text/{quote(name)}")

    assert answer.headers["content-type"] == "application/json"
    assert b"<" not in answer.content
    assert answer.json() == {"text": content.decode("utf-8", "replace"), "is_whole": True}


def test_a_preview_of_markdown_says_what_it_says(studio: Served, filled: Filled) -> None:
    run = filled.ws.get_run("odd")
    file = Path(str(filled.ws.path)).parent / "notes"
    file.write_text("*so* <b>")
    run.upload_file("NOTES.MD", file)

    found = studio.get("/api/runs/odd/text/NOTES.MD")
    assert found["text"] == "*so* <b>"
    em = {"tag": "em", "children": ["so"]}
    assert found["markdown"] == [{"tag": "p", "children": [em, " <b>"]}]


def test_a_preview_of_a_large_file_is_its_beginning(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab", show_output=False) as ws:
        run = start(Experiment(ws, "e"), run_id="r")
        content = b"0123456789" * 250_000
        run.upload_file("large.txt", io.BytesIO(content))
        with served(ws) as found:
            shown = found.get("/api/runs/r/text/large.txt")
            whole = found.client.get("/api/runs/r/files/large.txt").content

    assert shown == {"text": content[:1_000_000].decode(), "is_whole": False}
    assert whole == content


def test_a_file_as_of_before_it_was_kept_is_not_there(studio: Served, filled: Filled) -> None:
    assert studio.get("/api/runs/good/files", asof=filled.after_tag) == {"files": []}
    status, _ = studio.problem("/api/runs/good/files/page.html", asof=filled.after_tag)
    assert status == 404


def test_a_file_whose_content_is_gone_is_a_problem(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab", show_output=False) as ws:
        run = start(Experiment(ws, "e"), run_id="r")
        run.upload_file("a.txt", io.BytesIO(b"content"))
        for path in (tmp_path / "lab" / "artifacts").rglob("*"):
            if path.is_file():
                path.unlink()
        with served(ws) as found:
            answer = found.client.get("/api/runs/r/files/a.txt")

    assert as_problem(answer)[0] == 404


def test_a_reference_is_an_address_as_text_and_is_never_fetched(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as elsewhere,
        Workspace.create("lab", path=tmp_path / "lab", show_output=False) as ws,
    ):
        secret = tmp_path / "secret.txt"
        secret.write_text("secret")
        run = start(Experiment(ws, "e"), run_id="r")
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/x.png"
        run.add_reference("far.png", address)
        run.add_reference("near.txt", secret.as_uri())
        with served(ws) as found:
            listed = {one["name"]: one for one in found.get("/api/runs/r/files")["files"]}
            asked = [
                found.client.get(f"/api/runs/r/{way}/{name}")
                for way in ("files", "text")
                for name in ("far.png", "near.txt")
            ]
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()

    assert listed["far.png"]["uri"] == address
    assert {as_problem(answer)[0] for answer in asked} == {422}
    assert not any("secret\n" in answer.text for answer in asked)


# --- logs -------------------------------------------------------------------------------------


def test_a_kept_log_is_read_in_parts(studio: Served) -> None:
    whole = "eins\nzwei €\n"
    first = studio.get("/api/runs/good/logs/logs/a/b.txt")
    second = studio.get("/api/runs/good/logs/logs/a/b.txt", **{"from": 5})

    assert (first["text"], first["from"]) == (whole, 0)
    assert first["next"] == second["next"] == len(whole.encode())
    assert second["text"] == whole[5:]
    assert first["is_there"] and first["has_ended"]


@pytest.mark.parametrize("tail", range(1, 6))
def test_the_end_of_a_log_begins_with_a_whole_character(studio: Served, tail: int) -> None:
    found = studio.get("/api/runs/good/logs/logs/a/b.txt", tail=tail)

    assert "\ufffd" not in found["text"]
    assert "zwei €\n".endswith(found["text"])
    assert found["next"] - found["from"] == len(found["text"].encode())


def test_after_the_end_of_a_log_there_is_nothing(studio: Served) -> None:
    found = studio.get("/api/runs/good/logs/logs/a/b.txt", **{"from": 1_000_000})

    assert (found["text"], found["from"], found["next"]) == ("", 14, 14)


def test_an_unknown_log_is_not_there(studio: Served) -> None:
    found = studio.get("/api/runs/good/logs/logs/other.txt")

    assert not found["is_there"]
    assert studio.problem("/api/runs/nobody/logs/x")[0] == 404


class Growing:
    """A log that a script is writing; reading it is what is tested."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(b"")

    def write(self, content: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(content)


@pytest.fixture
def growing(
    filled: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Run, Growing]]:
    """A run that goes on, and a log of it."""
    log = Growing(tmp_path / "log.txt")
    monkeypatch.setattr(log_parts, "log_files", lambda run: {"user_logs/log.txt": log.path})
    monkeypatch.setattr(log_parts, "open_log", lambda run, path: path.open("rb"))
    yield filled.ws.get_run("odd"), log


def test_a_growing_log_is_read_without_a_gap(growing: tuple[Run, Growing]) -> None:
    run, log = growing
    text = "Zeile €\n" * 50
    content = text.encode()
    read, at = "", 0
    for end in range(7, len(content) + 7, 7):  # Cuts characters in two.
        log.write(content[end - 7 : end])
        found = log_part(run, "user_logs/log.txt", at, 100)
        assert found["from"] == at
        assert not found["has_ended"]
        read, at = read + found["text"], found["next"]

    assert read == text
    assert at == len(content)


def test_a_log_that_is_no_text_goes_on(growing: tuple[Run, Growing]) -> None:
    run, log = growing
    log.write(b"\xff\xfe\x00\xe2\x82")
    first = log_part(run, "user_logs/log.txt", 0, 100)
    log.write(b"!")
    second = log_part(run, "user_logs/log.txt", first["next"], 100)

    assert (first["text"], first["next"]) == ("\ufffd\ufffd\x00", 3)
    assert second["text"] == "\ufffd!"


def test_a_log_that_was_shortened_says_where_it_ends(growing: tuple[Run, Growing]) -> None:
    run, log = growing
    log.write(b"0123456789")
    log.path.write_bytes(b"01")

    found = log_part(run, "user_logs/log.txt", 10, 100)

    assert (found["text"], found["from"], found["next"]) == ("", 2, 2)


def test_a_large_log_is_read_a_megabyte_at_a_time(growing: tuple[Run, Growing]) -> None:
    run, log = growing
    log.write(b"x" * 2_500_000)

    parts, at = [], 0
    while (found := log_part(run, "user_logs/log.txt", at, 1))["text"]:
        parts.append(len(found["text"]))
        at = found["next"]

    assert parts == [1_000_000, 1_000_000, 500_000]


def test_the_logs_are_those_of_the_run(filled: Filled, studio: Served) -> None:
    from runlore.engine.runs.logs import log_files

    run = filled.ws.get_run("good")

    assert studio.get("/api/runs/good")["logs"] == sorted(log_files(handle_of(run)))

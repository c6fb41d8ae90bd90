"""References are text: nothing follows them by itself, and nothing leaves the allowed places.

| tried | what happens |
|---|---|
| a reference to a private file, or to a server, in a log that is read in every way | never opened |
| `..`, encoded slashes and dots, doubly encoded ones, `;`, backslashes | ReferenceRefused |
| `/database` where `/data` is allowed, `host.evil.org`, other ports, users | ReferenceRefused |
| links below an allowed folder, pipes, devices, folders | ReferenceNotFetched |
| a server that redirects, never ends, or sends another content | ReferenceNotFetched |
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import ChangeRefusedError, InvalidInput, UserError
from runlore.run.run import handle_of
from runlore.storage.allowed_places import ReferenceRefused, allowed
from runlore.storage.references import ReferenceNotFetched
from tests.workspaces import project as project
from tests.workspaces import seen_again, start

CONTENT = b"rows"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.csv").write_bytes(CONTENT)
    (folder / "with space").write_bytes(b"spaced")
    (tmp_path / "database").mkdir()
    (tmp_path / "database" / "secret").write_bytes(b"secret")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        yield start(Experiment(ws, "e"))


@pytest.mark.parametrize(
    ("reference", "allow"),
    [
        ("/data/a.csv", "/data"),
        ("file:///data/a.csv", "/data/"),
        ("file://localhost/data/a.csv", "file:///data"),
        ("file:///data/with%20space", "/data"),
        ("/data/a.csv", "/data/a.csv"),
        ("/data/a.csv", Path("/")),
        ("https://host/a/b", "https://host"),
        ("https://HOST:443/a/b", "https://host/a/"),
        ("https://host/a/%62", "https://host/a/b"),
        ("http://host:80/a", "http://host"),
        ("https://host/a?x=1", "https://host/a?x=1"),
    ],
)
def test_what_is_below_an_allowed_place_is_allowed(reference: str, allow: str | Path) -> None:
    allowed(reference, [allow])


@pytest.mark.parametrize(
    ("reference", "allow"),
    [
        ("/database/secret", "/data"),
        ("/data", "/data/a"),
        ("/data/../etc/passwd", "/data"),
        ("/data/./a", "/data"),
        ("/data//a", "/data"),
        ("file:///data/../etc/passwd", "/data"),
        ("file:///data/%2e%2e/etc/passwd", "/data"),
        ("file:///data/..%2fetc/passwd", "/data"),
        ("file:///data/a%2f..%2f..%2fetc", "/data"),
        ("file:///data/%252e%252e/etc", "/data"),
        ("file:///data/%00", "/data"),
        ("file:///data/%zz", "/data"),
        ("file:///data\\..\\etc", "/data"),
        ("file:////etc/passwd", "/data"),
        ("file://evil.org/data/a", "/data"),
        ("file:data/a", "/data"),
        ("file:///data/a?b", "/data"),
        ("file:///data/a#b", "/data"),
        ("FILE:///etc/passwd", "/data"),
        ("ftp://host/data/a", "/data"),
        ("s3://bucket/key", "https://bucket"),
        ("s3://bucket/key", "gs://bucket"),
        ("s3://bucket/key", "s3://bucke"),
        ("s3://bucket/ab", "s3://bucket/a"),
        ("s3://bucket/a/../b", "s3://bucket/a"),
        ("s3://bucket/a%2f..%2fb", "s3://bucket/a"),
        ("s3://bucket/a/b?versionId=1", "s3://bucket/a"),
        ("s3://bucket@evil/a", "s3://bucket"),
        ("s3://evil:9000/bucket/a", "s3://bucket"),
        ("s3:///bucket/a", "s3://bucket"),
        ("S3://bucket/a", "s3://bucket"),
        ("https://host.evil.org/a", "https://host"),
        ("https://host@evil.org/a", "https://host"),
        ("https://host:pw@evil.org/a", "https://host"),
        ("https://host:8443/a", "https://host"),
        ("https://host:99999/a", "https://host"),
        ("https://host:/a", "https://host"),
        ("http://host/a", "https://host"),
        ("https://host/ab", "https://host/a"),
        ("https://host/a/../b", "https://host/a"),
        ("https://host/a/%2e%2e/b", "https://host/a"),
        ("https://host/a/..;x/b", "https://host/a"),
        ("https://host/a/%252e%252e/b", "https://host/a"),
        ("https://host/a%2fb", "https://host/a"),
        ("https://host/a//b", "https://host/a"),
        ("https://host\\@evil.org/a", "https://host"),
        ("https://evil.org\\.host/a", "https://host"),
        ("https://host/a?next=//evil.org", "https://host/a"),
        ("https://host/a#x", "https://host/a"),
        ("https://h\u00f6st/a", "https://host"),
        ("https:/host/a", "/"),
        ("https:///a", "/"),
        ("//host/a", "/"),
        (" /data/a", "/data"),
        ("https://host/a\nb", "https://host"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_what_only_looks_allowed_is_refused(reference: str, allow: str) -> None:
    with pytest.raises((ReferenceRefused, InvalidInput)) as refused:
        allowed(reference, [allow])

    if isinstance(refused.value, ReferenceRefused):
        assert repr(reference)[:100] in str(refused.value)


@pytest.mark.parametrize("allow", ["data", "", "../data", "/data/../etc", "s3://", "~/data"])
def test_a_place_that_cannot_be_allowed_is_told(allow: str) -> None:
    with pytest.raises(InvalidInput, match="absolute folder"):
        allowed("/data/a", [allow])


def test_a_text_is_no_list_of_places() -> None:
    with pytest.raises(InvalidInput, match="list"):
        allowed("/data/a", "/data")


# --- fetching


def test_a_file_is_fetched_and_checked(run: Run, data: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    run.add_reference("train.csv", str(data / "train.csv"), size=4, sha256=digest)
    run.add_reference("spaced", str(data / "with space"))
    again = seen_again(run)

    again.fetch_reference("train.csv", tmp_path / "copy", allow=[data])
    again.fetch_reference("spaced", tmp_path, allow=[f"file://{tmp_path}"])

    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert (tmp_path / "spaced").read_bytes() == b"spaced"
    assert handle_of(again).fetch().artifacts["spaced"].uri == f"file://{data}/with%20space"


def test_a_reference_is_not_followed_without_leave(run: Run, data: Path, tmp_path: Path) -> None:
    run.add_reference("train.csv", str(data / "train.csv"))

    with pytest.raises(ReferenceRefused, match=r"data/train\.csv.*pass allow="):
        run.fetch_reference("train.csv", tmp_path / "copy", allow=[])
    with pytest.raises(UserError, match="fetch_reference"):
        run.download_file("train.csv", tmp_path / "copy")

    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("size", "sha256", "problem"),
    [(3, None, "has not 3 bytes"), (5, None, "has not 5 bytes"), (4, "0" * 64, "SHA-256")],
)
def test_another_content_is_not_written(
    run: Run, data: Path, tmp_path: Path, size: int, sha256: str | None, problem: str
) -> None:
    run.add_reference("train.csv", str(data / "train.csv"), size=size, sha256=sha256)

    with pytest.raises(ReferenceNotFetched, match=problem):
        run.fetch_reference("train.csv", tmp_path / "copy", allow=[data])

    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("kind", ["link", "linked folder", "pipe", "device", "folder", "missing"])
def test_only_plain_files_below_the_place_are_read(
    run: Run, data: Path, tmp_path: Path, kind: str
) -> None:
    at, allow = data / "entry", [str(data)]
    match kind:
        case "link":
            at.symlink_to(tmp_path / "database" / "secret")
        case "linked folder":
            (data / "folder").symlink_to(tmp_path / "database")
            at = data / "folder" / "secret"
        case "pipe":
            os.mkfifo(at)
        case "device":
            at, allow = Path("/dev/zero"), ["/dev"]
        case "folder":
            at.mkdir()
    run.add_reference("entry", str(at))

    with pytest.raises(ReferenceNotFetched):
        run.fetch_reference("entry", tmp_path / "copy", allow=allow)

    assert not (tmp_path / "copy").exists()


def test_references_are_added_once_and_checked(run: Run, data: Path) -> None:
    run.add_reference("train.csv", "s3://bucket/key")
    run.add_reference("train.csv", "s3://bucket/key")

    with pytest.raises(ChangeRefusedError):
        run.add_reference("train.csv", "s3://bucket/other")
    for bad in ({"size": -1}, {"size": True}, {"sha256": "abc"}, {"uri": "relative"}):
        with pytest.raises(UserError):
            run.add_reference("x", **{"uri": "s3://bucket/key", **bad})  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(UserError, match="user or password"):
        run.add_reference("x", "https://me:pw@host/a")


# --- servers


class _Server(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/data/moved"):
            self.send_response(302)
            self.send_header("Location", "/private/secret")
            self.end_headers()
        elif self.path == "/data/gone":
            self.send_error(404)
        elif self.path == "/data/endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 65_536)
            except OSError:
                pass
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    _Server.asked.clear()
    with serving() as address:
        yield address


@contextmanager
def serving() -> Iterator[str]:
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def test_a_file_of_a_server_is_fetched(run: Run, server: str, tmp_path: Path) -> None:
    run.add_reference("a", f"{server}/data/a")

    run.fetch_reference("a", tmp_path / "copy", allow=[f"{server}/data"])

    assert (tmp_path / "copy").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["moved", "gone", "endless"])
def test_a_server_leads_nowhere_else(run: Run, server: str, tmp_path: Path, path: str) -> None:
    run.add_reference("a", f"{server}/data/{path}", size=100_000)

    with pytest.raises(ReferenceNotFetched):
        run.fetch_reference("a", tmp_path / "copy", allow=[f"{server}/data"])

    assert not (tmp_path / "copy").exists()
    assert _Server.asked == [f"/data/{path}"]


def test_nothing_that_reads_a_workspace_follows_a_reference(
    run: Run, server: str, data: Path, tmp_path: Path
) -> None:
    ws = run.experiment.workspace
    os.mkfifo(data / "pipe")  # Opening it would wait for ever.
    for number, uri in enumerate(
        [f"{server}/a", f"file://{data}/pipe", f"file://{data}/train.csv"]
    ):
        run.add_reference(f"logs/{number}", uri)
        run.add_reference(f"user_logs/{number}.png", uri, sha256="0" * 64)
    run.complete()

    with pytest.warns(UserWarning, match="references"):
        run.download_files(output_directory=tmp_path / "files")
    run.get_all_logs(tmp_path / "logs")
    run.get_details_with_logs()
    ws.audit.report(tmp_path / "report.html", run=run.id)
    ws.export(tmp_path / "bundle")
    with Workspace.create("other", path=tmp_path / "other") as other:
        other.import_bundle(tmp_path / "bundle")
        found = other.get_run(run.id)
        found.get_all_logs(tmp_path / "logs2")
        found.history()
    ws.sql("SELECT * FROM events").fetchall()
    list(ws.events())

    assert _Server.asked == []
    copies = [
        path for folder in ("files", "logs", "logs2") for path in (tmp_path / folder).rglob("*")
    ]
    assert [path for path in copies if path.is_file()] == []

"""The files that make the pages: from memory, for ever under their version, and only these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore.studio.shell.files import Files
from runlore.studio.shell.modules import style_sheet
from runlore.studio.shell.pages import STATIC
from tests.studio.asking import Served, as_problem, served
from tests.studio.conftest import Filled


@pytest.fixture(scope="module", params=["", "/some/where"], ids=["root", "behind"])
def based(filled: Filled, request: pytest.FixtureRequest) -> Iterator[Served]:
    """A Studio at the root of its host, and one below a path."""
    with served(filled.ws, base_path=request.param) as found:
        yield found


def folder_in(page: str) -> str:
    """The address that all files begin with, as a page says it."""
    found = re.search(r'src="([^"]+)/main.js"', page)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("main.js", "text/javascript; charset=utf-8"),
        ("pages/runs.js", "text/javascript; charset=utf-8"),
        ("studio.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("vendor/inter@5.3.0/inter.woff2", "font/woff2"),
        ("vendor/inter@5.3.0/LICENSE", "text/plain; charset=utf-8"),
    ],
)
def test_a_file_may_be_kept_for_ever(based: Served, name: str, kind: str) -> None:
    address = f"{based.origin}{folder_in(based.client.get('/').text)}/{name}"

    answer, head = based.client.get(address), based.client.head(address)

    is_sheet = name == "studio.css"
    content = style_sheet(STATIC).encode() if is_sheet else (STATIC / name).read_bytes()
    assert answer.content == content
    assert answer.headers["content-type"] == kind
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(answer.content))


def test_a_proxy_may_have_taken_the_base_path_away(filled: Filled) -> None:
    with served(filled.ws, base_path="/some/where") as found:
        folder = folder_in(found.client.get("/").text).removeprefix("/some/where")

        assert found.client.get(f"{found.origin}{folder}/main.js").status_code == 200


@pytest.mark.parametrize("path", ["/", "/runs", "/compare"])
def test_a_page_names_all_that_it_needs_at_first(studio: Served, path: str) -> None:
    page = studio.client.get(path).text
    asked = {studio.client.get(link) for link in re.findall(r'(?:href|src)="([^"]+)"', page)}
    text = "".join(one.text for one in asked if one.headers["content-type"].startswith("text"))

    assert {one.status_code for one in asked} == {200}
    named = re.findall(r'^import[^"]*?from\s*"[^"]*?([^"/]+)"', text, re.MULTILINE)
    assert set(named) <= {one.url.path.rpartition("/")[2] for one in asked}
    assert ("grid.js" if path == "/runs" else "api.js") in named
    assert "@import url" not in text
    assert ".u-over" in text  # Of the charts' own style sheet.
    fonts = [one.url.path for one in asked if one.headers["content-type"] == "font/woff2"]
    assert [font.rpartition("/")[2] for font in fonts] == ["inter.woff2"]


@pytest.mark.parametrize("path", ["/static/0123456789ab/main.js", "{}/nothing.js", "{}", "{}/"])
def test_there_is_no_other_file(studio: Served, path: str) -> None:
    folder = folder_in(studio.client.get("/").text)

    assert as_problem(studio.client.get(path.format(folder)))[0] == 404


def test_a_file_is_not_changed(studio: Served) -> None:
    answer = studio.send("POST", folder_in(studio.client.get("/").text) + "/main.js")

    assert as_problem(answer)[0] == 404


def test_the_version_changes_with_names_and_contents(tmp_path: Path) -> None:
    versions: set[str] = set()
    for name, content in (("a.js", b"1"), ("a.js", b"2"), ("b.js", b"2"), ("b/c.js", b"2")):
        folder = tmp_path / str(len(versions))
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(content)
        files = Files.of(folder)
        assert files.contents == {name: content}
        assert files == Files.of(folder)
        versions.add(files.version)

    assert len(versions) == 4

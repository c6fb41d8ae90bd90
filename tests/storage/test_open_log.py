"""Where logs are kept: folders, URIs, and openers that other packages bring."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore.domain.errors import InvalidInput, InvalidType
from runlore.storage.log_opener import LogLocation
from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_log import exists, locate, open_log
from runlore.testing.logs import new_event

# --- folders ------------------------------------------------------------------------------


def test_a_path_and_its_uri_mean_the_same_log(tmp_path: Path) -> None:
    folder = tmp_path / "my lab # 1"

    by_path = locate(folder)

    assert by_path.folder == folder
    assert locate(by_path.uri) == by_path


def test_the_uri_is_the_same_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "link").symlink_to("lab")

    assert locate(tmp_path / "link").uri == locate(tmp_path / "lab").uri


def test_a_folder_whose_name_is_not_utf8_has_a_uri(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")

    assert locate(locate(folder).uri).folder == folder


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert locate("lab").folder == tmp_path / "lab"


def test_a_log_exists_after_it_was_opened(tmp_path: Path) -> None:
    location = locate(tmp_path)
    assert not exists(location)

    log = open_log(location)
    log.append([new_event("run/a", 1)])
    log.close()

    assert exists(location)


@pytest.mark.parametrize("path", [None, 7, b"lab"])
def test_what_is_not_a_path_is_refused(path: object) -> None:
    with pytest.raises(InvalidType, match="must be a str or a path"):
        locate(path)  # type: ignore[arg-type]  # that is the point


def test_a_null_character_is_refused() -> None:
    with pytest.raises(InvalidInput, match="null character"):
        locate("lab\0")


# --- URIs ---------------------------------------------------------------------------------


def test_an_unknown_scheme_names_those_that_are_known() -> None:
    with pytest.raises(InvalidInput, match=r"no opener for redis://.*sqlite://"):
        locate("redis://host/0")


def test_a_scheme_of_a_missing_extra_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("runlore.storage.postgresql")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(InvalidInput, match=r"pip install 'runlore\[postgres\]'"):
        exists(locate("postgresql://host/db?schema=lab"))


@pytest.mark.parametrize(
    ("uri", "same"),
    [
        ("postgres://db/lab", "postgresql://db/lab?schema=runlore"),
        (
            "postgresql://db/lab?schema=a&sslmode=require",
            "postgresql://db/lab?sslmode=require&schema=a",
        ),
        ("postgresql:///lab?host=/run/pg&schema=a", "postgresql:///lab?host=%2Frun%2Fpg&schema=a"),
        ("postgresql://me@a:1,b:2/lab?schema=%C3%BC", "postgresql://me@a:1,b:2/lab?schema=%C3%BC"),
    ],
)
def test_uris_of_one_place_in_postgresql_are_one(uri: str, same: str) -> None:
    location = locate(uri)

    assert location.uri == same
    assert location.folder is None
    assert locate(location.uri) == location


@pytest.mark.parametrize(
    "schema", ["", "public", "pg_temp", "a" * 64, "a%00b", "a%25b", "1a", "a&schema=b", 'a"b']
)
def test_a_schema_that_cannot_hold_a_workspace_is_refused(schema: str) -> None:
    with pytest.raises(InvalidInput, match="schema"):
        locate(f"postgresql://db/lab?schema={schema}")


def test_a_sqlite_uri_with_a_host_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must be sqlite:///absolute/folder"):
        locate("sqlite://host/folder")


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:hunter2@host/db",
        "postgresql://host/db?user=me&password=hunter2",
        "sqlite://me:hunter2@/folder",
        "redis://:hunter2@[host/0",
        "redis://me:hunter2@\u2100host/0",
    ],
)
def test_a_password_in_a_uri_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(InvalidInput, match="password|malformed") as refused:
        locate(uri)

    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


# --- openers of other packages ------------------------------------------------------------


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with one opener that works, and one that lacks what it needs."""
    metadata = tmp_path / "shelves-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shelves\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[runlore.recorders]\nshelf = shelf_opener:ShelfOpener\nbroken = no_such_module:Opener\n"
    )
    (tmp_path / "shelf_opener.py").write_text(
        """
from runlore.storage.log_opener import LogLocation, LogOpener
from runlore.storage.memory_log import MemoryLog

class ShelfOpener(LogOpener):
    def locate(self, uri):
        return LogLocation(uri, None)

    def exists(self, location):
        return location.uri.endswith("/full")

    def open(self, location, *, erasable):
        return MemoryLog()
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("shelf_opener", None)


@pytest.mark.usefixtures("plugin")
def test_an_installed_package_opens_the_uris_of_its_scheme() -> None:
    location = locate("shelf://attic/full")

    assert location == LogLocation("shelf://attic/full", None)
    assert location.scheme == "shelf"
    assert exists(location)
    assert not exists(locate("shelf://attic/empty"))
    assert isinstance(open_log(location), MemoryLog)


@pytest.mark.usefixtures("plugin")
def test_an_unknown_scheme_names_those_of_installed_packages() -> None:
    with pytest.raises(InvalidInput, match="postgresql://, shelf://, sqlite://"):
        locate("redis://host/0")


@pytest.mark.usefixtures("plugin")
def test_an_opener_that_cannot_be_imported_names_its_package() -> None:
    with pytest.raises(InvalidInput, match="no_such_module.*install shelves again"):
        locate("broken://host")

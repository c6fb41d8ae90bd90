"""`runlore cache`: what is kept for this user, and giving it back."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from runlore.projections.cached_tables import tables_in
from tests.cached import cached
from tests.cli.shell import runlore


@pytest.fixture
def project(own_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose workspace has tables in a cache of its own."""
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "cache"))
    runlore("run", "list", cwd=own_project)
    return own_project


def test_show_lists_the_workspaces_whose_tables_are_kept(project: Path, tmp_path: Path) -> None:
    ran = runlore("cache", "show", cwd=tmp_path)

    [row] = ran.data
    assert (row["workspace"], row["folder"]) == ("myworkspace", str(project / "myworkspace"))
    assert row["versions"] == [path.name for path in tables_in(cached(project / "myworkspace"))]
    assert row["nbytes"] > 100_000
    assert row["last_used"].endswith("+00:00")
    assert row["processes"] == []
    assert f"{tmp_path / 'cache'}: " in ran.err and " of at most 5 GB" in ran.err


def test_a_table_shows_sizes_for_people(project: Path) -> None:
    ran = runlore("cache", "show", "-o", "table", cwd=project, RUNLORE_CACHE_LIMIT="1.5MB")

    head, _, row = ran.out.splitlines()
    assert head.split() == ["workspace", "folder", "versions", "size", "last", "used", "processes"]
    assert row.split()[:3] == ["myworkspace", str(project / "myworkspace"), "1"]
    assert row.split()[4] in ("kB", "MB")
    assert "of at most 1.5 MB" in ran.err


def test_clean_removes_the_tables_and_the_next_command_makes_them_again(project: Path) -> None:
    [row] = runlore("cache", "clean", cwd=project).data

    assert row["workspace"] == "myworkspace"
    assert row["freed_nbytes"] > 100_000
    assert runlore("cache", "show", cwd=project).data == []
    assert len(runlore("run", "list", cwd=project).data) == 4
    assert len(runlore("cache", "show", cwd=project).data) == 1


@pytest.mark.parametrize(
    ("options", "selected"),
    [
        (["-w", "myworkspace"], True),
        (["-w", "./myworkspace"], True),
        (["--path", "."], True),
        (["--path", "myworkspace"], True),
        (["-w", "other"], False),
        (["-w", "./other"], False),
        (["--path", "other"], False),
        (["--path", "other", "-w", "myworkspace"], False),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_options_select_the_workspaces(
    options: list[str], selected: bool, project: Path, tmp_path: Path
) -> None:
    assert len(runlore("cache", "show", *options, cwd=project).data) == selected
    assert len(runlore("cache", "clean", *options, cwd=project).data) == selected
    assert len(runlore("cache", "show", cwd=project).data) == (not selected)


def test_a_workspace_that_is_gone_is_selected_by_its_name_or_id(project: Path) -> None:
    [row] = runlore("cache", "show", cwd=project).data
    shutil.rmtree(project / "myworkspace")

    for name in ("myworkspace", row["workspace_id"]):
        assert runlore("cache", "show", "-w", name, cwd=project).data == [row]
    assert len(runlore("cache", "clean", "-w", "myworkspace", cwd=project).data) == 1


def test_old_versions_are_cleaned_on_request(project: Path) -> None:
    [current] = tables_in(cached(project / "myworkspace"))
    old = Path(shutil.copytree(current, current.with_name("1-0123abcd-duckdb1.4.0")))
    (old / "reader-0/lock").unlink()

    [row] = runlore("cache", "clean", "--old-versions", cwd=project).data

    assert row["freed_nbytes"] > 100_000
    assert tables_in(current.parent) == [current]


def test_tables_that_an_earlier_version_kept_in_the_workspace_are_cleaned_without_following_links(
    project: Path, tmp_path: Path
) -> None:
    workspace = project / "myworkspace"
    photos = tmp_path / "photos"
    (photos / "reader-0").mkdir(parents=True)
    (photos / "reader-0/a.jpg").touch()
    (photos / "lock").touch()
    shutil.copytree(cached(workspace), workspace / "projections")
    [old] = tables_in(workspace / "projections")
    (workspace / "projections/1-0123abcd-duckdb1.4.0").symlink_to(photos)
    (workspace / "projections/mine.py").touch()
    (old / "reader-1").symlink_to(photos / "reader-0")
    (old / "reader-0/segments").rmdir()
    (old / "reader-0/segments").symlink_to(photos / "reader-0")
    (old / "reader-0/lock").unlink()
    (old / "reader-0/lock").symlink_to(tmp_path / "made")
    [row] = runlore("cache", "show", cwd=project).data
    assert row["in_workspace_nbytes"] > 100_000

    [row] = runlore("cache", "clean", cwd=project).data

    assert row["freed_nbytes"] > 100_000
    assert not old.exists()
    assert not (tmp_path / "made").exists()
    assert sorted(path.name for path in photos.rglob("*")) == ["a.jpg", "lock", "reader-0"]
    assert (workspace / "projections/mine.py").exists()


def test_a_cache_that_is_not_safe_is_told(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "cache").chmod(0o777)

    ran = runlore("cache", "show", cwd=project)

    assert f"warning: {tmp_path / 'cache'} has mode 0777" in ran.err
    assert f"{tmp_path}/runlore-{os.geteuid()}: 0 B" in ran.err


def test_that_there_is_no_cache_is_told(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere/file"))
    (tmp_path / "nowhere").touch()

    ran = runlore("cache", "show", cwd=project, code=1, RUNLORE_CACHE_DIR="here")

    assert "RUNLORE_CACHE_DIR is 'here': give the absolute path of a folder" in ran.err
    assert "there is no cache: tables are kept in memory, by each process" in ran.err

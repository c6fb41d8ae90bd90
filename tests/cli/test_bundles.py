"""Replay, export, verification and import from a shell."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from tests.cached import cached
from tests.cli.shell import in_this_process as called


def test_what_was_exported_is_verified_and_imported_elsewhere(
    own_project: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "runs.bundle"
    exported = called("audit", "export", "-r", "fantastic", "-o", str(bundle), cwd=own_project)
    assert exported.code == 0
    assert json.loads(exported.out)["selection"] == {"run": "fantastic", "descendants": True}

    verified = called("audit", "verify", str(bundle), cwd=own_project)
    said = json.loads(verified.out)
    assert (verified.code, said["holds"], said["findings"]) == (0, True, [])
    assert (said["workspace"], said["unsigned"], len(said["root"])) == ("myworkspace", None, 64)
    assert "in the log of myworkspace" in verified.err

    assert called("workspace", "create", "-w", "other", cwd=tmp_path).code == 0
    imported = called("audit", "import", str(bundle), "-w", "other", cwd=tmp_path)
    assert json.loads(imported.out)["runs"] == 1
    shown = called("run", "show", "-r", "fantastic", "-w", "other", cwd=tmp_path)
    assert json.loads(shown.out)["tags"] == {"quality": "fantastic run"}


def test_a_damaged_bundle_ends_with_1(own_project: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "damaged.bundle"
    bundle.write_bytes(b"PK nothing")

    assert called("audit", "verify", str(bundle), cwd=own_project).code == 1
    imported = called("audit", "import", str(bundle), cwd=own_project)
    assert imported.code == 1
    assert "is refused" in imported.err


def test_other_formats_and_times(own_project: Path, tmp_path: Path) -> None:
    lines = tmp_path / "events.jsonl"
    arguments = ["audit", "export", "--format", "jsonl", "--to", str(lines)]
    assert called(*arguments, "--since", "2026-01-01T00:00Z", cwd=own_project).code == 0
    assert len(lines.read_text().splitlines()) > 10
    assert called(*arguments, "--until", "1", cwd=own_project).code == 0
    assert len(lines.read_text().splitlines()) < 10


@pytest.mark.parametrize(
    ("until", "message"),
    [
        ("soon", "is not a moment of a workspace, nor a readable file"),
        ("1 fortnight ago", "is not a moment of a workspace, nor a readable file"),
        ("2100-01-01T00:00Z", "has not passed yet"),
        ("1000000000", "no position 1000000000 in the log"),
    ],
)
def test_an_export_takes_the_moments_of_as_of(
    own_project: Path, tmp_path: Path, until: str, message: str
) -> None:
    bundle = tmp_path / "until.bundle"

    exported = called("audit", "export", "-o", str(bundle), "--until", until, cwd=own_project)
    listed = called("run", "list", "--as-of", until, cwd=own_project)

    assert (exported.code, listed.code) == (1, 1)
    assert message in exported.err and message in listed.err
    assert not bundle.exists()


def test_a_replay_of_tables_that_somebody_wrote_to_ends_with_1(own_project: Path) -> None:
    assert called("audit", "replay", cwd=own_project).code == 0
    [database] = cached(own_project / "myworkspace").glob("*/reader-0/projection.duckdb")
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE store.run_tags SET value = 'bad' WHERE value = 'poor'")

    replayed = called("audit", "replay", cwd=own_project)

    assert replayed.code == 1
    [one] = json.loads(replayed.out)
    assert (one["shown"], one["logged"], one["topic"]) == ("bad", "poor", "run.tag_set")


def test_the_tables_are_compared_with_what_a_copy_that_was_exported_gives(
    own_project: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "all.bundle"
    assert called("audit", "export", "-o", str(bundle), cwd=own_project).code == 0
    against = ("audit", "replay", "--against-bundle", str(bundle))
    assert called(*against, cwd=own_project).code == 0
    [database] = cached(own_project / "myworkspace").glob("*/reader-0/projection.duckdb")
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE store.run_tags SET value = 'bad' WHERE value = 'poor'")

    assert called(*against, cwd=own_project).code == 1

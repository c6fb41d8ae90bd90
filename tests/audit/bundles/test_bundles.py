"""A bundle holds what was asked for, the same bytes each time, and proves itself."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.audit.bundles.checks import verify_bundle
from runlore.audit.bundles.export import ExportRefused
from runlore.audit.bundles.file import open_bundle
from runlore.audit.bundles.format import EVENTS, BundleRecord, read_nodes, read_records
from runlore.audit.folder import BadCheckpoint
from runlore.domain.errors import ExperimentNotFound, InvalidInput, RunNotFound
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import StoredRow
from runlore.storage.log_query import LogQuery
from runlore.storage.merkle import node_hash
from runlore.storage.pruned_tree import Node, audit_path
from runlore.storage.sqlite_log import SqliteLog
from tests.tampering import tampering


def records_of(path: Path) -> list[BundleRecord]:
    with open_bundle(path) as bundle, bundle.open(EVENTS) as source:
        return list(read_records(source))


def streams_of(path: Path) -> set[str]:
    streams = {record.row.stream for record in records_of(path)}
    return {one.split("/values/")[0] for one in streams if not one.startswith("writer/")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "exported.bundle"


def test_everything_is_exported_by_default_and_holds(ws: Workspace, path: Path) -> None:
    manifest = ws.export(path)

    rows = [record.row for record in records_of(path)]
    assert rows == list(ws.log.read_log(LogQuery(limit=1_000)))
    assert manifest.events == len(rows) == manifest.head.size
    report = verify_bundle(path)
    assert report.findings == () and report.manifest == manifest


def test_the_same_log_gives_the_same_bytes(ws: Workspace, path: Path, tmp_path: Path) -> None:
    ws.export(path)
    ws.export(tmp_path / "again")

    assert path.read_bytes() == (tmp_path / "again").read_bytes()


def test_a_run_comes_with_all_that_explains_it(ws: Workspace, path: Path) -> None:
    ws.export(path, run="parent")
    assert streams_of(path) == {
        "workspace", "experiment/trees", "run/parent", "run/child-0", "run/child-1"
    }  # fmt: skip
    assert verify_bundle(path).holds

    ws.export(path, run="parent", descendants=False)
    assert streams_of(path) == {"workspace", "experiment/trees", "run/parent"}

    ws.export(path, run="child-0")
    assert streams_of(path) == {"workspace", "experiment/trees", "run/child-0"}
    assert any(record.row.stream.startswith("writer/") for record in records_of(path))


def test_a_log_with_a_hole_is_not_exported(ws: Workspace, path: Path) -> None:
    assert ws.path is not None
    with tampering(ws.path / "log.sqlite") as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute("UPDATE log_head SET position = position + 1")

    with pytest.raises(LogCorrupt, match=r"events and the position .*`runlore audit verify`"):
        ws.export(path)

    assert not path.exists()


def test_nothing_is_read_of_other_runs_but_their_leaves(
    ws: Workspace, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws.sql("SELECT 1").fetchall()  # The tables are caught up before.
    read: set[str] = set()
    read_log = SqliteLog.read_log

    def noted(self: SqliteLog, query: LogQuery) -> Sequence[StoredRow]:
        rows = read_log(self, query)
        read.update(row.stream for row in rows)
        return rows

    monkeypatch.setattr(SqliteLog, "read_log", noted)
    ws.export(path, run="elsewhere")

    assert read == {record.row.stream for record in records_of(path)}
    assert verify_bundle(path).holds


def test_an_experiment_comes_with_all_of_its_runs(ws: Workspace, path: Path) -> None:
    ws.export(path, experiment="other")

    assert streams_of(path) == {"workspace", "experiment/other", "run/elsewhere"}
    assert verify_bundle(path).holds


def test_a_span_of_time_chooses_the_runs_that_anything_happened_to(
    ws: Workspace, path: Path
) -> None:
    before = ws.log.head().position
    ws.get_run("child-0").tag("looked", "at")
    ws.export(path, since=before + 1)
    assert streams_of(path) == {"workspace", "experiment/trees", "run/child-0"}
    assert any(record.row.position < before for record in records_of(path))

    [elsewhere, *_] = ws.log.read_stream("run/elsewhere")
    ws.export(path, until=elsewhere.position - 1, experiment="trees")
    assert streams_of(path) == {
        "workspace", "experiment/trees", "run/parent", "run/child-0", "run/child-1"
    }  # fmt: skip

    ws.export(path, until=datetime(2001, 1, 1, tzinfo=UTC))
    assert streams_of(path) == {"workspace"}


def test_an_audit_path_of_rfc_6962_leads_from_each_event_to_the_root(
    ws: Workspace, path: Path
) -> None:
    manifest = ws.export(path, run="child-1")
    records = records_of(path)
    with open_bundle(path) as bundle, bundle.open("tree.bin") as tree:
        nodes = list(read_nodes(tree))
    leaves = [Node(one.leaf_index, one.leaf_index + 1, one.row.leaf) for one in records]

    for index, row in records:
        digest, size = row.leaf, manifest.head.size
        # RFC 9162, section 2.1.3.2, which checks a path of RFC 6962.
        fn, sn = index, size - 1
        for beside in audit_path(index, size, [*nodes, *leaves]):
            if fn & 1 or fn == sn:
                digest = node_hash(beside, digest)
                while fn and not fn & 1:
                    fn, sn = fn >> 1, sn >> 1
            else:
                digest = node_hash(digest, beside)
            fn, sn = fn >> 1, sn >> 1
        assert digest.hex() == manifest.head.root and sn == 0


def test_files_are_in_it_or_only_their_digests(ws: Workspace, path: Path) -> None:
    whole = ws.export(path, run="parent")
    assert whole.absent == []
    kept = [name for name in whole.entries if name.startswith("artifacts/")]

    lean = ws.export(path, run="parent", artifacts="digests")
    [manifest] = [name for name in lean.entries if name.startswith("artifacts/")]
    assert {manifest, *(f"artifacts/{sha256}" for sha256 in lean.absent)} == set(kept)
    assert b"train.py" in zipfile.ZipFile(path).read(manifest)
    assert verify_bundle(path).holds


def test_checkpoints_are_in_it_and_must_have_the_root_of_a_head_of_their_size(
    ws: Workspace, path: Path
) -> None:
    head = ws.log.head()
    assert ws.path is not None
    folder = ws.path / "audit" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "1.txt").write_text(f"lab\n{head.size}\n{'A' * 43}=\n\n")

    ws.export(path)

    [finding] = verify_bundle(path).findings
    assert finding.entry == "checkpoints/1.txt"
    assert "another root than the head" in finding.message


def test_a_damaged_checkpoint_is_said_before_a_bundle_is_made_of_it(
    ws: Workspace, path: Path
) -> None:
    assert ws.path is not None
    damaged = ws.path / "audit" / "checkpoints" / "7.txt"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("lab\nseven\n")

    with pytest.raises(
        BadCheckpoint, match=f"{damaged}.*restore it, or move it out of this folder"
    ):
        ws.export(path)

    assert not path.exists()


@pytest.mark.parametrize("text", ["x" * 1_000_000, "epoch done; " * 80_000])
def test_a_log_that_says_the_same_again_and_again_is_not_taken_for_a_bomb(
    ws: Workspace, path: Path, tmp_path: Path, text: str
) -> None:
    for key in ("a", "b", "c"):
        ws.get_run("elsewhere").tag(key, text)

    ws.export(path, run="elsewhere")

    assert verify_bundle(path).holds
    with Workspace.create("other", path=tmp_path / "other") as other:
        assert other.import_bundle(path).runs == 1


def test_the_schema_says_what_payloads_hold(ws: Workspace, path: Path) -> None:
    ws.export(path)

    schema = json.loads(zipfile.ZipFile(path).read("schema.json"))
    assert set(schema) == {record.row.topic for record in records_of(path)}
    assert "sha256" in schema["run.artifact_added"]["payload"]["properties"]


def test_what_cannot_be_selected_is_said_and_nothing_is_written(ws: Workspace, path: Path) -> None:
    with pytest.raises(RunNotFound):
        ws.export(path, run="nobody")
    with pytest.raises(ExperimentNotFound):
        ws.export(path, experiment="nothing")
    with pytest.raises(InvalidInput, match="time zone"):
        ws.export(path, since=datetime(2026, 1, 1))
    with pytest.raises(InvalidInput, match="artifacts"):
        ws.export(path, artifacts="all")

    assert list(path.parent.glob("exported*")) == []


def test_an_event_that_its_leaf_does_not_cover_is_not_exported(ws: Workspace, path: Path) -> None:
    assert ws.path is not None
    ws.close()
    with closing(sqlite3.connect(ws.path / "log.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE stored_events SET topic = 'run.completed' WHERE notification_id = 9"
        )
    with Workspace.open(ws.path) as changed, pytest.raises(ExportRefused, match="position 9"):
        changed.export(path)

    assert not path.exists()


def test_runs_of_an_archived_namesake_come_along(ws: Workspace, path: Path) -> None:
    Experiment(ws, "other").archive()
    Experiment(ws, "other").start_logging(
        run_id="again", outputs=False, snapshot_directory=None
    ).complete()

    ws.export(path, experiment="other")

    assert {"run/elsewhere", "run/again"} <= streams_of(path)


def test_no_bundle_is_made_of_an_erasable_workspace_or_goes_into_it(
    ws: Workspace, path: Path, tmp_path: Path
) -> None:
    ws.export(path)
    with Workspace.create("sealed", path=tmp_path / "sealed", erasable=True) as sealed:
        head = sealed.log.head()
        with pytest.raises(InvalidInput, match="sealed under a key of its own"):
            sealed.export(tmp_path / "other")
        with pytest.raises(InvalidInput, match="sealed under a key of its own"):
            sealed.import_bundle(path)

        assert sealed.log.head() == head
    assert not (tmp_path / "other").exists()

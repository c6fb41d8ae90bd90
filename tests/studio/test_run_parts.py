"""What a page shows of a run: logged files, tables, snapshots, logs, history, downloads."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Workspace
from runlore.run import Run
from tests.studio.asking import Served, served
from tests.workspaces import start

HOSTILE = "</script><b>\u202e'\"`;--"
MATRIX = {
    "schema_type": "confusion_matrix",
    "data": {"class_labels": ["cat", HOSTILE], "matrix": [[3, 1], [0, 4]]},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Runs `old` and `new` with snapshots, tables, images, a log, and children."""
    folder: Path = tmp_path_factory.mktemp("parts")
    picture = folder / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    with Workspace.create("lab", path=folder / "lab", show_output=False) as ws:
        for name, text in (("old", "a\nb\nc\n"), ("new", "a\nB\nc\n")):
            source = folder / name
            (source / "sub").mkdir(parents=True)
            (source / "train.py").write_text(text)
            (source / "same.txt").write_text("the same")
            (source / "sub" / f"{name}.bin").write_bytes(b"\0" + name.encode())
            run = start(Experiment(ws, "vision"), run_id=name)
            run.take_snapshot(source)
        run.log_image("pictures", path=str(picture))
        run.log_confusion_matrix("matrix", MATRIX)
        for number in range(5):
            run.log_row("table", epoch=number, note=HOSTILE)
        run.log("loss", 0.5)
        run.tag("stage", "one")
        run.tag("stage", "two")
        run.add_properties({"fixed": "1"})
        with pytest.raises(Exception, match="fixed"):
            run.add_properties({"fixed": "2"})
        log = folder / "log.txt"
        log.write_bytes(b"first\nAn ERROR here\n" + b"x" * 3_000 + b" error\n\xff\xfe\n")
        run.upload_file("logs/train.txt", log)
        for number in range(3):
            child = run.child_run(run_id=f"child{number}")
            child.log("acc", number / 10)
            child.fail("no") if number == 2 else child.complete()
        run.add_reference("outside", "s3://bucket/key")
        run.complete()
        yield ws


@pytest.fixture(scope="module")
def new(lab: Workspace) -> Run:
    """The run with everything."""
    return lab.get_run("new")


@pytest.fixture(scope="module")
def studio(lab: Workspace) -> Iterator[Served]:
    """The Studio of the workspace."""
    with served(lab) as found:
        yield found


def test_images_are_listed_with_their_steps(studio: Served) -> None:
    found = studio.get("/api/runs/new/logged")

    [images] = found["images"]
    [one] = images["files"]
    assert (images["metric"], one["file"], one["step"]) == ("pictures", "picture.png", 0)
    assert found["tables"] == ["table"]
    assert found["documents"] == ["matrix"]
    assert studio.get("/api/runs/old/logged") == {"images": [], "tables": [], "documents": []}


def test_rows_of_a_table_come_page_by_page(studio: Served, new: Run) -> None:
    found = studio.get("/api/runs/new/table", metric="table", offset=1, limit=3)

    assert (found["columns"], found["total"]) == (["epoch", "note"], 5)
    assert found["data"] == [[1, 2, 3], [HOSTILE] * 3]
    assert studio.get("/api/runs/new/table", metric="table", offset=9)["data"] == [[], []]


def test_a_confusion_matrix_comes_as_it_was_logged(studio: Served) -> None:
    found = studio.get("/api/runs/new/documents", metric="matrix")

    assert found == {"kind": "confusion_matrix", "documents": [MATRIX]}


def test_a_document_of_another_run_is_not_read(lab: Workspace) -> None:
    """What was logged as an address may be anybody's text."""
    with served(lab) as found:
        run = start(Experiment(lab, "odd"), run_id="thief")
        run.log("address", "aml://artifactId/ExperimentRun/dcid.new/picture.png")
        run.flush()
        assert found.get("/api/runs/thief/logged")["images"] == []
        run.complete()


def test_a_snapshot_has_its_files(studio: Served) -> None:
    found = studio.get("/api/runs/new/snapshot")

    names = [one["name"] for one in found["files"]]
    assert names == ["same.txt", "sub/new.bin", "train.py"]
    assert studio.get("/api/runs/new/snapshot/text/train.py")["text"] == "a\nB\nc\n"
    assert studio.get("/api/runs/child0/snapshot")["files"] == []


def test_snapshots_are_compared_line_by_line(studio: Served) -> None:
    found = studio.get("/api/runs/new/snapshot/diff", other="old")["changes"]

    assert [(one["name"], one["kind"]) for one in found] == [
        ("sub/new.bin", "added"),
        ("sub/old.bin", "removed"),
        ("train.py", "changed"),
    ]
    assert found[0]["lines"] is None
    assert found[2]["lines"] == ["@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"]
    assert studio.get("/api/runs/new/snapshot/diff", other="new")["changes"] == []


def test_the_zip_has_all_stored_files(studio: Served, new: Run) -> None:
    answer = studio.client.get("/api/runs/new/files.zip")

    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith("attachment")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert archive.read("logs/train.txt").startswith(b"first")
    assert names == sorted(name for name in new.get_file_names() if name != "outside")
    assert studio.client.get("/api/runs/new/files.zip").content == answer.content


@pytest.mark.parametrize("artifacts", ["digests", "bytes"])
def test_the_bundle_proves_itself(
    studio: Served, lab: Workspace, tmp_path: Path, artifacts: str
) -> None:
    answer = studio.client.get("/api/runs/new/bundle", params={"artifacts": artifacts})

    path = tmp_path / "run.bundle"
    path.write_bytes(answer.content)
    assert lab.audit.verify_bundle(path).holds
    other = Workspace.create("other", path=tmp_path / "other", show_output=False)
    with other:
        assert other.import_bundle(path).runs == 4


def test_a_text_is_found_in_a_log(studio: Served) -> None:
    found = studio.get("/api/runs/new/log-search/logs/train.txt", text="Error")

    assert found["total"] == 2
    assert found["hits"][0] == {"line": 2, "start": 6, "text": "An ERROR here"}
    assert (found["hits"][1]["line"], len(found["hits"][1]["text"])) == (3, 2_000)
    assert studio.get("/api/runs/new/log-search/logs/none.txt", text="x") == {
        "total": 0, "hits": [],
    }  # fmt: skip


def test_the_history_is_filtered_by_kind_and_actor(studio: Served, new: Run) -> None:
    whole = studio.get("/api/runs/new/history")
    tags = studio.get("/api/runs/new/history", what=["tag_set", "change_refused"])

    assert whole["kinds"]["tag_set"] == 2
    assert [(one["what"], one["old"], one["new"]) for one in tags["changes"]] == [
        ("tag_set", None, "one"),
        ("tag_set", "one", "two"),
        ("change_refused", "1", "2"),
    ]
    [actor] = whole["actors"]
    assert studio.get("/api/runs/new/history", who=actor)["total"] == whole["total"]
    assert studio.get("/api/runs/new/history", who="nobody")["total"] == 0
    assert tags["kinds"] == whole["kinds"]


def test_checkpoints_are_seals_of_the_history(studio: Served, lab: Workspace) -> None:
    assert studio.get("/api/runs/new/history")["seals"] == []
    assert lab.path
    lab.audit.new_key(lab.path.parent / "key")
    lab.audit.checkpoint(key=lab.path.parent / "key")
    size = lab.position

    assert studio.get("/api/runs/new/history")["seals"] == [size]
    assert studio.get("/api/runs/new/history", asof=size - 1)["seals"] == []


def test_a_subtree_is_summed_up(studio: Served, new: Run) -> None:
    found = studio.get("/api/runs/new/rollup", metric="acc")

    assert (found["runs"], found["children"]) == (4, 3)
    assert found["statuses"] == dict(new.rollup().statuses)
    assert found["best"] == {"run_id": "child2", "value": 0.2, "step": 0}
    assert studio.get("/api/runs/child0/rollup")["best"] is None


def test_what_changed_between_positions_is_that_of_the_sdk(studio: Served, lab: Workspace) -> None:
    found = studio.get("/api/diff", **{"from": 3})

    changes = lab.diff(3)
    assert found["total"] == len(found["changes"]) == len(changes)
    assert [one["what"] for one in found["changes"]] == [one.what for one in changes]
    tags = [one for one in found["changes"] if one["what"] == "tag"]
    assert [(one["key"], one["old"], one["new"]) for one in tags] == [("stage", None, "two")]
    [loss] = [one for one in found["changes"] if one["key"] == "loss"]
    assert loss["new"] == {"n": 1, "last": 0.5}
    of_run = studio.get("/api/diff", **{"from": 3, "to": lab.position, "run": "child1"})
    assert {one["run_id"] for one in of_run["changes"]} == {"child1"}
    [(run_id, named)] = of_run["runs"].items()
    assert (run_id, named["name"]) == ("child1", lab.get_run("child1").display_name or "child1")


def test_changes_of_sampled_metrics_are_counted_and_shown_on_request(
    studio: Served, lab: Workspace
) -> None:
    before = lab.position
    run = lab.get_run("new")
    run.log("system/cpu_percent", 5.0)
    run.log("late", 1.0)
    run.flush()

    found = studio.get("/api/diff", **{"from": before})
    assert [one["key"] for one in found["changes"]] == ["late"]
    assert (found["total"], found["left_out"]) == (1, 1)
    every = studio.get("/api/diff", sampled=True, **{"from": before})
    assert {one["key"] for one in every["changes"]} == {"late", "system/cpu_percent"}
    assert every["left_out"] == 0


PROBLEMS: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "no-table": ("/api/runs/new/table", {"metric": "loss"}, 422, "InvalidInput"),
    "unknown-table": ("/api/runs/new/table", {"metric": "none"}, 422, "InvalidInput"),
    "no-document": ("/api/runs/new/documents", {"metric": "pictures"}, 422, "InvalidInput"),
    "no-snapshot": ("/api/runs/new/snapshot/diff", {"other": "child0"}, 422, "UserError"),
    "no-source": ("/api/runs/new/snapshot/text/../../x", {}, 404, "Not Found"),
    "outside": ("/api/runs/new/snapshot/text/%2e%2e%2fx", {}, 422, "InvalidInput"),
    "no-run": ("/api/runs/nobody/files.zip", {}, 404, "RunNotFound"),
    "no-bundle": ("/api/runs/nobody/bundle", {}, 404, "RunNotFound"),
    "artifacts": ("/api/runs/new/bundle", {"artifacts": "all"}, 422, "InvalidInput"),
    "no-text": ("/api/runs/new/log-search/logs/train.txt", {"text": ""}, 422, "InvalidInput"),
    "backwards": ("/api/diff", {"from": 5, "to": 4}, 422, "InvalidInput"),
    "future": ("/api/diff", {"from": 10**9}, 422, "InvalidInput"),
    "no-rollup": ("/api/runs/nobody/rollup", {}, 404, "RunNotFound"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_mistake_is_a_problem_with_advice(studio: Served, case: str) -> None:
    path, params, status, title = PROBLEMS[case]

    found_status, found = studio.problem(path, **params)

    assert (found_status, found["title"]) == (status, title)


def test_a_long_document_and_one_that_is_no_json_are_refused(
    studio: Served, lab: Workspace
) -> None:
    run = start(Experiment(lab, "odd"), run_id="large")
    run.log_predictions("large", {"data": "x" * 1_000_001})
    run.complete()

    status, found = studio.problem("/api/runs/large/documents", metric="large")

    assert (status, "too long" in found["detail"]) == (422, True)


def test_contents_are_the_files_of_the_run(studio: Served) -> None:
    """No answer changes what was kept: digests are compared."""
    for one in studio.get("/api/runs/new/files")["files"]:
        if one["uri"] is None:
            content = studio.client.get(f"/api/runs/new/files/{one['name']}").content
            assert hashlib.sha256(content).hexdigest() == one["sha256"]
    assert json.loads(studio.client.get("/api/runs/new/files/matrix.json").content) == MATRIX

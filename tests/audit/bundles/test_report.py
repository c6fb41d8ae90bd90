"""The report says all that happened, and whatever was logged is only text to it."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.audit.folder import AuditFolder
from runlore.domain.errors import ExperimentNotFound, InvalidInput, PropertyConflict, RunNotFound
from runlore.storage.held_path import hold
from runlore.workspace import session_of

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>&lt;\u202egnp.exe'
NAME = HOSTILE.replace("\u202e", "")  # Names that reverse the order of texts are refused.


class Page(HTMLParser):
    """The elements of a page, its text, and what its attributes lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def page_of(path: Path) -> Page:
    return Page(path.read_text())


def test_a_report_of_a_run_says_who_did_what(ws: Workspace, tmp_path: Path) -> None:
    parent = ws.get_run("parent")
    with pytest.raises(PropertyConflict):
        parent.add_properties({"author": "eve"})

    assert ws.audit.report(tmp_path / "report.html", run="parent") == 1

    page = page_of(tmp_path / "report.html")
    who = parent.history()[0].who
    [*_, artifact] = [row for row in parent.history() if row.what == "artifact_added"]
    for said in (
        "Run parent", "poor → fantastic", who, "author", "ada", "eve", "Refused changes",
        "train.py", "outputs/model.bin", artifact.new, "Completed", "Timeline",
        ws.log.head().frontier.root.hex(), "runlore audit verify",
    ):  # fmt: skip
        assert said in page.text, said
    assert page.open == []
    refused = page.attributes.count(("class", "refused"))
    assert refused == 2, "its row among the changes that were refused, and in the timeline"


def test_a_corrected_property_stands_there_with_its_first_value(
    ws: Workspace, tmp_path: Path
) -> None:
    run = Experiment(ws, "trees").start_logging(
        run_id="corrected", outputs=False, snapshot_directory=None, display_name="the best"
    )
    run.add_properties({"score": "0.9"})
    run.correct_property("score", "0.8", reason="measured on the training set")
    run.log_batch("loss", [3.0, 0.5])
    run.log_row("roc", fpr=0.1, tpr=0.7)
    run.complete()

    ws.audit.report(tmp_path / "report.html", run="corrected")

    texts = page_of(tmp_path / "report.html").texts
    first, second = (texts.index(value) for value in ("0.9", "0.8"))
    assert first < second and "measured on the training set" in texts[second:]
    assert texts[texts.index("loss", second) :][:4] == ["loss", "2", "0.5", "1"]
    assert texts[texts.index("roc", second) :][:4] == ["roc", "1", "fpr = 0.1, tpr = 0.7", "0"]
    assert "Run the best (corrected)" in texts
    assert any("Written at" in text and "with runlore" in text for text in texts)


def test_whatever_was_logged_is_only_text(ws: Workspace, tmp_path: Path) -> None:
    run = Experiment(ws, "trees").start_logging(
        run_id="hostile", outputs=False, snapshot_directory=None, display_name=NAME
    )
    run.tag(NAME, HOSTILE)
    run.add_properties({NAME: HOSTILE})
    run.description = HOSTILE
    run.log(NAME, 1.0)
    run.fail(HOSTILE)

    ws.audit.report(tmp_path / "report.html", run="hostile")

    page = page_of(tmp_path / "report.html")
    assert not {"script", "img", "link", "iframe", "a"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    assert "<script>alert(1)</script>" in page.text
    assert "\u202e" not in (tmp_path / "report.html").read_text()
    assert "default-src 'none'" in (tmp_path / "report.html").read_text()


def test_a_report_of_an_experiment_has_all_its_runs(ws: Workspace, tmp_path: Path) -> None:
    assert ws.audit.report(tmp_path / "report.html", experiment="trees") == 3

    text = page_of(tmp_path / "report.html").text
    assert text.index("Run parent") < text.index("Run child-0") < text.index("Run child-1")
    assert "elsewhere" not in text


def test_a_report_of_an_imported_run_says_where_it_was_written(
    ws: Workspace, tmp_path: Path
) -> None:
    ws.export(tmp_path / "bundle", run="parent")
    with Workspace.create("other", path=tmp_path / "other") as other:
        other.import_bundle(tmp_path / "bundle")
        other.audit.report(tmp_path / "report.html", run="parent")

    text = page_of(tmp_path / "report.html").text
    assert f"workspace {session_of(ws).workspace.workspace_id}, written there" in text


def test_the_newest_checkpoint_is_the_largest_whatever_the_times_of_the_files(
    ws: Workspace, tmp_path: Path
) -> None:
    assert ws.path is not None
    folder = ws.path / "audit" / "checkpoints"
    folder.mkdir(parents=True)
    for size in (7, 4):  # The smaller one is written last, as by a restore.
        (folder / f"{size}.txt").write_text(f"lab\n{size}\n{'A' * 43}=\n\n")
    os.utime(folder / "7.txt", (0, 0))

    ws.audit.report(tmp_path / "report.html", run="parent")

    newest = AuditFolder(hold(ws.path)).last()
    text = page_of(tmp_path / "report.html").text
    assert newest is not None and newest.size == 7
    assert newest.text in text
    assert "lab\n4\n" not in text


def test_a_damaged_checkpoint_is_named_in_the_report(ws: Workspace, tmp_path: Path) -> None:
    assert ws.path is not None
    kept = ws.path / "audit" / "checkpoints"
    kept.mkdir(parents=True)
    (kept / "7.txt").write_text("not a checkpoint")

    ws.audit.report(tmp_path / "report.html", run="parent")

    assert "7.txt" in (tmp_path / "report.html").read_text()


def test_what_there_is_not_has_no_report(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(RunNotFound):
        ws.audit.report(tmp_path / "report.html", run="nobody")
    with pytest.raises(ExperimentNotFound):
        ws.audit.report(tmp_path / "report.html", experiment="nothing")
    with pytest.raises(InvalidInput, match="one of them"):
        ws.audit.report(tmp_path / "report.html")

    assert not (tmp_path / "report.html").exists()


def test_a_report_of_the_past_says_what_the_log_said_then(ws: Workspace, tmp_path: Path) -> None:
    then, root = ws.position, ws.log.head().frontier.root.hex()
    ws.audit.report(tmp_path / "before.html", run="parent")
    ws.get_run("parent").tag("quality", "doubtful")

    assert ws.as_of(then).audit.report(tmp_path / "then.html", run="parent") == 1

    before, past = page_of(tmp_path / "before.html"), page_of(tmp_path / "then.html")
    assert root in past.text and "doubtful" not in past.text and "events said it" in past.text
    assert [text for text in past.texts if "Written at" not in text] == [
        text for text in before.texts if "Written at" not in text
    ]

"""What is made of a hostile log to be looked at elsewhere is inert there."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Workspace
from runlore.audit import offline
from runlore.domain.errors import InvalidInput, PropertyConflict, RunloreError, RunNotFound
from runlore.engine.caller_warning import warn_caller
from tests.audit.bundles.test_report import Page, page_of
from tests.hostile.hostile_log import (
    BENIGN,
    EXPERIMENT,
    FORBIDDEN,
    HOSTILE,
    IN_NAMES,
    NAMED,
    write_hostile_workspace,
)

CLICKABLE = {"script", "img", "link", "iframe", "object", "embed", "form", "base", "svg"}


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    write_hostile_workspace(tmp_path / "lab")
    with Workspace.open(tmp_path / "lab") as workspace:
        yield workspace


def check_inert(page: Page, text: str) -> None:
    assert not CLICKABLE & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not [value for _, value in page.attributes if "javascript:" in (value or "").lower()]
    assert FORBIDDEN.findall(text) == []


@pytest.mark.parametrize("chosen", [{"run": BENIGN}, {"experiment": EXPERIMENT}], ids=str)
def test_a_report_is_inert_in_a_browser(
    chosen: dict[str, str], ws: Workspace, tmp_path: Path
) -> None:
    ws.audit.report(tmp_path / "report.html", **chosen)

    text = (tmp_path / "report.html").read_text()
    page = page_of(tmp_path / "report.html")
    check_inert(page, text)
    assert "<script>alert(1)</script>" in page.text and "\\x1b[2J" in page.text
    policies = [value for name, value in page.attributes if name == "content"]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policies
    assert "http-equiv" in dict(page.attributes)


def test_what_python_shows_is_inert(ws: Workspace) -> None:
    [hostile] = [exp for exp in Experiment.list(ws) if exp.name != EXPERIMENT]
    run = ws.get_run(BENIGN)
    result = ws.sql(f"""SELECT 1 AS "a{HOSTILE.replace(chr(0), "").replace('"', "")}" """)

    shown = [
        *map(repr, [ws, hostile, run, result, *ws.compute_targets.values()]),
        *map(str, run.history()),
        *map(str, ws.diff(1)),
    ]

    assert [text for text in shown if FORBIDDEN.search(text)] == []
    assert sum("\\x1b[2J" in text for text in shown) > 10


def test_messages_that_quote_the_log_are_inert() -> None:
    now = datetime.now(UTC)
    errors: list[Any] = [
        RunNotFound(HOSTILE, HOSTILE),
        RunloreError(HOSTILE),
        PropertyConflict(*(HOSTILE,) * 5, now, HOSTILE, HOSTILE),
    ]
    with pytest.warns(UserWarning) as told:
        warn_caller(f"tag {HOSTILE}")

    said = [*map(str, errors), str(told[0].message)]
    assert [text for text in said if FORBIDDEN.search(text)] == []
    assert errors[1].message == HOSTILE  # Programs get the text itself.


def test_an_export_for_other_programs_is_inert_and_means_the_same(
    ws: Workspace, tmp_path: Path
) -> None:
    ws.audit.export_jsonl(tmp_path / "log.jsonl")

    text = (tmp_path / "log.jsonl").read_text()
    assert FORBIDDEN.findall(text) == []
    created = [e["data"] for e in map(json.loads, text.splitlines()) if e["topic"] == "run.created"]
    assert [data["run_id"] for data in created] == [BENIGN, NAMED, "running", "queued", "plain"]
    assert {data["display_name"] for data in created} == {HOSTILE}


def test_names_in_a_bundle_are_no_paths_and_its_manifest_is_inert(
    ws: Workspace, tmp_path: Path
) -> None:
    ws.export(tmp_path / "bundle")

    with zipfile.ZipFile(tmp_path / "bundle") as bundle:
        names = bundle.namelist()
        manifest = bundle.read("manifest.json").decode()
    assert [name for name in names if FORBIDDEN.search(name) or ".." in name] == []
    assert FORBIDDEN.findall(manifest) == []


@pytest.mark.parametrize(
    "name",
    [IN_NAMES, "../out", "/tmp/out", "a\\..\\out", "C:out", "a/../../out", "\u202eb"],
)
def test_a_hostile_entry_of_a_bundle_becomes_no_file(
    name: str, ws: Workspace, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    ws.export(bundle)
    with warnings.catch_warnings(), zipfile.ZipFile(bundle, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(zipfile.ZipInfo(name), b"content")
    before = sorted(tmp_path.rglob("*"))

    with (
        Workspace.create("other", path=tmp_path / "other") as other,
        pytest.raises(RunloreError) as refused,
    ):
        other.import_bundle(bundle)

    assert FORBIDDEN.findall(str(refused.value)) == []
    made = set(tmp_path.rglob("*")) - set(before)
    assert all(path.is_relative_to(tmp_path / "other") for path in made)
    assert [path for path in made if path.name in ("out", IN_NAMES)] == []


def test_a_proof_is_inert_whether_it_holds_or_not(
    ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = ws.audit.prove(f"{BENIGN}@1")
    file = tmp_path / "proof.json"
    for place in (None, *proof["event"], "checkpoint", "runlore_proof", f"extra{HOSTILE}"):
        forged = json.loads(json.dumps(proof))
        if place in forged["event"]:
            forged["event"][place] = HOSTILE
        elif place is not None:
            forged[place] = HOSTILE
        file.write_text(json.dumps(forged))

        code = offline.main([str(file), "--no-key"])

        said = capsys.readouterr()
        assert code == (0 if place is None else 1)
        assert FORBIDDEN.findall(said.out + said.err) == []


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\u2028"], ids=ascii)
def test_a_new_name_does_not_reorder_text(character: str, tmp_path: Path) -> None:
    name = f"exe.{character}gnp"
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        run = Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None)
        for record in (
            lambda: run.tag(name),
            lambda: run.add_properties({name: "x"}),
            lambda: run.log(name, 1.0),
            lambda: run.log_table("table", {name: [1.0]}),
            lambda: run.log_metrics({name: 1.0}),
            lambda: setattr(run, "display_name", name),
            lambda: run.experiment.tag(name),
            lambda: Experiment(ws, name),
            lambda: Workspace.create("other", path=tmp_path / "other", tags={name: None}),
        ):
            with pytest.raises(InvalidInput, match=f"U\\+{ord(character):04X}"):
                record()
        run.tag("name", name)  # A value is any text.
        run.complete()


def test_a_name_of_an_old_log_that_reorders_text_is_read(ws: Workspace) -> None:
    run = ws.get_run(BENIGN)

    assert run.tags[HOSTILE] == HOSTILE
    assert run.get_metrics()[f"text{HOSTILE}"] == HOSTILE
    assert Experiment(ws, f"experiment{IN_NAMES}").name == f"experiment{IN_NAMES}"

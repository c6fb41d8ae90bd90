"""Workspaces of an older runlore: read to the letter, written on, proved as they were."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from runlore import Run, Workspace
from runlore.audit import offline
from runlore.exceptions import RunGone
from tests.fresh_python import WITHOUT_ROOTS_POWERS, run_python
from tests.old.answers import answers, plain, values_of_run
from tests.workspaces import project as project

pytestmark = pytest.mark.long

HERE = Path(__file__).parent
NAMES = ("spool", "erasable", "audited", "generations")


@pytest.fixture(autouse=True)
def _caches_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of an unpacked archive: a workspace in `lab/`, its answers beside it."""
    place = tmp_path / "unpacked"
    with tarfile.open(HERE / f"{request.param}.tar.gz") as archive:
        archive.extractall(place, filter="data")
    return place


@pytest.fixture
def old(place: Path) -> Iterator[Workspace]:
    """The old workspace, open for reading and writing."""
    with Workspace.open(place / "lab") as workspace:
        yield workspace


each = pytest.mark.parametrize("place", NAMES, indirect=True)


def only(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", [name], indirect=True)


@each
def test_an_old_workspace_answers_as_ever(place: Path, old: Workspace) -> None:
    expected = expected_of(place)

    for moment in expected["moments"]:
        check_answers(answers(old.as_of(moment["position"])), moment)
    for time, position in expected["times"]:
        assert old.as_of(time).position == position


@each
@pytest.mark.processes
def test_it_answers_in_a_folder_that_cannot_be_written(place: Path) -> None:
    expected = expected_of(place)
    make_read_only(place / "lab")
    before = contents_of(place / "lab")

    said = json.loads(run_python(_READ, cwd=HERE.parents[1], LAB=str(place / "lab")))

    end = expected["moments"][-1]
    check_answers(said["answers"], end)
    assert said["killed"] == expected.get("killed")
    assert contents_of(place / "lab") == before


_READ = (
    WITHOUT_ROOTS_POWERS
    + """
import json, os
obey_file_modes()
from runlore import Workspace
from tests.old.answers import answers, values_of_run
ws = Workspace.open(os.environ["LAB"])
runs = [run for (run,) in ws.sql("SELECT run_id FROM runs").fetchall()]
said = {
    "answers": answers(ws.as_of(ws.position)),
    "killed": values_of_run(ws, "killed") if "killed" in runs else None,
}
print(json.dumps(said))
"""
)


@each
def test_it_is_written_on(place: Path, old: Workspace) -> None:
    with started(old, "new") as run:
        run.log("loss", 0.25)
        run.tag("quality", "great")
    old.get_run("search").tag("seen", "again")
    end = expected_of(place)["moments"][-1]

    assert old.get_run("search").get_tags() == {**end["runs"]["search"]["tags"], "seen": "again"}
    assert run.get_metrics() == {"loss": 0.25}
    tagged = old.experiments["explore-runs"].get_runs(tags={"quality": "great"})
    assert [one.id for one in tagged] == ["new", *end["lists"]["explore-runs, tagged"]]
    check_answers(answers(old.as_of(end["position"])), end)
    assert old.audit.verify().holds
    assert old.audit.replay().holds


@only("spool")
def test_the_values_in_a_killed_writers_spool_are_recovered(place: Path, old: Workspace) -> None:
    killed = expected_of(place)["killed"]

    assert values_of_run(old, "killed") == killed
    counted = old.sql(
        "SELECT metric, count(*) FROM metric_points WHERE run_id = 'killed' GROUP BY ALL"
    ).fetchall()
    assert dict(counted) == {
        name: len(found["steps"]) * len(found["columns"]) for name, found in killed.items()
    }
    assert list((place / "lab/spools").iterdir()) == []
    old.close()
    with Workspace.open(place / "lab") as again:
        assert values_of_run(again, "killed") == killed
        assert again.audit.verify().holds


@each
def test_its_files_have_their_content(place: Path, old: Workspace) -> None:
    run = old.get_run("search")
    for name, content in {
        "notes/first.txt": "a note",
        "results/model.txt": "a model",
        "curve.png": "not a real image",
    }.items():
        run.download_file(name, str(place / "downloaded"))
        assert (place / "downloaded").read_text() == content
    restored = Path(run.restore_snapshot(path=str(place / "snapshot")))
    assert b"the script" in restored.read_bytes()
    document = run.get_metrics(populate=True)["residuals"]
    assert document["data"] == {"class_labels": ["a"]}


@only("erasable")
def test_what_was_erased_stays_erased(old: Workspace) -> None:
    forgotten = old.get_run("forgotten")

    assert (forgotten.erased, forgotten.get_status()) == (True, "Completed")
    with pytest.raises(RunGone):
        forgotten.tag("participant", "Bob")
    old.get_run("kept").tag("participant", "Dora")
    old.erase_run("kept", reason="consent was withdrawn as well")
    assert old.get_run("kept").get_tags() == {}
    assert old.audit.verify().holds


@only("audited")
def test_its_checkpoints_hold_and_its_key_signs_new_ones(place: Path, old: Workspace) -> None:
    checkpoints = expected_of(place)["checkpoints"]
    kept = [place / f"elsewhere/{size}.txt" for size in checkpoints]
    assert [one.size for one in old.audit.checkpoints()] == checkpoints
    old.get_run("later").tag("seen", "again")

    new, _ = old.audit.checkpoint(key=place / "lab.key", export=place / "elsewhere")

    assert new.size == old.position > checkpoints[-1]
    verified = old.audit.verify(checkpoints=kept, trusted=place / "lab.pub")
    assert verified.holds
    assert len(verified.checkpoints) == 3


@only("audited")
@pytest.mark.parametrize("proof", ["proof.json", "growth.json"])
def test_its_proofs_are_verified_offline(place: Path, proof: str) -> None:
    key = offline.VerifierKey.parse((place / "lab.pub").read_text().strip())
    document = offline.parse_proof((place / proof).read_text())

    assert offline.verify_proof(document, [key])[-1].endswith(f"(key {key.key_id.hex()}).")


@only("audited")
def test_its_bundle_is_verified_and_imported(place: Path, old: Workspace) -> None:
    bundle = place / "search.bundle"
    end = expected_of(place)["moments"][-1]

    assert old.audit.verify_bundle(bundle, trusted=place / "lab.pub").holds
    assert old.audit.replay_bundle(bundle).holds
    with Workspace.create("other", path=place / "other") as other:
        assert other.import_bundle(bundle).runs == 7
        assert other.log.version == 1
        assert other.get_run("search").get_tags() == end["runs"]["search"]["tags"]
        assert values_of_run(other, "search") == plain(end["runs"]["search"]["values"])
        assert other.import_bundle(bundle).events == 0
        assert other.audit.verify().holds


@only("generations")
def test_the_tables_that_it_brings_are_neither_believed_nor_touched(place: Path) -> None:
    tables = list(place.glob("lab/projections/*/*/**/projection.duckdb"))
    assert {path.parents[1].name for path in tables} > {"generations"}
    for path in tables:
        with duckdb.connect(path) as forged:
            forged.execute("UPDATE store.run_tags SET value = 'forged'")
    before = contents_of(place / "lab" / "projections")

    with Workspace.open(place / "lab") as ws:
        assert ws.sql("SELECT count(*) FROM tags WHERE value = 'forged'").fetchall() == [(0,)]
        assert [
            run.id for run in ws.experiments["explore-runs"].get_runs(tags={"quality": "great"})
        ]
        assert ws.audit.replay(generations=True).holds

    assert contents_of(place / "lab" / "projections") == before


_SUMS = slice(7, 10)
"""The columns min, max and mean of the view `metrics`; what is no finite number is text there."""


def expected_of(place: Path) -> Any:
    """All that the old code said of the workspace, see `make.py`."""
    return json.loads((place / "answers.json").read_text())


def check_answers(said: dict[str, Any], expected: dict[str, Any]) -> None:
    """Fails at the first part of the answers that is not as it was.

    Payloads are shown in the newest shape of their topics, which may have more fields. The least,
    greatest and mean values of a metric are those of its finite values since.
    """
    for new, old in zip(said["sql"]["metrics"], expected["sql"]["metrics"], strict=True):
        if any(isinstance(value, str) for value in old[_SUMS]):
            assert not any(isinstance(value, str) for value in new[_SUMS])
            new[_SUMS] = old[_SUMS]
    payloads = said.pop("payloads")
    then = expected["payloads"]
    assert [shared(new, old) for new, old in zip(payloads, then, strict=True)] == then
    assert said.keys() == expected.keys() - {"payloads"}
    for part, found in said.items():
        if isinstance(found, dict):
            for key in expected[part]:
                assert found[key] == expected[part][key], (part, key)
        assert found == expected[part], part


def shared(payload: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """The fields of the payload that it had when it was recorded."""
    return {key: value for key, value in payload.items() if key in old}


def started(ws: Workspace, run_id: str) -> Run:
    return ws.experiments["explore-runs"].start_logging(
        run_id=run_id, outputs=False, snapshot_directory=None
    )


def make_read_only(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)


def contents_of(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }

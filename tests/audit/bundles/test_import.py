"""An import adds what a bundle holds, once, and keeps who wrote it, where and when."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from runlore import Experiment, Workspace
from runlore.audit.bundles.imports import ImportClash
from runlore.domain.definition import Definition
from runlore.domain.errors import RunNotFound
from runlore.domain.events import RunSubmitted
from runlore.domain.experiment import GetOrCreate
from runlore.engine.streams import change_experiment, stream_of_experiment
from runlore.projections.filters import RunFilter
from runlore.storage.codec import encode_event, fact_of
from runlore.testing.logs import Clock, check_head
from runlore.workspace import session_of
from tests.audit.bundles.forging import with_rows


@pytest.fixture
def path(ws: Workspace, tmp_path: Path) -> Path:
    """The run with its children, exported."""
    ws.export(tmp_path / "parent.bundle", run="parent")
    return tmp_path / "parent.bundle"


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Workspace]:
    """Another workspace, with nothing in it."""
    with Workspace.create("other", path=tmp_path / "other") as workspace:
        yield workspace


def start(workspace: Workspace, experiment: str, run_id: str) -> None:
    Experiment(workspace, experiment).start_logging(
        run_id=run_id, outputs=False, snapshot_directory=None
    )


def test_an_experiments_id_that_another_event_gave_is_a_clash(
    ws: Workspace, other: Workspace, path: Path
) -> None:
    experiment_id = ws.get_run("parent").experiment.id
    before = other.position
    command = GetOrCreate("elsewhere", experiment_id)
    change_experiment(session_of(other).writable(), stream_of_experiment("elsewhere"), command)

    with pytest.raises(ImportClash, match=rf"{experiment_id} is in this workspace.*'elsewhere' by"):
        other.import_bundle(path)

    assert other.position == before + 1


def test_all_of_a_run_is_there_under_its_ids(
    ws: Workspace, other: Workspace, path: Path, tmp_path: Path
) -> None:
    imported = other.import_bundle(path)

    assert imported.runs == 3 and imported.absent == ()
    before, after = ws.get_run("parent"), other.get_run("parent")
    assert after.get_status() == "Completed"
    assert after.get_tags() == before.get_tags()
    assert after.get_properties() == before.get_properties()
    assert other.get_run("child-1").get_metrics() == ws.get_run("child-1").get_metrics()
    assert [child.id for child in after.get_children()] == ["child-1", "child-0"]
    after.download_file("outputs/model.bin", str(tmp_path / "again.bin"))
    assert (tmp_path / "again.bin").read_bytes() == b"the weights"
    assert [one.id for one in Experiment(other, "trees").get_runs()] == ["parent"]
    check_head(other.log)
    assert other.audit.replay().holds


def test_the_envelope_of_before_is_kept_as_origin(
    ws: Workspace, other: Workspace, path: Path
) -> None:
    other.import_bundle(path)

    [before, *_] = ws.log.read_stream("run/parent")
    [after, *_] = other.log.read_stream("run/parent")
    assert (after.event_id, after.state) == (before.event_id, before.state)
    assert after.position != before.position
    said = msgpack.unpackb(after.metadata)
    assert said["writer"] == session_of(ws).journal.writer_id
    assert said["origin"] == {
        "workspace": session_of(ws).workspace.workspace_id,
        "position": before.position,
        "recorded_at": before.recorded_at,
        "imported_by": session_of(other).journal.writer_id,
    }


def test_the_times_of_a_slow_clock_are_kept_as_origin_and_bind_nothing_here(
    ws: Workspace, other: Workspace, tmp_path: Path
) -> None:
    log = session_of(ws).log
    slow = Clock(log.head().recorded_at - 60_000_000)
    log._clock = slow  # type: ignore[attr-defined]  # Both kinds of log have one.
    start(ws, "trees", "slow")
    ws.export(tmp_path / "slow", run="slow")
    other.import_bundle(tmp_path / "slow")

    [before, *_] = ws.log.read_stream("run/slow")
    [after, *_] = other.log.read_stream("run/slow")
    said, origin = msgpack.unpackb(before.metadata), msgpack.unpackb(after.metadata)["origin"]
    assert (said["observed_at"], said["as_of"]) == (slow.now, slow.now)
    assert (origin["observed_at"], origin["as_of"]) == (slow.now, slow.now)
    assert fact_of(before).observed_at == slow.now
    assert fact_of(after).observed_at >= before.recorded_at
    assert not {"observed_at", "as_of"} & msgpack.unpackb(after.metadata).keys()


def test_an_imported_run_that_is_exported_and_imported_again_keeps_all_its_origins(
    other: Workspace, path: Path, tmp_path: Path
) -> None:
    other.import_bundle(path)
    other.export(tmp_path / "second", run="parent")
    with Workspace.create("third", path=tmp_path / "third") as third:
        third.import_bundle(tmp_path / "second")

        [row, *_] = third.log.read_stream("run/parent")
    origin = msgpack.unpackb(row.metadata)["origin"]
    assert origin["workspace"] == session_of(other).workspace.workspace_id
    assert origin["origin"]["workspace"] != origin["workspace"]


def test_a_second_import_and_one_into_its_own_workspace_change_nothing(
    ws: Workspace, other: Workspace, path: Path
) -> None:
    first = other.import_bundle(path)
    for workspace in (ws, other):
        before = workspace.log.head()

        again = workspace.import_bundle(path)

        assert workspace.log.head() == before
        assert (again.events, again.runs, again.artifacts) == (0, 0, 0)
        assert again.passed_over == first.events


def test_what_was_exported_later_adds_the_rest(ws: Workspace, other: Workspace, path: Path) -> None:
    other.import_bundle(path)
    ws.get_run("parent").tag("later", "yes")
    ws.export(path, run="parent")

    assert other.import_bundle(path).events == 1
    assert other.get_run("parent").get_tags()["later"] == "yes"


def test_a_run_of_the_same_id_is_a_clash_and_nothing_is_written(
    other: Workspace, path: Path
) -> None:
    start(other, "trees", "child-1")
    assert other.path is not None
    before, files = other.log.head(), set(other.path.rglob("artifacts/**"))

    with pytest.raises(ImportClash, match="run child-1 is in this workspace as well"):
        other.import_bundle(path)

    assert other.log.head() == before
    assert set(other.path.rglob("artifacts/**")) == files


def test_a_run_that_both_have_continued_is_a_clash(
    ws: Workspace, other: Workspace, path: Path
) -> None:
    other.import_bundle(path)
    other.get_run("parent").tag("here", "other")
    ws.get_run("parent").tag("there", "lab")
    ws.export(path, run="parent")

    with pytest.raises(ImportClash, match="run parent is in this workspace as well"):
        other.import_bundle(path)


def test_an_experiment_whose_name_is_held_comes_in_archived(
    ws: Workspace, other: Workspace, path: Path
) -> None:
    start(other, "trees", "mine")
    held = Experiment(other, "trees").id

    imported = other.import_bundle(path)

    assert imported.archived == ("trees",)
    assert Experiment(other, "trees").id == held
    assert other.get_run("parent").experiment.archived_time is not None
    mine = session_of(other).reader().runs(RunFilter(experiment_id=held))
    assert [row.run_id for row in mine] == ["mine"]
    assert other.import_bundle(path).events == 0
    assert other.audit.replay().holds


def test_a_child_without_its_parent_is_a_root(ws: Workspace, other: Workspace, path: Path) -> None:
    ws.export(path, run="child-0")

    other.import_bundle(path)

    child = other.get_run("child-0")
    assert child.parent is None
    assert child.root.id == "child-0"
    assert [run.id for run in child.experiment.get_runs()] == ["child-0"]


def test_a_submitted_run_that_has_not_ended_is_lost_where_it_has_no_supervisor(
    ws: Workspace, other: Workspace, tmp_path: Path
) -> None:
    run = Experiment(ws, "scripts").start_logging(
        run_id="script", outputs=False, snapshot_directory=None
    )
    run.tag("stands", "for the submission")
    path = tmp_path / "script.bundle"
    ws.export(path, run="script")
    definition = Definition(script="train.py", interpreter="/usr/bin/python3").model_dump()
    submitted = encode_event(RunSubmitted(definition=definition))
    with_rows(
        path,
        lambda rows: [
            row._replace(topic="run.submitted", state=submitted)
            if row.topic == "run.tag_set"
            else row
            for row in rows
        ],
    )

    other.import_bundle(path)

    assert other.get_run("script").get_status() == "Failed"
    assert "lost" in {row.topic.rpartition(".")[2] for row in other.log.read_stream("run/script")}


def test_files_that_only_the_digests_are_known_of_are_told(
    ws: Workspace, other: Workspace, path: Path
) -> None:
    lean = ws.export(path, run="parent", artifacts="digests")

    assert list(other.import_bundle(path).absent) == lean.absent != []


def test_a_parent_that_arrives_takes_its_children_and_earlier_moments_stay_as_they_were(
    ws: Workspace, other: Workspace, path: Path, tmp_path: Path
) -> None:
    ws.export(tmp_path / "child", run="child-0")
    other.import_bundle(tmp_path / "child")
    reader = session_of(other).reader()
    before = reader.projection.refresh()
    shown = list(reader.runs())

    other.import_bundle(path)

    assert [run.id for run in other.get_run("parent").get_children()] == ["child-1", "child-0"]
    assert [row.run_id for row in reader.runs()] == ["parent"]
    assert other.get_run("child-0").root.id == "parent"
    assert list(reader.at(before).runs()) == shown
    with pytest.raises(RunNotFound):
        list(reader.at(before).runs(RunFilter(below_run="parent", include_children=True)))
    assert other.audit.replay().holds and other.audit.replay(to=before).holds

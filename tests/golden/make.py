"""Write the bytes of events that have no golden file yet: `python -m tests.golden.make`.

An existing file is never rewritten: logs in use have the same bytes. A new topic, or a new version
of one, gets an example below; the example of the old version then says how its bytes read after the
upcast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runlore.domain.events import (
    ArtifactAdded,
    ArtifactPruned,
    ChangeRefused,
    ComputeTargetAttached,
    ComputeTargetDeleted,
    ConfigAdded,
    ConfigCorrected,
    DescriptionSet,
    DisplayNameSet,
    EnvironmentRecorded,
    Event,
    ExperimentArchived,
    ExperimentCreated,
    ExperimentReactivated,
    ExperimentRenamed,
    ExperimentTagRemoved,
    ExperimentTagSet,
    FilesPlaced,
    PropertyAdded,
    PropertyCorrected,
    RunAlerted,
    RunArchived,
    RunCanceled,
    RunCancelRequested,
    RunCompleted,
    RunCreated,
    RunErased,
    RunFailed,
    RunFound,
    RunLost,
    RunPlaced,
    RunReactivated,
    RunResumed,
    RunRewound,
    RunStarted,
    RunStatusChanged,
    RunSubmitted,
    ScriptExited,
    SnapshotTaken,
    TablesPublished,
    TagRemoved,
    TagSet,
    ValuesLogged,
    ViewDeleted,
    ViewSaved,
    WarningAdded,
    WorkspaceAdopted,
    WorkspaceCreated,
    WriterOpened,
)
from runlore.domain.status import Status
from runlore.storage.codec import encode_event

FOLDER: Final = Path(__file__).parent

_NEWEST: Final[tuple[Event, ...]] = (
    WorkspaceCreated(
        workspace_id="0f8fad5b-d9cb-469f-a165-70867728950e",
        name="lab",
        subscription_id="sub",
        resource_group="group",
        location="here",
        tags={"team": "vision", "key only": None},
        erasable=True,
    ),
    WriterOpened(
        actor="ann",
        host="node1",
        boot_id="c0ffee",
        pid=4711,
        process="train.py",
        client_version="0.1.0",
        started_at=1_700_000_000_000_000,
        uid=1000,
        machine_id="4c0ffee",
        program="/home/ann/train.py",
    ),
    WorkspaceAdopted(
        workspace_id="7c9e6679-7425-40de-944b-e07fc1f90ae7",
        origin_id="0f8fad5b-d9cb-469f-a165-70867728950e",
        note="found in /data/copy",
    ),
    FilesPlaced(uri="s3://lab/team"),
    TablesPublished(
        position=1_000_000,
        tables="7-c0ffee00-duckdb2.0.0",
        sha256="2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        nbytes=123_456_789,
    ),
    ExperimentRenamed(
        experiment_id="e1",
        name="cv/fold 1",
        previous="schätzung",
        created_at=1_700_000_000_000_000,
        tags={"best": None},
    ),
    ViewSaved(name="best 3", definition={"where": "config.lr < 0.1", "columns": ["loss"]}),
    ViewDeleted(name="best 3"),
    ExperimentCreated(experiment_id="e1", name="schätzung"),
    ExperimentArchived(experiment_id="e1"),
    ExperimentReactivated(experiment_id="e1"),
    ExperimentTagSet(experiment_id="e1", key="best", value=None),
    ExperimentTagRemoved(experiment_id="e1", key="best"),
    RunCreated(
        run_id="r2",
        experiment_id="e1",
        experiment_name="schätzung",
        status=Status.RUNNING,
        parent_id="r1",
        root_id="r1",
        run_type="azureml.scriptrun",
        target="local",
        name="fold 1",
        display_name="calm_sun",
        description="# why",
        outputs=("outputs", "logs"),
        tags={"lr": "0.1", "key only": None},
        properties={"author": "ann"},
        config='{"lr":0.1,"net":{"layers":[64,64],"act.fn":"relu"}}',
        given_at=1_600_000_000_000_000,
        given_user="ben",
        begun=False,
    ),
    ComputeTargetAttached(
        name="gpu-cluster", type="pool", settings={"slots": 2, "grace_s": 10.0, "note": None}
    ),
    ComputeTargetDeleted(name="gpu-cluster"),
    RunSubmitted(
        definition={"script": "train.py", "arguments": ["--lr", "0.1"], "seconds": None},
        repeats="r1",
    ),
    RunPlaced(handle="4711"),
    RunStarted(began_at=1_700_000_000_000_000),
    RunStatusChanged(status=Status.QUEUED, detail="2 runs before this one"),
    RunCancelRequested(),
    RunCompleted(),
    RunFailed(error={"code": "UserError", "message": "boom", "debug_type": "ValueError"}),
    RunCanceled(),
    RunLost(
        error={"code": "RunLost", "message": "its process died"},
        evidence={"writer": "f" * 32, "host": "node1", "pid": 4711, "lock": "free", "uid": None},
    ),
    RunFound(status=Status.RUNNING),
    RunResumed(),
    RunRewound(step=-3),
    RunArchived(),
    RunReactivated(),
    ConfigAdded(config='{"seed":null}'),
    ConfigCorrected(key="net.act\\.fn", value='"gelu"', superseded='"relu"'),
    ArtifactPruned(name="outputs/model.pkl", sha256="ab" * 32),
    EnvironmentRecorded(environment={"script": "train.py", "git": {"commit": "c0ffee"}}),
    RunAlerted(title="loss is NaN", text="at step 3", level="error"),
    ScriptExited(rank=1, exit_code=None, signal="SIGKILL"),
    WarningAdded(source="outputs", message="'outputs/x' may not be read"),
    TagSet(key="lr", value="0.2"),
    TagRemoved(key="lr"),
    PropertyAdded(key="auc", value="0.9"),
    PropertyCorrected(key="auc", value="0.71", superseded="0.9"),
    DisplayNameSet(display_name="ruhige Sonne ☀"),
    DescriptionSet(description="line 1\nline 2"),
    ArtifactAdded(
        name="outputs/model.pkl",
        sha256="ab" * 32,
        nbytes=2**40,
        uri="s3://models/model.pkl",
        replaces="cd" * 32,
    ),
    SnapshotTaken(snapshot_id="s1", manifest_sha256="cd" * 32, files=12, nbytes=34_567),
    ChangeRefused(
        change="run.property_added",
        key="auc",
        held="0.9",
        refused="1.0",
        reason="property is held with another value",
    ),
    ValuesLogged(
        writer_id="f" * 32,
        first_seq=2,
        count=3,
        series=({"name": "loss", "columns": [], "kind": "scalar", "n": 3},),
        payload=bytes(range(256)),
        payload_ref=("file:///values", "ef" * 32, 3),
    ),
    RunErased(
        run_id="r2",
        experiment_id="e1",
        experiment_name="schätzung",
        parent_id="r1",
        root_id="r1",
        status=Status.COMPLETED,
        started_at=1_700_000_000_000_000,
        ended_at=1_700_000_000_000_001,
    ),
)

EXPECTED: Final[dict[tuple[str, int], Event]] = {
    **{(event.topic, event.schema_version): event for event in _NEWEST},
    ("workspace.created", 1): WorkspaceCreated(
        workspace_id="0f8fad5b-d9cb-469f-a165-70867728950e",
        name="lab",
        subscription_id="sub",
        resource_group="group",
        location="here",
        tags={"team": "vision", "key only": None},
        erasable=False,
    ),
    ("run.failed", 1): RunFailed(error={"code": "UserError", "message": "boom"}),
    ("writer.opened", 1): WriterOpened(
        actor="ann",
        host="node1",
        boot_id="c0ffee",
        pid=4711,
        process="train.py",
        client_version="0.1.0",
    ),
    ("run.created", 1): RunCreated(
        run_id="r2",
        experiment_id="e1",
        experiment_name="schätzung",
        status=Status.RUNNING,
        parent_id="r1",
        root_id="r1",
        run_type="azureml.scriptrun",
        target="local",
        name="fold 1",
        display_name="calm_sun",
        description="# why",
        outputs=("outputs", "logs"),
        tags={"lr": "0.1", "key only": None},
        properties={"author": "ann"},
    ),
    ("run.started", 1): RunStarted(),
    ("run.lost", 1): RunLost(error={"code": "RunLost", "message": "its supervisor died"}),
    ("run.artifact_added", 1): ArtifactAdded(
        name="outputs/model.pkl", sha256="ab" * 32, nbytes=2**40
    ),
}
"""The event of each topic and version after decoding."""


def path_of(topic: str, version: int, folder: Path = FOLDER) -> Path:
    """The golden file of a topic and version."""
    return folder / f"{topic}.v{version}.bin"


def parse_name(name: str) -> tuple[str, int]:
    """The topic and version of a golden file."""
    topic, _, version = name.removesuffix(".bin").rpartition(".v")
    return topic, int(version)


def write_missing(folder: Path = FOLDER) -> list[str]:
    """Write missing files of the newest versions; return their names."""
    made = []
    for event in _NEWEST:
        path = path_of(event.topic, event.schema_version, folder)
        if not path.exists():
            path.write_bytes(encode_event(event))
            made.append(path.name)
    return made


if __name__ == "__main__":
    print("\n".join(write_missing()) or "nothing to do: every topic and version has its bytes")

"""Hypothesis strategies for texts, events, facts, commands and logged values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.domain import experiment, run
from runlore.domain import run_commands as commands
from runlore.domain.config import json_text
from runlore.domain.fact import Fact
from runlore.domain.run_state import Artifact
from runlore.domain.status import TERMINAL, Status
from runlore.storage.codec import decode_event, encode_event
from runlore.storage.value_codec import Scalar, Series
from tests.logged_values import Record

# --- texts, keys, ids ---------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
"""Anything that can be written as UTF-8."""

keys = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc"],
        exclude_characters="\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    ),
    min_size=1,
    max_size=20,
)
"""Tag, property and metric names: no controls, nothing that reorders a line, never empty."""

few_keys = st.sampled_from(["a", "b", "worth another look", "ключ"])
"""Keys that occur repeatedly in one example."""

run_ids = st.from_regex(r"\A[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}\Z")
experiment_names = st.from_regex(r"\A[a-zA-Z0-9][\w-]{0,20}\Z") | st.text(
    st.sampled_from("aB/%25\n .é\x85"), min_size=1, max_size=8
).filter(lambda name: name.strip() != "")
writer_ids = st.sampled_from(["1" * 32, "2" * 32, "3" * 32])
statuses = st.sampled_from(Status)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
counts = st.integers(0, 2**63 - 1)

pairs = st.dictionaries(keys, st.none() | texts, max_size=4)
"""Tag and property maps: texts, or None for key-only."""

few_pairs = st.dictionaries(few_keys, st.none() | st.sampled_from(["x", "y", ""]), max_size=3)

# --- logged values ------------------------------------------------------------------------

int64s = st.integers(-(2**63), 2**63 - 1)
floats = st.floats() | st.sampled_from([0.0, -0.0, float("nan"), float("inf"), float("-inf")])

scalars: st.SearchStrategy[Scalar] = st.one_of(
    floats, int64s, st.integers(), st.integers(2**64, 2**200), st.booleans(), texts, st.none()
)
"""Values of every type that `log` takes, including extremes."""


def _columns_of(width: int) -> st.SearchStrategy[tuple[Scalar, ...]]:
    return st.tuples(*[scalars] * width)


@st.composite
def series_and_values(draw: st.DrawFn, values: st.SearchStrategy[Scalar] = scalars) -> Any:
    """A series with a list of values that fit it: scalars, or a tuple per row."""
    columns = draw(st.lists(keys, max_size=3, unique=True).map(tuple))
    series = Series(
        draw(keys), columns, "row" if columns else "scalar", draw(st.sampled_from(["", "in s"]))
    )
    row = st.tuples(*[values] * len(columns)) if columns else values
    return series, draw(st.lists(row, min_size=1, max_size=8))


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Records of up to three series, mixed in time."""
    every = [
        Record(series, draw(int64s), draw(int64s), value)
        for series, values in draw(
            st.lists(series_and_values(), min_size=1, max_size=3, unique_by=lambda s: s[0])
        )
        for value in values
    ]
    return draw(st.permutations(every))


documents = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | counts | texts,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
        max_leaves=4,
    ),
    max_size=3,
)

_config_keys = st.sampled_from(["a", "b", "a.b", "c\\"])
few_configs = st.dictionaries(
    _config_keys,
    st.recursive(
        st.none() | st.booleans() | counts | texts,
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(_config_keys, inner, max_size=2)
        ),
        max_leaves=4,
    ),
    max_size=3,
)
"""Configs with few keys, so that they meet."""
leaves = (st.none() | st.booleans() | counts | texts).map(json_text)

# --- events -------------------------------------------------------------------------------

_SERIES = st.fixed_dictionaries(
    {
        "name": keys,
        "columns": st.lists(keys, max_size=2),
        "kind": st.sampled_from(["scalar", "row", "image"]),
        "n": counts,
    }
)

_FIELDS: dict[type[ev.Event], dict[str, st.SearchStrategy[Any]]] = {
    ev.WorkspaceCreated: {
        "workspace_id": texts,
        "name": texts,
        "subscription_id": texts,
        "resource_group": texts,
        "location": texts,
        "tags": pairs,
        "erasable": st.booleans(),
    },
    ev.WriterOpened: {
        "actor": texts,
        "host": texts,
        "boot_id": texts,
        "pid": counts,
        "process": texts,
        "client_version": texts,
        "started_at": st.none() | counts,
        "uid": st.none() | counts,
        "machine_id": st.none() | texts,
        "program": st.none() | texts,
    },
    ev.WorkspaceAdopted: {"workspace_id": texts, "origin_id": texts, "note": texts},
    ev.FilesPlaced: {"uri": texts},
    ev.TablesPublished: {"position": counts, "tables": texts, "sha256": texts, "nbytes": counts},
    ev.ExperimentRenamed: {
        "experiment_id": texts,
        "name": experiment_names,
        "previous": experiment_names,
        "created_at": counts,
        "tags": few_pairs,
    },
    ev.ViewSaved: {"name": texts, "definition": documents},
    ev.ViewDeleted: {"name": texts},
    ev.ExperimentCreated: {"experiment_id": texts, "name": experiment_names},
    ev.ExperimentArchived: {"experiment_id": texts},
    ev.ExperimentReactivated: {"experiment_id": texts},
    ev.ExperimentTagSet: {"experiment_id": texts, "key": keys, "value": st.none() | texts},
    ev.ExperimentTagRemoved: {"experiment_id": texts, "key": keys},
    ev.RunCreated: {
        "run_id": run_ids,
        "experiment_id": texts,
        "experiment_name": experiment_names,
        "status": statuses,
        "parent_id": st.none() | run_ids,
        "root_id": run_ids,
        "run_type": st.none() | texts,
        "target": st.none() | texts,
        "name": st.none() | texts,
        "display_name": st.none() | keys,
        "description": st.none() | texts,
        "outputs": st.lists(texts, max_size=3).map(tuple),
        "tags": pairs,
        "properties": pairs,
        "begun": st.booleans(),
    },
    ev.ComputeTargetAttached: {"name": texts, "type": texts, "settings": documents},
    ev.ComputeTargetDeleted: {"name": texts},
    ev.RunSubmitted: {"definition": documents, "repeats": st.none() | run_ids},
    ev.RunLost: {
        "error": st.dictionaries(texts, texts, max_size=4),
        "evidence": st.dictionaries(texts, st.none() | counts | texts, max_size=3),
    },
    ev.RunFound: {"status": statuses},
    ev.RunResumed: {},
    ev.RunRewound: {"step": int64s},
    ev.RunArchived: {},
    ev.RunReactivated: {},
    ev.ConfigAdded: {"config": few_configs.map(json_text)},
    ev.ConfigCorrected: {"key": keys, "value": leaves, "superseded": leaves},
    ev.ArtifactPruned: {"name": keys, "sha256": st.none() | digests},
    ev.EnvironmentRecorded: {
        "environment": documents
        | st.fixed_dictionaries(
            {"script": texts | st.none(), "git": texts | st.fixed_dictionaries({"commit": texts})}
        )
    },
    ev.RunAlerted: {"title": texts, "text": texts, "level": st.sampled_from(run.ALERT_LEVELS)},
    ev.RunPlaced: {"handle": texts},
    ev.ScriptExited: {
        "rank": counts,
        "exit_code": st.none() | counts,
        "signal": st.none() | texts,
    },
    ev.WarningAdded: {"source": texts, "message": texts},
    ev.RunStarted: {"began_at": st.none() | counts},
    ev.RunStatusChanged: {"status": statuses, "detail": st.none() | texts},
    ev.RunCancelRequested: {},
    ev.RunCompleted: {},
    ev.RunFailed: {"error": st.dictionaries(texts, texts, max_size=4)},
    ev.RunCanceled: {},
    ev.TagSet: {"key": keys, "value": st.none() | texts},
    ev.TagRemoved: {"key": keys},
    ev.PropertyAdded: {"key": keys, "value": st.none() | texts},
    ev.PropertyCorrected: {
        "key": keys,
        "value": st.none() | texts,
        "superseded": st.none() | texts,
    },
    ev.DisplayNameSet: {"display_name": keys},
    ev.DescriptionSet: {"description": texts},
    ev.ArtifactAdded: {
        "name": keys,
        "sha256": st.none() | digests,
        "nbytes": st.none() | counts,
        "uri": st.none() | texts,
        "replaces": st.none() | digests,
    },
    ev.SnapshotTaken: {
        "snapshot_id": texts,
        "manifest_sha256": digests,
        "files": counts,
        "nbytes": counts,
    },
    ev.ChangeRefused: {
        "change": st.sampled_from(sorted(ev.REGISTRY)),
        "key": st.none() | keys,
        "held": st.none() | texts,
        "refused": st.none() | texts,
        "reason": texts,
    },
    ev.RunErased: {
        "run_id": run_ids,
        "experiment_id": texts,
        "experiment_name": experiment_names,
        "parent_id": st.none() | run_ids,
        "root_id": run_ids,
        "status": statuses,
        "started_at": st.none() | counts,
        "ended_at": st.none() | counts,
    },
    ev.ValuesLogged: {
        "writer_id": writer_ids,
        "first_seq": counts,
        "count": counts,
        "series": st.lists(_SERIES, max_size=2).map(tuple),
        "payload": st.none() | st.binary(max_size=40),
        "payload_ref": st.none() | st.tuples(texts, digests, counts),
    },
}


def events_of(event_type: type[ev.Event]) -> st.SearchStrategy[ev.Event]:
    """Events of one type; KeyError for a type that has no strategy yet."""
    return st.builds(event_type, **_FIELDS[event_type])


events = st.sampled_from(ev.EVENT_TYPES).flatmap(events_of)

_LATER_TYPES: tuple[type[ev.Event], ...] = (
    ev.RunStarted,
    ev.RunStatusChanged,
    ev.RunCancelRequested,
    ev.RunCompleted,
    ev.RunFailed,
    ev.RunCanceled,
    ev.RunLost,
    ev.RunFound,
    ev.RunResumed,
    ev.RunRewound,
    ev.RunArchived,
    ev.RunReactivated,
    ev.ArtifactPruned,
    ev.EnvironmentRecorded,
    ev.RunAlerted,
    ev.RunSubmitted,
    ev.RunPlaced,
    ev.ScriptExited,
    ev.WarningAdded,
    ev.DisplayNameSet,
    ev.DescriptionSet,
    ev.ArtifactAdded,
    ev.SnapshotTaken,
    ev.ChangeRefused,
)

run_events = st.one_of(
    *[events_of(event_type) for event_type in _LATER_TYPES],
    st.builds(ev.TagSet, key=few_keys, value=st.none() | texts),
    st.builds(ev.TagRemoved, key=few_keys),
    st.builds(ev.PropertyAdded, key=few_keys, value=st.none() | texts),
    st.builds(ev.ConfigAdded, config=few_configs.map(json_text)),
    st.builds(ev.ConfigCorrected, key=few_keys, value=leaves, superseded=leaves),
    st.builds(
        ev.PropertyCorrected,
        key=few_keys,
        value=st.none() | texts,
        superseded=st.none() | texts,
    ),
)
"""The events that can follow `run.created`, whether the status machine allows them or not."""

# --- facts --------------------------------------------------------------------------------


def fact_of_event(event: ev.Event, version: int, writer_id: str = "1" * 32) -> Fact:
    """The event as a log returns it: encoded and decoded, with a position and a time."""
    return Fact(
        position=version,
        stream="run/r",
        version=version,
        topic=event.topic,
        data=decode_event(event.topic, encode_event(event)),
        event_id=version.to_bytes(16, "big"),
        recorded_at=1_700_000_000_000_000 + version,
        observed_at=1_700_000_000_000_000 + version,
        writer_id=writer_id,
    )


def _unknown_fact(version: int) -> Fact:
    return fact_of_event(ev.RunStarted(), version)._replace(topic="run.of_tomorrow", data=None)


def _numbered(chosen: Sequence[ev.Event | None]) -> list[Fact]:
    return [
        _unknown_fact(version) if event is None else fact_of_event(event, version)
        for version, event in enumerate(chosen, 1)
    ]


run_histories: st.SearchStrategy[list[Fact]] = st.tuples(
    st.lists(events_of(ev.RunCreated), min_size=1, max_size=1),
    st.lists(run_events | st.none(), max_size=20),
).map(lambda parts: _numbered([*parts[0], *parts[1]]))
"""The facts of a run's stream, including events of a newer runlore."""

# --- commands -----------------------------------------------------------------------------

artifacts = st.builds(Artifact, digests, counts, st.none(), st.just(False)) | st.builds(
    Artifact,
    st.none() | digests,
    st.none() | counts,
    st.just("s3://bucket/key"),
    st.just(False),
)

run_commands: st.SearchStrategy[commands.Command] = st.one_of(
    st.builds(commands.SetTags, few_pairs),
    st.builds(commands.RemoveTags, st.lists(few_keys, max_size=3)),
    st.builds(commands.AddProperties, few_pairs),
    st.builds(commands.CorrectProperty, few_keys, st.none() | texts, st.just("it was wrong")),
    st.builds(commands.AddConfig, few_configs),
    st.builds(
        commands.CorrectConfig,
        st.sampled_from(["a", "b", "a.b"]),
        counts,
        st.just("it was wrong"),
    ),
    st.builds(commands.FindRun),
    st.builds(commands.ResumeRun, st.just("more epochs")),
    st.builds(commands.RewindRun, int64s),
    st.builds(commands.ArchiveRun),
    st.builds(commands.ReactivateRun),
    st.builds(commands.RecordEnvironment, few_configs),
    st.builds(commands.Alert, keys, texts, st.sampled_from(run.ALERT_LEVELS), st.none() | texts),
    st.builds(commands.PruneArtifacts, st.lists(few_keys, max_size=2), st.just("space")),
    st.builds(commands.SetDisplayName, keys),
    st.builds(commands.SetDescription, texts),
    st.builds(
        commands.AddArtifacts, st.dictionaries(few_keys, artifacts, max_size=2), st.booleans()
    ),
    st.builds(commands.KeepSnapshot, texts, digests, counts, counts),
    st.builds(commands.ChangeStatus, statuses),
    st.builds(commands.EndRun, st.sampled_from(sorted(TERMINAL))),
    st.builds(commands.ClaimRun, texts),
    st.builds(commands.RequestCancel),
    st.builds(commands.LoseRun, texts),
    st.builds(commands.PlaceRun, keys),
    st.builds(commands.RecordExit, counts, st.none() | counts, st.none() | texts),
    st.builds(commands.AddWarning, texts, texts),
    st.builds(commands.EraseRun, st.just("asked to")),
)
"""All commands on an existing run."""


def experiment_commands(ids: st.SearchStrategy[str]) -> st.SearchStrategy[experiment.Command]:
    """All commands on the experiments named `lab`."""
    make: Callable[..., st.SearchStrategy[Any]] = st.builds
    return st.one_of(
        make(experiment.GetOrCreate, st.just("lab"), ids),
        make(experiment.Archive, ids),
        make(experiment.Reactivate, ids),
        make(experiment.Rename, ids, experiment_names),
        make(experiment.SetExperimentTags, ids, few_pairs),
        make(experiment.RemoveExperimentTags, ids, st.lists(few_keys, max_size=3)),
    )

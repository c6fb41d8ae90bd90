"""Names and ids: their rules and their streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.domain import ids
from runlore.domain.errors import InvalidInput, InvalidType, UserError
from tests.strategies import experiment_names, run_ids

Check = Callable[[object], str]


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (ids.check_experiment_name, "a"),
        (ids.check_experiment_name, "0-lab_x"),
        (ids.check_experiment_name, "x" * 500),
        (ids.check_experiment_name, "_two words/50 %\n"),
        (ids.check_view_name, "best 3"),
        (ids.check_experiment_name, "sch\xe4tzung"),
        (ids.check_workspace_name, "lab"),
        (ids.check_workspace_name, "x" * 33),
        (ids.check_run_id, "r"),
        (ids.check_run_id, "lab_1700000000_deadbeef"),
        (ids.check_run_id, "0f8fad5b-d9cb-469f-a165-70867728950e"),
        (ids.check_run_id, "a.b..c"),
        (ids.check_run_id, "x" * 256),
    ],
)
def test_good_names_come_back_as_they_are(check: Check, name: str) -> None:
    assert check(name) == name


@pytest.mark.parametrize(
    ("check", "name"),
    [
        (ids.check_workspace_name, "ab"),
        (ids.check_workspace_name, "x" * 34),
        (ids.check_workspace_name, "../lab"),
        (ids.check_workspace_name, "lab\n"),
        (ids.check_run_id, "a/b"),
        (ids.check_run_id, ".."),
        (ids.check_run_id, "sch\xe4tzung"),
        (ids.check_run_id, "x" * 257),
        (ids.check_run_id, "x" * 1_000_000),
    ],
)
def test_bad_names_are_refused_with_the_rule(check: Check, name: str) -> None:
    with pytest.raises(InvalidInput, match="it takes .* letters, digits") as caught:
        check(name)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", [None, 3, b"lab", ["lab"]], ids=repr)
@pytest.mark.parametrize(
    "check", [ids.check_experiment_name, ids.check_workspace_name, ids.check_run_id]
)
def test_a_name_is_a_str(check: Check, name: Any) -> None:
    with pytest.raises(InvalidType, match=f"must be a str, got {type(name).__name__}"):
        check(name)


@given(st.text())
def test_a_run_id_is_never_a_path(text: str) -> None:
    try:
        run_id = ids.check_run_id(text)
    except UserError:
        return
    assert not {"/", "\\", "\0", ":"} & set(run_id)
    assert run_id not in (".", "..")


@given(run_ids, run_ids)
def test_streams_of_different_runs_never_meet(one: str, other: str) -> None:
    assert ids.run_id_of(ids.run_stream(one)) == one
    assert ids.run_id_of(ids.values_stream(one, "w")) == one
    assert ids.values_stream(one, "w").startswith(ids.values_prefix(one))
    if one != other:
        assert not ids.values_stream(other, "w").startswith(ids.values_prefix(one))


@given(experiment_names)
def test_other_streams_belong_to_no_run(name: str) -> None:
    for stream in (ids.experiment_stream(name), ids.writer_stream(name), ids.WORKSPACE_STREAM):
        assert ids.run_id_of(stream) is None


@pytest.mark.parametrize(
    ("stream", "parts"),
    [
        (ids.WORKSPACE_STREAM, (ids.StreamKind.WORKSPACE, "", "")),
        (ids.experiment_stream("lab"), (ids.StreamKind.EXPERIMENT, "lab", "")),
        (ids.run_stream("r"), (ids.StreamKind.RUN, "r", "")),
        (ids.values_stream("r", "w"), (ids.StreamKind.VALUES, "r", "w")),
        (ids.writer_stream("w"), (ids.StreamKind.WRITER, "w", "")),
        (ids.compute_target_stream("pool"), (ids.StreamKind.COMPUTE_TARGET, "pool", "")),
    ],
)
def test_a_stream_name_is_parsed_into_the_parts_that_made_it(
    stream: str, parts: tuple[str, str, str]
) -> None:
    assert ids.parse_stream(stream) == parts
    assert ids.owner_of(stream) == parts[1]
    assert ids.stream_of(stream) == stream


@pytest.mark.parametrize(
    "name", ["", "run", "workspace/", "lab/r", "run/r/values", "run/r/other/w", "writer/w/x"]
)
def test_a_name_of_another_form_is_not_a_stream(name: str) -> None:
    assert ids.parse_stream(name) is None


def test_an_id_alone_means_the_run() -> None:
    assert ids.stream_of("r") == ids.run_stream("r")


@given(experiment_names, experiment_names)
def test_every_name_has_a_stream_of_its_own(one: str, other: str) -> None:
    for kind, stream_of in (("experiment", ids.experiment_stream), ("view", ids.view_stream)):
        stream = stream_of(one)
        assert ids.parse_stream(stream) == (kind, one, "")
        assert ids.owner_of(stream) == one
        assert stream.count("/") == 1
        assert stream.isprintable() or not one.isprintable()
        if one != other:
            assert stream_of(other) != stream


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("0-lab_x", "experiment/0-lab_x"),  # Names of earlier logs keep their bytes.
        ("schätzung", "experiment/schätzung"),
        ("two words", "experiment/two words"),
        ("a/b", "experiment/a%2Fb"),
        ("50%", "experiment/50%25"),
        ("a\n\x85", "experiment/a%0A%C2%85"),
    ],
)
def test_a_name_is_encoded_only_where_it_must_be(name: str, stream: str) -> None:
    assert ids.experiment_stream(name) == stream


@pytest.mark.parametrize(
    "stream", ["experiment/a%", "experiment/a%2fb", "experiment/%41", "view/\n"]
)
def test_a_stream_that_no_name_has_is_none(stream: str) -> None:
    assert ids.parse_stream(stream) is None

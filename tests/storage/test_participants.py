"""The files of those who take part in runs: what is read back, and what is passed over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.domain.leaving import Outcome
from runlore.domain.status import TERMINAL, Status
from runlore.storage.held_path import hold
from runlore.storage.participants import (
    RUNS,
    Part,
    keep_outcome,
    mark_part,
    parts_of,
    remove_part,
    remove_parts,
    runs_with_parts,
)
from runlore.storage.writers import WRITERS
from tests.strategies import texts

ANN, BOB = "a" * 32, "b" * 32
FAILED = Outcome(Status.FAILED, {"code": "UserError", "message": "é"}, 7)


def folder_of(workspace: Path, run_id: str = "r") -> Path:
    return workspace / WRITERS / RUNS / run_id


def test_parts_are_found_by_run(tmp_path: Path) -> None:
    mark_part(hold(tmp_path), "r", Part(ANN, 1))
    mark_part(hold(tmp_path), "r", Part(BOB, 2, forked=True))
    mark_part(hold(tmp_path), "s", Part(ANN, 3))
    assert parts_of(hold(tmp_path), "r") == {ANN: Part(ANN, 1), BOB: Part(BOB, 2, forked=True)}
    assert runs_with_parts(hold(tmp_path)) == ["r", "s"]
    assert runs_with_parts(hold(tmp_path), BOB) == ["r"]
    assert parts_of(hold(tmp_path), "t") == {}


def test_an_outcome_takes_the_place_of_a_part_and_a_part_that_of_an_outcome(
    tmp_path: Path,
) -> None:
    mark_part(hold(tmp_path), "r", Part(ANN, 1))
    keep_outcome(hold(tmp_path), "r", Part(ANN, 1, outcome=FAILED))
    assert parts_of(hold(tmp_path), "r") == {ANN: Part(ANN, 1, outcome=FAILED)}
    mark_part(hold(tmp_path), "r", Part(ANN, 9))
    assert parts_of(hold(tmp_path), "r") == {ANN: Part(ANN, 9)}


@given(
    st.sampled_from(sorted(TERMINAL)),
    st.none() | st.dictionaries(texts, texts, max_size=3),
    st.integers(0, 2**63 - 1),
)
def test_every_outcome_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    status: Status,
    error: dict[str, str] | None,
    at: int,
) -> None:
    workspace = tmp_path_factory.getbasetemp()
    part = Part(ANN, at, outcome=Outcome(status, error, at))
    keep_outcome(hold(workspace), "r", part)
    assert parts_of(hold(workspace), "r") == {ANN: part}


def test_the_folder_of_a_run_goes_with_its_last_part(tmp_path: Path) -> None:
    for writer_id in (ANN, BOB):
        mark_part(hold(tmp_path), "r", Part(writer_id, 1))
    remove_part(hold(tmp_path), "r", ANN)
    assert parts_of(hold(tmp_path), "r") == {BOB: Part(BOB, 1)}
    remove_part(hold(tmp_path), "r", BOB)
    remove_part(hold(tmp_path), "r", BOB)
    assert not folder_of(tmp_path).exists()
    for writer_id in (ANN, BOB):
        mark_part(hold(tmp_path), "r", Part(writer_id, 1))
    remove_parts(hold(tmp_path), "r")
    assert runs_with_parts(hold(tmp_path)) == []


def test_a_part_in_a_run_that_was_resumed_outlives_the_run_s_last_end(tmp_path: Path) -> None:
    mark_part(hold(tmp_path), "r", Part(ANN, 1))
    mark_part(hold(tmp_path), "r", Part(BOB, 3))
    (folder_of(tmp_path) / f"{'c' * 32}.json").write_text("damaged")
    remove_parts(hold(tmp_path), "r", ended_at=2)
    assert parts_of(hold(tmp_path), "r") == {BOB: Part(BOB, 3)}
    assert len(list(folder_of(tmp_path).iterdir())) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"writer":"' + b"b" * 32 + b'","joined_at":1,"forked":false}',
        b'{"writer":"' + b"a" * 32 + b'","joined_at":"1","forked":false}',
        b'{"writer":"' + b"a" * 32 + b'","joined_at":1,"forked":false,"status":"Failed"}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_part_is_passed_over(tmp_path: Path, content: bytes) -> None:
    mark_part(hold(tmp_path), "r", Part(BOB, 1))
    (folder_of(tmp_path) / f"{ANN}.json").write_bytes(content)
    assert parts_of(hold(tmp_path), "r") == {BOB: Part(BOB, 1)}


def test_links_pipes_and_other_names_are_passed_over(tmp_path: Path) -> None:
    mark_part(hold(tmp_path), "r", Part(BOB, 1))
    folder = folder_of(tmp_path)
    (folder / f"{ANN}.json").symlink_to(folder / f"{BOB}.json")
    os.mkfifo(folder / f"{'c' * 32}.json")
    (folder / "notes.txt").touch()
    assert parts_of(hold(tmp_path), "r") == {BOB: Part(BOB, 1)}
    remove_parts(hold(tmp_path), "r")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]

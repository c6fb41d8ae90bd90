"""One flipped bit in the log costs what the event said, and nothing else.

| what is damaged | what happens |
|---|---|
| any column of an event of a run | the others answer as before, so does the rest of this one |
| the creation of a run | the run raises LogCorrupt, which names the event |
| the creation of an experiment or of the workspace | its runs are listed as before |
| text that is not UTF-8 any more, numbers out of range | the same |

Each is named by a warning, by the view `damaged`, by verify and by replay, unless other content can
be decoded: then verification alone finds it. RUNLORE_FLIPS=1000 tries that many bits.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.audit.bundles.export import ExportRefused
from runlore.domain.errors import RunloreError
from runlore.storage.errors import LogCorrupt
from tests.cli.shell import runlore
from tests.hostile import flipped
from tests.hostile.flipped import Answers, Flip, answers, run_at

pytestmark = pytest.mark.slow
IGNORED = pytest.mark.filterwarnings("ignore:.* is damaged")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("flips") / "lab"
    flipped.make(folder)
    yield folder


@pytest.fixture(scope="module")
def expected(lab: Path) -> Answers:
    return answers(lab)


def position_of(lab: Path, topic: str, run_id: str | None = None) -> int:
    """The first event of a topic, of a run if it is given."""
    return next(
        int(row[0])
        for row in flipped.rows_of(lab)
        if row[3] == topic and run_id in (None, run_at(lab, row[0]))
    )


def check(lab: Path, copy: Path, flip: Flip, expected: Answers) -> Answers:
    """Everything about other runs is as before; whatever fails names the place."""
    owner = run_at(lab, flip.position)
    found = answers(copy)
    for question, answer in found.of_all.items():
        assert isinstance(answer, dict), (flip, question, answer)
        wanted = expected.of_all[question]
        assert isinstance(wanted, dict)
        for run_id in flipped.RUNS:
            if run_id != owner:
                assert answer.get(run_id) == wanted.get(run_id), (flip, question, run_id)
    for (question, run_id), answer in found.of_runs.items():
        if run_id != owner:
            assert answer == expected.of_runs[question, run_id], (flip, question, run_id)
        elif isinstance(answer, RunloreError):
            assert isinstance(answer, LogCorrupt), (flip, question, answer)
            assert f"run/{owner}" in str(answer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Workspace.open(copy) as ws:
            findings = ws.audit.verify().log.findings
        assert any((one.first or 0) <= flip.position <= (one.last or 0) for one in findings), flip
    return found


@pytest.mark.parametrize(
    ("topic", "run_id", "column", "bit"),
    [
        ("run.values_logged", "alpha", "state", -50),
        ("run.tag_set", "alpha", "state", 0),
        ("run.created", "gamma", "topic", 7),
        ("run.created", "alpha", "originator_id", 30),
        ("experiment.created", None, "state", 4),
        ("workspace.created", None, "state", 6),
        ("workspace.created", None, "originator_id", 3),
        ("writer.opened", None, "metadata", 5),
        ("run.completed", "other", "recorded_at", 61),
        ("run.failed", "gamma", "originator_version", 60),
    ],
    ids=lambda value: str(value),
)
def test_a_flipped_bit_hurts_its_run_only(
    topic: str,
    run_id: str | None,
    column: str,
    bit: int,
    lab: Path,
    expected: Answers,
    tmp_path: Path,
) -> None:
    position = position_of(lab, topic, run_id)
    bits = [flip.bit for flip in flipped.flips(lab) if flip[:2] == (position, column)]
    flip = Flip(position, column, bits[bit])
    copy = flipped.flipped(lab, tmp_path / "copy", flip)

    found = check(lab, copy, flip, expected)

    assert found.told, "the damage is told"


def test_random_flips(lab: Path, expected: Answers, tmp_path: Path) -> None:
    n = int(os.environ.get("RUNLORE_FLIPS", 3))
    for number, flip in enumerate(flipped.sampled(flipped.flips(lab), n, seed=n)):
        check(lab, flipped.flipped(lab, tmp_path / str(number), flip), flip, expected)


@pytest.fixture
def damaged(lab: Path, tmp_path: Path) -> Path:
    """A copy in which the tag of `alpha` is damaged."""
    position = position_of(lab, "run.tag_set", "alpha")
    return flipped.flipped(lab, tmp_path / "lab", Flip(position, "state", 7))


def test_damage_is_listed_and_shown(damaged: Path) -> None:
    position = position_of(damaged, "run.tag_set", "alpha")
    with Workspace.open(damaged) as ws:
        with pytest.warns(UserWarning, match=rf"position {position} \(run/alpha .* is damaged"):
            [row] = ws.sql("SELECT position, run_id, topic FROM damaged").fetchall()
        assert row == (position, "alpha", "run.tag_set")
        assert ws.as_of(position - 1).sql("SELECT * FROM damaged").fetchall() == []
        changes = [change for change in ws.get_run("alpha").history() if change.what == "damaged"]
        assert [(change.position, change.key) for change in changes] == [(position, "run.tag_set")]
        assert "are not the state" in str(changes[0].reason)
        [event] = [event for event in ws.events() if event.damage is not None]
        assert (event.position, event.run_id, event.data) == (position, "alpha", None)
        replayed = ws.audit.replay()
        assert not replayed.mismatches and not replayed.holds
        assert [event.position for event in replayed.damaged] == [position]


@IGNORED
def test_other_runs_can_be_changed_and_exported_but_not_this_one(
    damaged: Path, tmp_path: Path
) -> None:
    position = position_of(damaged, "run.tag_set", "alpha")
    with Workspace.open(damaged) as ws:
        ws.get_run("other").tag("seen", "yes")
        new = Experiment(ws, "first").start_logging(outputs=False, snapshot_directory=None)
        new.log("loss", 1.0)
        new.complete()
        with pytest.raises(LogCorrupt, match=rf"run/alpha cannot be changed.* {position} "):
            ws.get_run("alpha").tag("seen", "yes")
        values = ws.get_run("alpha")
        values.log("loss", 3.0)  # Values are never refused.
        values.flush()
        assert ws.get_run("alpha").get_metrics()["loss"] == [0.5, 0.125, 3.0]
        ws.export(tmp_path / "other.bundle", run="other")
        with pytest.raises(ExportRefused, match=f"position {position} is damaged"):
            ws.export(tmp_path / "all.bundle")


@pytest.mark.filterwarnings("default:.* is damaged")
def test_the_command_line_goes_on(damaged: Path) -> None:
    listed = runlore("run", "list", "-e", "first", "--path", str(damaged), cwd=damaged)
    assert {run["run_id"] for run in listed.data} == {"alpha", "gamma"}
    assert "run/alpha version" in listed.err and "is damaged" in listed.err
    shown = runlore("run", "show", "-r", "alpha", "--path", str(damaged), cwd=damaged)
    assert shown.data["status"] == "Completed"
    history = runlore("run", "history", "-r", "alpha", "--path", str(damaged), cwd=damaged)
    assert "damaged" in [change["what"] for change in history.data]
    replayed = runlore("audit", "replay", "--path", str(damaged), cwd=damaged, code=1)
    assert "run/alpha version" in replayed.err

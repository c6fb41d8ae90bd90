"""Names of W&B, MLflow, trackio and Aim: they work, or the error has a line that does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import runlore
from runlore import Experiment, Run, Workspace
from runlore.domain.errors import InvalidType
from runlore.run.guesses import GUESSES
from tests.cli.shell import runlore as command

HOLDERS = {"run": Run, "experiment": Experiment, "workspace": Workspace}
LINES = sorted({line for names in GUESSES.values() for lines in names.values() for line in lines})


class Figure:
    """What matplotlib's figures have."""

    def savefig(self, file: Any, **options: object) -> None:
        file.write(b"picture")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the lines name, in a project with the files that they name."""
    folder = tmp_path_factory.mktemp("guesses")
    with pytest.MonkeyPatch.context() as changed:
        changed.chdir(folder)
        (folder / "model.txt").write_text("weights")
        for name in ("models", "src"):
            (folder / name).mkdir()
            (folder / name / "a.txt").write_text("content")
        ws = Workspace.create("lab", path="lab")
        exp = Experiment(ws, "train")
        earlier = exp.start_logging(outputs=False, snapshot_directory=None)
        earlier.upload_file("model.txt", "model.txt")
        earlier.log("loss", 0.5, step=0)
        earlier.tag("stage", "first")
        earlier.complete()
        yield {
            "folder": folder,
            "runlore": runlore,
            "ws": ws,
            "exp": exp,
            "run": earlier,
            "figure": Figure(),
        }
        ws.close()


@pytest.mark.processes
@pytest.mark.parametrize("line", LINES)
def test_each_line_works(names: dict[str, Any], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(names["folder"])
    if "take_snapshot" in line or line.startswith("run.log_image"):
        names = {**names, "run": names["exp"].start_logging(outputs=False, snapshot_directory=None)}
    if "download_file" in line:
        Path("copy.txt").unlink(missing_ok=True)

    exec(line, dict(names))


@pytest.mark.parametrize(
    ("called", "name"), [(called, name) for called, names in GUESSES.items() for name in names]
)
def test_a_guess_raises_the_line_and_hasattr_is_false(
    names: dict[str, Any], called: str, name: str
) -> None:
    holder = {**names, "experiment": names["exp"], "workspace": names["ws"]}[called]

    with pytest.raises(AttributeError) as raised:
        getattr(holder, name)

    assert str(raised.value) == f"{called}.{name} is {', or '.join(GUESSES[called][name])} here"
    assert not hasattr(holder, name)
    assert name not in dir(holder)
    if called in HOLDERS:
        assert not hasattr(HOLDERS[called], name)


def test_a_name_that_nobody_guesses_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="module 'runlore' has no attribute 'nothing'"):
        _ = runlore.nothing  # type: ignore[attr-defined]  # the test's point


# --- what works ---------------------------------------------------------------------------------


def test_a_dict_is_logged_as_log_metrics_does(run: Run) -> None:
    run.log({"acc": 1, "f1": 0.5})
    run.log({"loss": 0.25}, step=7)
    run.log({"loss": 0.125}, 9)

    assert run.get_metrics() == {"acc": 1, "f1": 0.5, "loss": [0.25, 0.125]}
    assert list(run.values("loss").steps) == [7, 9]
    with pytest.raises(InvalidType, match="takes a step and nothing else"):
        run.log({"loss": 1}, 1, step=2)
    with pytest.raises(InvalidType, match="takes a step and nothing else"):
        run.log({"loss": 1}, description="of the net")  # type: ignore[call-overload]


def test_a_metric_without_a_value_is_refused(run: Run) -> None:
    with pytest.raises(InvalidType, match=r"log of metric 'loss' has no value"):
        run.log("loss")  # type: ignore[call-overload]  # the test's point

    assert run.get_metrics() == {}


@pytest.mark.parametrize(("code", "status"), [(None, "Completed"), (0, "Completed"), (3, "Failed")])
def test_finish_ends_a_run_by_its_exit_code(run: Run, code: int | None, status: str) -> None:
    run.finish(code)

    assert run.get_status() == status
    if code:
        assert "exit code 3" in str(run.get_details()["error"])


def test_init_takes_the_project_and_the_name_of_other_trackers(project: Path) -> None:
    run = runlore.init(project="nets", name="first try")

    assert (run.experiment.name, run.display_name) == ("nets", "first try")
    with pytest.raises(InvalidType, match="experiment='nets' and project='more', which are the"):
        runlore.init("nets", project="more")
    with pytest.raises(InvalidType, match="display_name='a' and name='b', which are the same"):
        runlore.init("nets", display_name="a", name="b")
    assert list(run.experiment.get_runs()) == [run]


# --- names of experiments -----------------------------------------------------------------------


@pytest.mark.processes
@pytest.mark.parametrize(
    "name",
    ["first steps", "team/nets.v2", "../escape", ".", "実験 ①", "تجربة", "naïve-Ünïcode", "-e"],
)
def test_an_experiment_may_have_any_name(project: Path, name: str) -> None:
    (project / "src").mkdir()
    (project / "src" / "a.py").write_text("a = 1")

    with runlore.init(name, snapshot_directory="src") as run:
        run.log("loss", 0.5)
    run.restore_snapshot(path="restored")

    with Workspace.open(".runlore") as ws:
        assert [run.id for run in ws.experiments[name].get_runs()] == [run.id]
    assert [path.name for path in project.iterdir() if path.name not in ("src", "restored")] == [
        ".runlore"
    ]
    assert list(project.parent.glob("escape*")) == []
    listed = command("run", "list", "-w", "./.runlore", "-e", name, cwd=project).data
    assert [row["run_id"] for row in listed] == [run.id]
    shown = command("experiment", "list", "-w", "./.runlore", cwd=project).data
    assert [row["name"] for row in shown] == [name]

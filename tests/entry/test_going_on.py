"""`init(resume=...)`: runs that go on, found by id or by display name."""

from __future__ import annotations

from pathlib import Path

import pytest

import runlore
from runlore import Workspace
from runlore.domain.errors import ConfigConflict
from runlore.domain.status import Status
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.leaving import leave, settle
from runlore.entry import going_on
from runlore.exceptions import AlreadyExists, NotFound, RunEnded, RunNotFound, UserErrorException
from runlore.run.run import handle_of
from tests.engine.exits.programs import run_program, seen
from tests.ranks import folder_of, ranks
from tests.ranks import lab as lab


@pytest.mark.parametrize("by", ["run_id", "name"])
@pytest.mark.parametrize("resume", ["allow", "must"])
def test_a_run_goes_on(project: Path, by: str, resume: str) -> None:
    with runlore.init("e", run_id="r", display_name="base", config={"lr": 0.1}) as run:
        run.log_batch("loss", [0.5, 0.25])
    found = {by: {"run_id": "r", "name": "base"}[by]}

    with runlore.init("e", **found, resume=resume, config={"more": 1}, tags={"a": "b"}) as again:  # type: ignore[arg-type]  # of the parameters
        assert again.get_status() == "Running"
        again.log("loss", 0.125)

    assert again.id == "r"
    assert again.get_status() == "Completed"
    assert again.get_metrics() == {"loss": [0.5, 0.25, 0.125]}
    assert list(again.values("loss").steps) == [0, 1, 2]
    assert (again.get_config(), again.get_tags()) == ({"lr": 0.1, "more": 1}, {"a": "b"})
    assert f"init(resume={resume!r})" in [change.reason for change in again.history()]


def test_allow_starts_what_is_not_there(project: Path) -> None:
    by_id = runlore.init("e", run_id="r", resume="allow")
    by_name = runlore.init("e", name="base", resume="allow")

    assert (by_id.id, by_name.display_name) == ("r", "base")
    assert by_name.get_status() == "Running"


def test_must_wants_it_to_be_there(project: Path) -> None:
    with pytest.raises(RunNotFound, match="'r'"):
        runlore.init("e", run_id="r", resume="must")
    with pytest.raises(NotFound, match='no run named "it\'s"'):
        runlore.init("e", name="it's", resume="must")
    assert Workspace.open(".runlore").experiments == {}  # Nothing was created on the way.


def test_never_and_no_choice_want_it_not_to_be_there(project: Path) -> None:
    runlore.init("e", run_id="r", name="base").complete()

    for options in ({"run_id": "r"}, {"name": "base"}):
        with pytest.raises(AlreadyExists, match="resume='allow'"):
            runlore.init("e", **options, resume="never")  # type: ignore[arg-type]
    with pytest.raises(AlreadyExists, match="resume='allow'"):
        runlore.init("e", run_id="r")
    assert runlore.init("e", name="base").id != "r"
    assert runlore.init("e", name="other", resume="never").id != "r"


def test_a_name_is_that_of_the_newest_run_that_lists_show(project: Path) -> None:
    for run_id in ("old", "new", "hidden"):
        runlore.init("e", run_id=run_id, name='it\'s a "name"').complete()
    runlore.init("other", run_id="elsewhere", name='it\'s a "name"').complete()
    Workspace.open(".runlore").get_run("hidden").archive()

    assert runlore.init("e", name='it\'s a "name"', resume="must").id == "new"


@pytest.mark.parametrize("given", [{"resume": "auto", "run_id": "r"}, {"resume": "must"}], ids=str)
def test_a_choice_that_says_nothing_is_refused(project: Path, given: dict[str, str]) -> None:
    with pytest.raises(UserErrorException, match="resume="):
        runlore.init("e", **given)  # type: ignore[arg-type]  # on purpose


def test_a_conflict_of_configs_leaves_the_run_ended(project: Path) -> None:
    runlore.init("e", run_id="r", config={"lr": 0.1}).complete()

    with pytest.raises(ConfigConflict):
        runlore.init("e", run_id="r", resume="must", config={"lr": 0.2})

    assert Workspace.open(".runlore").get_run("r").get_status() == "Completed"


def test_a_run_goes_on_in_its_experiment(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runlore.init("e", run_id="r").complete()

    assert runlore.init("other", run_id="r", resume="must").experiment.name == "e"
    assert "experiment 'other' not used" in capsys.readouterr().err


def test_a_block_of_a_run_that_has_ended_says_how_it_can_go_on(project: Path) -> None:
    run = runlore.init("e")
    run.complete()

    with pytest.raises(RunEnded, match=r"run\.resume\(reason="), run:
        pass
    run.resume(reason="more")
    with run:
        run.log("loss", 0.5)
    assert run.get_status() == "Completed"


@pytest.mark.processes
@pytest.mark.parametrize("end", ["os._exit(1)", "raise ValueError('bad')", "sys.exit()"])
def test_another_process_goes_on_whatever_the_end_was(project: Path, end: str) -> None:
    run_program(project, end)
    again = """
import runlore
run = runlore.init("e", workspace="lab", run_id="r", resume="must")
run.log("loss", 0.25)
"""
    run_program(project, "", start=again)
    found = seen(project)
    assert (found.status, found.metrics) == ("Completed", {"loss": [0.5, 0.25]})


@pytest.mark.processes
def test_a_run_that_another_process_executes_ends_with_the_last_one(project: Path) -> None:
    code = """
import subprocess
script = '''
import runlore
runlore.init("e", workspace="lab", run_id="r", resume="allow").log("loss", 0.25)
'''
subprocess.run([sys.executable, "-c", script], check=True)
print(run.get_status())
raise ValueError("bad")
"""
    assert run_program(project, code).stdout == "Running\n"
    assert seen(project).status == "Failed"


@pytest.mark.processes
def test_a_shell_resumes_a_run_for_a_later_process(project: Path) -> None:
    run_program(project, "")
    run_program(
        project,
        "",
        start="""
from runlore.cli import main
import sys
sys.argv = ["runlore", "run", "resume", "-r", "r", "-w", "lab", "--reason", "20 more"]
main()
""",
    )
    found = seen(project)
    assert (found.status, found.reasons) == ("Running", ["20 more"])
    later = 'import runlore\nrunlore.init("e", workspace="lab", run_id="r", resume="must")\n'
    run_program(project, "", start=later)
    assert seen(project).status == "Completed"


@pytest.mark.processes
def test_a_run_that_ends_while_a_process_joins_it_goes_on(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ranks(folder_of(lab), 1) as (other,):
        run = lab.get_run(other.ask("create"))

        def then_the_other_leaves(handle: RunHandle) -> bool:
            assert not settle(handle)
            assert other.ask("leave", "Completed")
            return False

        monkeypatch.setattr(going_on, "settle", then_the_other_leaves)
        going_on.go_on(run, "rank 1 began", lambda: None, end_at_exit=False)
        assert run.get_status() == "Running"
        run.log("loss", 0.5)
        assert leave(handle_of(run), Status.FAILED, {"code": "UserError", "message": "boom"})
        assert [change.what for change in run.history()][-3:] == [
            "resumed",
            "values_logged",
            "failed",
        ]

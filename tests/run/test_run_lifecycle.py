from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace, get_run
from runlore.domain.errors import (
    AlreadyExists,
    InvalidInput,
    InvalidType,
    RunEnded,
    RunNotFound,
    TransitionRefused,
)
from runlore.domain.status import Status
from runlore.engine.runs.ending import record_status
from runlore.exceptions import (
    ActivityFailedException,
    ExperimentExecutionException,
    OutOfScope,
    ServiceException,
)
from runlore.run.run import handle_of
from tests.fresh_python import race, run_python
from tests.workspaces import in_memory, seen_again, start

# --- start ------------------------------------------------------------------------------------


def test_a_started_run_is_running_and_known_to_everybody(exp: Experiment) -> None:
    run = start(exp)

    assert run.get_status() == "Running"
    assert seen_again(run).get_status() == "Running"
    assert run.experiment == exp


def test_a_run_gets_a_fresh_uuid(exp: Experiment) -> None:
    first, second = start(exp), start(exp)

    assert first.id != second.id
    assert len(first.id) == 36
    assert first.name == f"run_{first.id}"


def test_a_run_keeps_what_it_was_started_with(exp: Experiment) -> None:
    run = start(
        exp,
        name="old name",
        run_id="my-run.1",
        display_name="my run",
        description="# What I tried",
        tags={"a": "b", "key only": None},
    )

    again = seen_again(run)
    assert again.id == "my-run.1"
    assert again.name == "old name"
    assert again.display_name == "my run"
    assert again.description == "# What I tried"
    assert again.tags == {"a": "b", "key only": None}
    assert again.properties == {}


def test_a_taken_run_id_is_refused(exp: Experiment) -> None:
    start(exp, run_id="mine")

    with pytest.raises(AlreadyExists, match="run id 'mine' is taken in this workspace"):
        start(Experiment(exp.workspace, "other"), run_id="mine")

    assert len(list(exp.get_runs())) == 1


def test_display_name_and_description_can_be_changed(run: Run) -> None:
    assert run.display_name == run.id
    assert run.description is None

    run.display_name = "a better name"
    run.description = "said later"

    assert seen_again(run).display_name == "a better name"
    assert seen_again(run).description == "said later"


# --- find -------------------------------------------------------------------------------------


def test_a_run_is_found_by_its_id_in_every_way(exp: Experiment) -> None:
    run = start(exp)
    ws = exp.workspace

    found = [ws.get_run(run.id), Run.get(ws, run.id), get_run(exp, run.id), Run(exp, run.id)]

    assert found == [run] * 4
    assert {hash(one) for one in found} == {hash(run)}
    assert [one.experiment for one in found] == [exp] * 4


def test_attaching_through_another_experiment_gives_the_runs_own(exp: Experiment) -> None:
    run = start(exp)

    found = Run(Experiment(exp.workspace, "other"), run.id)

    assert found.experiment == exp


def test_attaching_to_an_unknown_run_is_refused(exp: Experiment) -> None:
    with pytest.raises(RunNotFound, match="no run 'nobody' in workspace 'lab'"):
        Run(exp, "nobody")


def test_runs_are_equal_by_workspace_and_id(exp: Experiment) -> None:
    assert start(exp) != start(exp)
    assert start(exp) != "a run"


def test_runs_of_the_same_id_in_two_workspaces_in_memory_differ() -> None:
    first, second = (Experiment(in_memory("lab"), "e") for _ in range(2))

    assert start(first, run_id="r") != start(second, run_id="r")


# --- complete, fail, cancel -------------------------------------------------------------------


def test_complete_ends_the_run(run: Run) -> None:
    run.complete()

    assert run.get_status() == run.status == "Completed"
    assert seen_again(run).get_status() == "Completed"


def test_complete_twice_is_once(run: Run) -> None:
    run.complete()
    ended = run.get_details()

    run.complete()

    assert run.get_details() == ended
    assert [change.what for change in run.history()] == ["created", "completed"]


def test_cancel_ends_a_run_that_nothing_executes_at_once(run: Run) -> None:
    run.cancel()

    assert run.get_status() == "Canceled"


def test_fail_ends_the_run(run: Run) -> None:
    run.fail()

    assert run.get_status() == "Failed"


@pytest.mark.processes
def test_an_end_can_be_recorded_by_another_process_than_the_owner(
    folder_ws: Workspace, project: Path
) -> None:
    run = start(Experiment(folder_ws, "e"))

    run_python(
        f"import runlore; runlore.Workspace.open({folder_ws.uri!r}).get_run({run.id!r}).fail()",
        cwd=project,
    )

    assert run.status == "Running"
    assert run.get_status() == run.status == "Failed"


ENDS = ("complete", "fail", "cancel")


@pytest.mark.parametrize(
    ("first", "second"),
    [(first, second) for first in ENDS for second in (*ENDS, "start") if first != second],
)
def test_an_ended_run_never_changes_its_status_and_the_attempt_is_in_its_history(
    run: Run, first: str, second: str
) -> None:
    getattr(run, first)()
    status = run.get_status()

    for _ in range(2):
        with pytest.raises(RunEnded, match=f"has ended as {status}") as raised:
            getattr(run, second)()

    assert isinstance(raised.value, ServiceException)
    assert seen_again(run).get_status() == status
    refused = [change for change in run.history() if change.what == "change_refused"]
    assert len(refused) == 1
    assert (refused[0].old, refused[0].reason) == (status, "run has ended")


def test_start_makes_a_created_run_running(run: Run) -> None:
    run.start()

    assert run.get_status() == "Running"
    assert [change.what for change in run.history()] == ["created"]


def test_start_is_refused_once_the_run_is_finalizing(run: Run) -> None:
    record_status(handle_of(run), Status("Finalizing"))

    with pytest.raises(TransitionRefused, match="is Finalizing and cannot become Running"):
        run.start()


def test_complete_without_setting_the_status_writes_what_waits(run: Run) -> None:
    run.log("loss", 0.5)

    run.complete(_set_status=False)
    run.fail(_set_status=False)

    assert run.get_status() == "Running"
    assert seen_again(run).get_metrics() == {"loss": 0.5}


def test_tags_and_properties_can_still_be_added_to_an_ended_run(run: Run) -> None:
    run.complete()

    run.tag("seen", "later")
    run.add_properties({"reviewed": "yes"})

    assert seen_again(run).tags == {"seen": "later"}
    assert seen_again(run).properties == {"reviewed": "yes"}


def test_values_logged_after_the_end_are_kept(run: Run) -> None:
    run.complete()

    run.log("late", 1)
    run.flush()

    assert seen_again(run).get_metrics() == {"late": 1}


@pytest.mark.processes
def test_of_two_processes_that_end_a_run_exactly_one_wins(
    folder_ws: Workspace, project: Path
) -> None:
    runs = [start(Experiment(folder_ws, "e")).id for _ in range(10)]

    printed = race(
        f"""
import runlore
ws = runlore.Workspace.open({folder_ws.uri!r})
runs = [ws.get_run(run_id) for run_id in {runs}]
go()
for run in runs:
    try:
        (run.complete, run.fail)[NUMBER]()
        print("won")
    except runlore.exceptions.RunEnded:
        print("lost")
""",
        2,
        cwd=project,
    )

    pairs = list(zip(*(text.split() for text in printed), strict=True))
    assert [sorted(pair) for pair in pairs] == [["lost", "won"]] * 10
    ends = [folder_ws.get_run(run_id).get_status() for run_id in runs]
    assert ends == ["Completed" if pair[0] == "won" else "Failed" for pair in pairs]


# --- fail's document --------------------------------------------------------------------------


def error_of(run: Run) -> dict[str, object]:
    error: dict[str, object] = seen_again(run).get_details()["error"]["error"]
    return error


def test_fail_records_a_message_and_a_code(run: Run) -> None:
    run.fail("the data was bad", "DataError")

    assert error_of(run) == {"code": "DataError", "message": "the data was bad"}


def test_fail_without_details_is_a_user_error(run: Run) -> None:
    run.fail()

    assert error_of(run) == {"code": "UserError"}


def test_fail_records_an_exception_with_its_traceback(run: Run) -> None:
    try:
        raise ValueError("bad")
    except ValueError as error:
        run.fail(error)

    document = error_of(run)
    debug = document.pop("debugInfo")
    assert document == {"code": "UserError", "message": "User program failed with ValueError: bad"}
    assert isinstance(debug, dict)
    assert (debug["type"], debug["message"]) == ("ValueError", "bad")
    assert 'raise ValueError("bad")' in debug["stackTrace"]


def test_fail_refuses_details_of_another_type_and_the_run_goes_on(run: Run) -> None:
    with pytest.raises(InvalidType, match="must be a str or an exception, got int 5"):
        run.fail(5)  # type: ignore[arg-type]  # wrong on purpose

    assert run.get_status() == "Running"


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("x" * 3_000_000), "characters left out"),
        (FileNotFoundError(2, "No such file", "\udcff.csv"), "\\udcff"),
        (Unprintable(), "<exception str() failed>"),
        (RecursionError("deep"), "deep"),
    ],
    ids=["too-long", "not-utf8", "unprintable", "recursion"],
)
def test_an_exception_is_recorded_whatever_it_says(
    run: Run, error: Exception, expected: str
) -> None:
    with pytest.raises(type(error)), run:
        raise error

    assert run.get_status() == "Failed"
    assert expected in str(error_of(run))


# --- with -------------------------------------------------------------------------------------


def test_the_end_of_a_with_block_completes_the_run(run: Run) -> None:
    with run as entered:
        assert entered is run
        run.log("loss", 0.5)
        assert run.get_status() == "Running"

    assert run.get_status() == "Completed"
    assert seen_again(run).get_metrics() == {"loss": 0.5}


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3)], ids=repr)
def test_an_exception_that_leaves_a_with_block_fails_the_run_and_goes_on(
    run: Run, error: BaseException
) -> None:
    with pytest.raises(type(error)) as raised, run:
        run.log("loss", 0.5)
        raise error

    assert raised.value is error
    assert run.get_status() == "Failed"
    assert str(error_of(run)["message"]).startswith(
        f"User program failed with {type(error).__name__}: "
    )
    assert seen_again(run).get_metrics() == {"loss": 0.5}


@pytest.mark.parametrize("code", [0, None, False])
def test_an_exit_with_status_0_completes_the_run_and_goes_on(run: Run, code: int | None) -> None:
    with pytest.raises(SystemExit), run:
        raise SystemExit(code)

    assert run.get_status() == "Completed"


@pytest.mark.parametrize("code", [1, "went wrong", "", 0.0])
def test_an_exit_with_another_status_fails_the_run(run: Run, code: object) -> None:
    """`sys.exit("")` and `sys.exit(0.0)` end the interpreter with status 1, too."""
    with pytest.raises(SystemExit), run:
        raise SystemExit(code)

    assert run.get_status() == "Failed"


@pytest.mark.processes
def test_sys_exit_inside_with_keeps_the_exit_status(project: Path, folder_ws: Workspace) -> None:
    script = f"""
import sys, runlore
exp = runlore.Experiment(runlore.Workspace.open({folder_ws.uri!r}), "e")
with exp.start_logging(run_id=sys.argv[1], outputs=False, snapshot_directory=None):
    sys.exit(int(sys.argv[2]))
"""

    statuses = [
        subprocess.run([sys.executable, "-c", script, run_id, code], check=False).returncode
        for run_id, code in (("well", "0"), ("badly", "3"))
    ]

    assert statuses == [0, 3]
    assert folder_ws.get_run("well").get_status() == "Completed"
    assert folder_ws.get_run("badly").get_status() == "Failed"


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_a_run_that_ended_inside_its_with_block_stays_as_it_is(run: Run, end: str) -> None:
    with run:
        getattr(run, end)()
        run.log("late", 1)
    status = run.get_status()

    assert status != "Running"
    assert [change.what for change in run.history()].count("change_refused") == 0
    assert seen_again(run).get_metrics() == {"late": 1}


@pytest.mark.parametrize("end", ENDS)
def test_an_ended_run_cannot_be_entered_and_stays_as_it_is(run: Run, end: str) -> None:
    getattr(run, end)()
    before = run.history()

    with pytest.raises(RunEnded, match="has ended"), run:
        pass

    assert run.history() == before


def test_an_exception_after_the_end_inside_with_goes_on(run: Run) -> None:
    with pytest.raises(ValueError, match="late"), run:
        run.complete()
        raise ValueError("late")

    assert run.get_status() == "Completed"


def test_a_run_that_somebody_else_canceled_is_left_quietly(run: Run) -> None:
    with run:
        seen_again(run).cancel()

    assert run.get_status() == "Canceled"


def test_the_working_folder_is_restored_after_with(run: Run, project: Path) -> None:
    (project / "elsewhere").mkdir()

    with run:
        os.chdir("elsewhere")

    assert Path.cwd() == project


def test_a_working_folder_that_is_gone_does_not_stop_the_end(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")

    with run:
        os.chdir(tmp_path)
        (tmp_path / "gone").rmdir()

    assert run.get_status() == "Completed"


def test_the_same_run_can_be_entered_twice(exp: Experiment, project: Path) -> None:
    stdout = sys.stdout
    run = exp.start_logging(snapshot_directory=None)

    with run, run:
        print("once")

    assert sys.stdout is stdout
    assert run.get_status() == "Completed"


def test_a_workspace_that_was_closed_inside_with_does_not_hide_the_exception(
    folder_ws: Workspace,
) -> None:
    run = start(Experiment(folder_ws, "e"))

    with (
        pytest.warns(RuntimeWarning, match="not all of it was recorded: workspace 'lab' is closed"),
        pytest.raises(ValueError, match="mine"),
        run,
    ):
        folder_ws.close()
        raise ValueError("mine")


# --- wait -------------------------------------------------------------------------------------


def test_wait_returns_the_details_of_an_ended_run(run: Run) -> None:
    run.complete()

    assert run.wait_for_completion() == run.get_details()


def test_wait_shows_where_the_run_is(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.complete()

    run.wait_for_completion(show_output=True)

    where = f"RunId: {run.id}\nWeb View: {run.get_portal_url()}\n"
    printed = capsys.readouterr().out
    assert printed == f"{where}\nExecution Summary\n=================\n{where}\n"


@pytest.mark.processes
def test_wait_sees_the_end_that_another_process_records(
    folder_ws: Workspace, project: Path
) -> None:
    run = start(Experiment(folder_ws, "e"))
    other = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import runlore; runlore.Workspace.open({folder_ws.uri!r})"
            f".get_run({run.id!r}).complete()",
        ]
    )

    details = run.wait_for_completion()

    assert details["status"] == "Completed"
    assert other.wait() == 0


def test_waiting_for_a_run_that_failed_raises_with_its_error(run: Run) -> None:
    run.fail("the data was bad", "DataError")

    with pytest.raises(ActivityFailedException, match=r"^Activity Failed:\n\{") as raised:
        run.wait_for_completion()

    assert '"message": "the data was bad"' in str(raised.value)
    assert run.id in str(raised.value)
    assert run.wait_for_completion(raise_on_error=False)["status"] == "Failed"


def test_waiting_for_a_canceled_run_does_not_raise(run: Run) -> None:
    run.cancel()

    assert run.wait_for_completion()["status"] == "Canceled"


def test_a_run_that_only_finalizes_is_waited_for_on_request(run: Run) -> None:
    record_status(handle_of(run), Status("Finalizing"))

    assert run.wait_for_completion()["status"] == "Finalizing"
    run.complete()
    assert run.wait_for_completion(wait_post_processing=True)["status"] == "Completed"


def test_ctrl_c_while_waiting_says_that_the_run_goes_on(exp: Experiment) -> None:
    run = start(exp)
    # What Ctrl-C raises, by another signal: shells start background processes with SIGINT ignored.
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(ExperimentExecutionException, match="the run itself continues"):
            run.wait_for_completion()
    finally:
        signal.signal(signal.SIGALRM, before)

    assert run.get_status() == "Running"


# --- out of scope, bad input ------------------------------------------------------------------


def test_what_is_not_covered_says_what_to_do_instead(run: Run) -> None:
    calls: list[Callable[[], object]] = [
        run.get_environment,
        lambda: run.get_secret("name"),
        lambda: run.get_secrets(["name"]),
    ]
    for call in calls:
        with pytest.raises(OutOfScope, match="runlore does not cover .*; "):
            call()


@pytest.mark.parametrize("run_id", ["", "a/b", "../x", ".hidden", "a b", "x" * 257, "a\0b"])
def test_a_bad_run_id_is_refused_and_makes_nothing(exp: Experiment, run_id: str) -> None:
    with pytest.raises(InvalidInput, match="is not a valid run id"):
        start(exp, run_id=run_id)

    assert list(exp.get_runs()) == []

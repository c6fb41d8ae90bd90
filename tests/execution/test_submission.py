"""What `submit` records, executes, keeps and refuses, through real processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Run, ScriptRun, ScriptRunConfig, get_run
from runlore.domain.errors import AlreadyExists
from runlore.exceptions import (
    ActivityFailedException,
    ComputeTargetException,
    ExperimentExecutionException,
    InvalidType,
    RunConfigurationException,
    RunEnded,
    SnapshotException,
    UserErrorException,
)
from runlore.run.run import handle_of
from runlore.runconfig import (
    MpiConfiguration,
    PyTorchConfiguration,
    TensorflowConfiguration,
)
from runlore.testing.submitted import (
    READY,
    STAYS,
    Project,
    folder_of,
    is_over,
    printed,
    statuses_of,
    wait_for_status,
    wait_until_gone,
    wait_until_ready,
)
from tests.fresh_python import run_python
from tests.processes import wait_until
from tests.workspaces import in_memory

pytestmark = pytest.mark.processes


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path / "here")
    yield project
    project.ws.close()


def snapshot_names(run: Run, folder: Path) -> list[str]:
    with zipfile.ZipFile(run.restore_snapshot(path=folder)) as archive:
        return archive.namelist()


# --- what is recorded -------------------------------------------------------------------------


def test_ids_are_experiment_epoch_and_eight_digits(project: Project) -> None:
    run = project.submit("")

    assert re.fullmatch(r"explore-runs_\d{10}_[0-9a-f]{8}", run.id)
    assert run.type == "azureml.scriptrun"
    run.wait_for_completion()


def test_a_run_may_be_given_its_id_once(project: Project) -> None:
    config = project.config("")
    run = project.exp.submit(config, run_id="mine")

    with pytest.raises(AlreadyExists):
        project.exp.submit(config, run_id="mine")
    assert run.id == "mine"
    run.wait_for_completion()
    with pytest.raises(AlreadyExists):
        project.exp.submit(config, run_id="mine")
    wait_until(lambda: not folder_of(run).root.exists(), "its folder to be gone")


def test_a_configuration_that_is_submitted_twice_gives_two_runs(project: Project) -> None:
    config = project.config("print('twice')")

    first, second = project.exp.submit(config), project.exp.submit(config)

    for run in (first, second):
        run.wait_for_completion()
    assert first.id != second.id
    assert first.get_snapshot_id() == second.get_snapshot_id()


def test_a_configuration_may_be_changed_after_it_was_submitted(project: Project) -> None:
    config = project.config("import sys; print(sys.argv[1:])", "first")
    first = project.exp.submit(config)
    config.run_config.arguments = ["second"]
    second = project.exp.submit(config)

    for run in (first, second):
        run.wait_for_completion()
    assert (printed(first), printed(second)) == ("['first']\n", "['second']\n")


def test_tags_and_the_definition_are_there_at_once(project: Project) -> None:
    run = project.exp.submit(project.config(STAYS, 1, 2.5, "x"), tags={"k": "v", "key only": None})

    assert run.get_tags() == {"k": "v", "key only": None}
    definition = run.get_details()["runDefinition"]
    assert definition["script"] == "train.py"
    assert definition["arguments"] == ["1", "2.5", "x"]
    assert definition["target"] == "local"
    run.cancel()


def test_a_submitted_run_is_a_script_run_wherever_it_is_found(project: Project) -> None:
    run = project.ended("")

    found = [
        project.ws.get_run(run.id),
        get_run(project.exp, run.id),
        next(project.exp.get_runs()),
        next(project.exp.get_runs(type="azureml.scriptrun")),
    ]
    assert all(isinstance(one, ScriptRun) for one in found)
    assert set(found) == {run}


def test_the_history_names_every_step(project: Project) -> None:
    run = project.ended("")

    told = [change.what for change in run.history()]
    assert [what for what in told if what != "property_added"] == [
        *("created", "snapshot_taken", "submitted", "status_changed", "started"),
        *("script_exited", "status_changed", "artifact_added", "completed"),
    ]


# --- the source -------------------------------------------------------------------------------


def test_the_script_executes_in_a_copy_and_cannot_change_its_source(project: Project) -> None:
    (project.source / "data.txt").write_text("original")
    run = project.ended("open('data.txt', 'w').write('changed'); open('new.txt', 'w').close()")

    assert run.get_status() == "Completed"
    assert (project.source / "data.txt").read_text() == "original"
    assert not (project.source / "new.txt").exists()


def test_a_change_of_the_source_after_submitting_does_not_reach_the_run(project: Project) -> None:
    gate = project.source.parent / "gate"
    (project.source / "helper.py").write_text("print('as submitted')")
    run = project.submit(
        f"""
        import os, time
        while not os.path.exists({str(gate)!r}): time.sleep(0.01)
        import helper
        """
    )
    (project.source / "helper.py").write_text("print('changed')")
    gate.touch()
    run.wait_for_completion()

    assert printed(run) == "as submitted\n"


def test_ignored_files_stay_out_and_the_snapshot_comes_back(
    project: Project, tmp_path: Path
) -> None:
    (project.source / ".amlignore").write_text("*.csv\n")
    (project.source / "big.csv").write_text("1")
    run = project.ended("import os; print(os.path.exists('big.csv'))")

    assert printed(run) == "False\n"
    assert snapshot_names(run, tmp_path) == [".amlignore", "train.py"]


def test_files_keep_their_permission_to_be_executed(project: Project) -> None:
    tool = project.source / "tool.sh"
    tool.write_text("#!/bin/sh\necho executed\n")
    tool.chmod(0o755)
    config = ScriptRunConfig(str(project.source), command=["./tool.sh"])
    run = project.exp.submit(config)
    run.wait_for_completion()

    assert printed(run) == "executed\n"


def test_a_command_of_one_line_is_for_the_shell(project: Project) -> None:
    (project.source / "train.py").write_text("")
    config = ScriptRunConfig(str(project.source), command="echo $((6 * 7)) | cat")
    run = project.exp.submit(config)
    run.wait_for_completion()

    assert printed(run) == "42\n"


# --- outputs and logs -------------------------------------------------------------------------


def test_outputs_and_logs_are_kept(project: Project) -> None:
    run = project.ended(
        """
        open("outputs/model.txt", "w").write("weights")
        open("logs/mine.txt", "w").write("my log")
        print("printed")
        """
    )

    assert run.get_file_names() == ["logs/mine.txt", "outputs/model.txt", "user_logs/std_log.txt"]
    assert set(run.get_details_with_logs()["logFiles"].values()) == {"my log", "printed\n"}


def test_logs_can_be_read_while_the_script_writes_them(project: Project, tmp_path: Path) -> None:
    run = project.submit("open('logs/mine.txt', 'w').write('so far')\n" + STAYS)
    wait_until_ready(run)

    logs = run.get_details_with_logs()["logFiles"]
    written = run.get_all_logs(str(tmp_path / "logs"))

    assert logs["logs/mine.txt"] == "so far"
    assert Path(written[0]).read_text().startswith(READY)
    run.cancel()


def test_outputs_of_a_canceled_and_of_a_failed_script_are_kept(project: Project) -> None:
    failed = project.ended("open('outputs/a', 'w').write('a'); raise ValueError")
    canceled = project.submit("open('outputs/b', 'w').write('b')\n" + STAYS)
    wait_until_ready(canceled)
    canceled.cancel()

    assert "outputs/a" in failed.get_file_names()
    assert "outputs/b" in canceled.get_file_names()


def test_outputs_that_cannot_be_kept_are_a_warning_of_a_run_that_completes(
    project: Project,
) -> None:
    run = project.ended(
        r"""
        open("outputs/good", "w").write("kept")
        open("outputs/bad\nname", "w").write("not kept")
        """
    )

    assert run.get_status() == "Completed"
    assert "outputs/good" in run.get_file_names()
    [warning] = run.get_details()["warnings"]
    assert "bad" in warning["message"]


def test_a_run_may_collect_no_outputs(project: Project) -> None:
    config = project.config("open('outputs/model.txt', 'w').write('weights')")
    config.run_config.history.output_collection = False
    run = project.exp.submit(config)
    run.wait_for_completion()

    assert run.get_file_names() == ["user_logs/std_log.txt"]


# --- how it ends ------------------------------------------------------------------------------


def test_an_uncaught_exception_fails_the_run_with_its_traceback(project: Project) -> None:
    run = project.ended(
        """
        def train():
            raise ValueError("too hot:\\nvery")
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise RuntimeError("chained") from error
        """
    )

    error = run.get_details()["error"]["error"]
    assert error["message"] == "User program failed with RuntimeError: chained"
    assert error["debugInfo"]["type"] == "RuntimeError"
    assert "ZeroDivisionError" in error["debugInfo"]["stackTrace"]


def test_a_syntax_error_fails_the_run_and_is_named(project: Project) -> None:
    run = project.ended("def train(:\n    pass\n")

    assert run.get_details()["error"]["error"]["debugInfo"]["type"] == "SyntaxError"


def test_a_signal_from_elsewhere_fails_the_run_and_is_named(project: Project) -> None:
    run = project.ended("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")

    error = run.get_details()["error"]["error"]
    assert error["code"] == "ProcessKilled"
    assert "SIGKILL" in error["message"]


def test_running_out_of_memory_fails_the_run_with_a_memory_error(project: Project) -> None:
    run = project.ended(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))
        bytearray(2**30)
        """
    )

    assert run.get_details()["error"]["error"]["debugInfo"]["type"] == "MemoryError"


def test_a_program_that_is_not_there_fails_the_run_and_is_named(project: Project) -> None:
    (project.source / "train.py").write_text("")
    run = project.exp.submit(ScriptRunConfig(str(project.source), command=["no-such-program"]))
    run.wait_for_completion(raise_on_error=False)

    assert run.get_details()["error"]["error"]["message"].endswith("exit code 127; see its log")
    assert "no-such-program" in printed(run)  # The shell names it.


@pytest.mark.parametrize("end, status", [("fail", "Failed"), ("complete", "Completed")])
def test_an_end_from_outside_is_recorded_at_once_and_ends_the_script(
    project: Project, end: str, status: str
) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)

    getattr(run, end)()

    assert run.get_status() == status
    wait_until_gone(run)
    wait_until(lambda: not folder_of(run).root.exists(), "the supervisor to clear up")
    assert run.get_status() == status
    assert "user_logs/std_log.txt" in run.get_file_names()


def test_a_run_that_is_canceled_before_it_starts_never_executes(project: Project) -> None:
    run = project.submit("print('executed')")
    run.cancel(reason="the wrong script")

    assert run.get_status() == "Canceled"
    assert "the wrong script" in [change.reason for change in run.history()]
    assert "Running" not in statuses_of(run) or printed(run) in ("", "executed\n")


def test_an_ended_run_cannot_be_canceled_and_the_attempt_is_recorded(project: Project) -> None:
    run = project.ended("")

    with pytest.raises(RunEnded):
        run.cancel()

    assert run.history()[-1].what == "change_refused"


def test_grandchildren_that_are_left_end_with_the_script(project: Project) -> None:
    run = project.ended(
        """
        import subprocess, sys
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
        """
    )

    assert run.get_status() == "Completed"
    wait_until_gone(run, [int(printed(run))])


# --- inside the script ------------------------------------------------------------------------


def test_ends_inside_the_script_do_not_take_the_launchers_status(project: Project) -> None:
    run = project.ended(
        """
        from runlore import Run
        run = Run.get_context(allow_offline=False)
        run.log("loss", 0.5)
        run.complete()
        print(run.get_status())
        run.fail("not so")
        print(run.get_status())
        with run:
            pass
        """
    )

    assert printed(run) == "Running\nRunning\n"
    assert run.get_status() == "Completed"
    assert run.get_metrics() == {"loss": 0.5}


def test_subprocesses_and_forks_log_into_the_run(project: Project) -> None:
    run = project.ended(
        """
        import os, subprocess, sys
        from runlore import Run
        run = Run.get_context()
        run.log("parent", 1)
        pid = os.fork()
        run.log("child" if pid == 0 else "parent", 2)
        run.flush()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        code = "from runlore import Run; Run.get_context().log('subprocess', 3)"
        subprocess.run([sys.executable, "-c", code], check=True)
        """
    )

    assert run.get_status() == "Completed", printed(run)
    assert run.get_metrics() == {"parent": [1, 2], "child": 2, "subprocess": 3}


@pytest.mark.parametrize(
    "distribution",
    [PyTorchConfiguration(process_count=4), MpiConfiguration(process_count_per_node=4)],
    ids=["pytorch", "mpi"],
)
def test_all_ranks_log_into_the_one_run_without_loss(
    project: Project, distribution: object
) -> None:
    run = project.ended(
        """
        import os
        from runlore import Run
        rank = int(os.environ["RANK"])
        assert os.environ["WORLD_SIZE"] == "4" and os.environ["MASTER_PORT"]
        run = Run.get_context()
        for number in range(500):
            run.log("loss", rank * 1000 + number)
        run.complete()
        print("rank", rank)
        """,
        distributed_job_config=distribution,
    )

    assert run.get_status() == "Completed", run.get_details_with_logs()
    assert sorted(run.get_metrics("loss")["loss"]) == [
        rank * 1000 + number for rank in range(4) for number in range(500)
    ]
    logs = run.get_details_with_logs()["logFiles"]
    assert logs == {f"user_logs/std_log_process_{rank}.txt": f"rank {rank}\n" for rank in range(4)}


def test_a_rank_that_fails_ends_the_others_and_the_run(project: Project) -> None:
    run = project.ended(
        """
        import os, time
        if os.environ["RANK"] == "1":
            raise ValueError("rank 1 only")
        time.sleep(600)
        """,
        distributed_job_config=PyTorchConfiguration(process_count=2),
    )

    assert "ValueError: rank 1 only" in run.get_details()["error"]["error"]["message"]
    assert {one.rank for one in handle_of(run).state.exits} == {0, 1}


def test_workers_and_parameter_servers_learn_who_they_are(project: Project) -> None:
    run = project.ended(
        """
        import json, os
        config = json.loads(os.environ["TF_CONFIG"])
        print(json.dumps([config["task"], {k: len(v) for k, v in config["cluster"].items()}]))
        """,
        distributed_job_config=TensorflowConfiguration(worker_count=2, parameter_server_count=1),
    )

    told = [json.loads(text) for text in run.get_details_with_logs()["logFiles"].values()]
    assert [task for task, _ in told] == [
        {"type": "worker", "index": 0},
        {"type": "worker", "index": 1},
        {"type": "ps", "index": 0},
    ]
    assert told[0][1] == {"worker": 2, "ps": 1}


# --- waiting ----------------------------------------------------------------------------------


def test_output_is_shown_as_it_appears(project: Project) -> None:
    gate = project.source.parent / "gate"
    run = project.submit(
        f"""
        import os, time
        print("first")
        while not os.path.exists({str(gate)!r}): time.sleep(0.01)
        print("second")
        """
    )
    shown: list[str] = []

    class Screen:
        encoding = "utf-8"

        def write(self, text: str) -> int:
            shown.append(text)
            if "first" in text:
                assert "second" not in "".join(shown)
                gate.touch()
            return len(text)

        def flush(self) -> None:
            """Shown already."""

    screen = sys.stdout
    sys.stdout = Screen()
    try:
        run.wait_for_completion(show_output=True)
    finally:
        sys.stdout = screen

    assert "first\nsecond\n" in "".join(shown)


def test_output_of_an_ended_run_is_shown_too(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    run = project.ended("print('hello ☀')")

    run.wait_for_completion(show_output=True)

    assert "hello ☀\n" in capsys.readouterr().out


def test_several_threads_may_wait_for_one_run(project: Project) -> None:
    run = project.submit("")
    threads = [threading.Thread(target=run.wait_for_completion) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert is_over(run)


def test_ctrl_c_leaves_the_run_running_and_says_so(project: Project) -> None:
    run = project.submit(STAYS)
    wait_until_ready(run)
    told = run_python(
        f"""
import os, signal, threading
from runlore import Workspace
from runlore.exceptions import ExperimentExecutionException
from runlore.execution import waiting  # It comes while the run is waited for, not while this loads.
run = Workspace.open({project.ws.uri!r}).get_run({run.id!r})
threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
try:
    run.wait_for_completion(show_output=True)
except ExperimentExecutionException as error:
    print(error, run.get_status())
""",
        cwd=project.source,
    )

    assert "the run itself continues" in told
    assert told.endswith("Running\n")
    run.cancel()


# --- again ------------------------------------------------------------------------------------


def test_a_run_is_executed_again_as_it_was(project: Project) -> None:
    first = project.ended("import sys; print('as it was', sys.argv[1:])", "--lr", "0.1")
    (project.source / "train.py").write_text("print('changed')")

    again = project.exp.submit(first)
    again.wait_for_completion()

    assert printed(again) == printed(first) == "as it was ['--lr', '0.1']\n"
    assert again.get_snapshot_id() == first.get_snapshot_id()
    assert again.get_details()["runDefinition"]["repeats"] == first.id


def test_an_interactive_run_cannot_be_executed_again(project: Project) -> None:
    run = project.exp.start_logging(outputs=False, snapshot_directory=None)

    with pytest.raises(ExperimentExecutionException, match="was not submitted"):
        project.exp.submit(run)


# --- secrets ----------------------------------------------------------------------------------

PLANTED = {
    "MY_API_KEY": "planted-api-key-3141",
    "HF_TOKEN": "planted-token-5926",
    "DB_PASSWORD": "planted-password-5358",
    "client_secret": "planted-secret-9793",
}


def files_with(secret: str, folder: Path) -> list[str]:
    """Every file below the folder that holds the secret's bytes.

    Another process looks: closing a database's file would take this one's locks away.
    """
    found = subprocess.run(
        ["grep", "-rlaF", secret, str(folder)], capture_output=True, text=True, check=False
    )
    assert found.returncode in (0, 1), found.stderr
    return found.stdout.splitlines()


@pytest.mark.parametrize("target", ["local", "pool"])
def test_values_of_secrets_reach_the_script_and_are_kept_nowhere(
    project: Project, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runlore import ComputeTarget

    if target == "pool":
        ComputeTarget.attach(project.ws, "pool", slots=1, grace_s=0.5)
        blocking = project.submit(STAYS, name="blocking.py", compute_target="pool")
        wait_for_status(blocking, "Running")
    monkeypatch.setenv("INHERITED_TOKEN", "planted-inherited-2384")
    with pytest.warns(UserWarning, match="MY_API_KEY, HF_TOKEN, DB_PASSWORD, client_secret look"):
        run = project.submit(
            f"""
            import os
            print([os.environ[name][:7] for name in {sorted(PLANTED)!r}])
            print(os.environ["INHERITED_TOKEN"][:7], os.environ["PLAIN"])
            """,
            variables={**PLANTED, "PLAIN": "kept"},
            compute_target=target,
        )
    monkeypatch.delenv("INHERITED_TOKEN")
    assert project.ws.path is not None
    if target == "pool":
        assert run.get_status() == "Queued"
        secrets = [*PLANTED.values(), "planted-inherited-2384"]
        assert [files_with(secret, project.ws.path) for secret in secrets] == [[]] * 5
        blocking.cancel()
    run.wait_for_completion()

    assert printed(run) == f"{['planted'] * 4}\nplanted kept\n"
    project.ws.sql("FROM events").fetchall()
    definition = run.get_details()["runDefinition"]
    assert definition["environment_variables"] == {"PLAIN": "kept"}
    assert sorted(definition["secret_variables"]) == sorted(PLANTED)
    for secret in (*PLANTED.values(), "planted-inherited-2384"):
        assert files_with(secret, project.ws.path) == []


def test_secrets_of_a_repeated_run_come_from_the_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.warns(UserWarning, match="API_KEY"):
        first = project.ended("import os; print(os.environ['API_KEY'])", variables={"API_KEY": "1"})
    with pytest.raises(ExperimentExecutionException, match="API_KEY"):
        project.exp.submit(first)

    monkeypatch.setenv("API_KEY", "second")
    again = project.exp.submit(first)
    again.wait_for_completion()

    assert printed(again) == "second\n"


# --- bad input --------------------------------------------------------------------------------


def nothing_was_recorded(project: Project) -> bool:
    assert project.ws.path is not None
    folders = list((project.ws.path / "runs").glob("*"))
    return list(project.exp.get_runs()) == [] and folders == []


@pytest.mark.parametrize(
    "script, problem",
    [
        ("absent.py", "script path doesn't exist"),
        ("../outside.py", "outside of source_directory"),
        ("/etc/passwd", "outside of source_directory"),
        ("folder", "script path doesn't exist"),
        ("a\0b", "NUL"),
        ("ignored.py", "left out of the snapshot"),
    ],
)
def test_a_script_that_cannot_be_executed_is_refused(
    project: Project, script: str, problem: str
) -> None:
    (project.source / "folder").mkdir()
    (project.source.parent / "outside.py").write_text("")
    (project.source / "ignored.py").write_text("")
    (project.source / ".amlignore").write_text("ignored.py\n")

    with pytest.raises(UserErrorException, match=problem):
        project.exp.submit(ScriptRunConfig(str(project.source), script))

    assert nothing_was_recorded(project)


def test_a_command_that_may_not_be_executed_says_how_it_may(project: Project) -> None:
    (project.source / "tool.sh").write_text("#!/bin/sh\n")

    with pytest.raises(ExperimentExecutionException, match=r"chmod \+x \./tool\.sh"):
        project.exp.submit(ScriptRunConfig(str(project.source), command=["./tool.sh"]))

    assert nothing_was_recorded(project)


def test_nothing_to_execute_is_refused(project: Project) -> None:
    with pytest.raises(ExperimentExecutionException, match="nothing to execute"):
        project.exp.submit(ScriptRunConfig(str(project.source)))


def test_a_source_folder_that_is_not_there_is_refused(project: Project) -> None:
    with pytest.raises(ExperimentExecutionException, match="is not a folder"):
        project.exp.submit(ScriptRunConfig(str(project.source / "absent"), "train.py"))


def test_an_unknown_target_names_those_that_there_are(project: Project) -> None:
    with pytest.raises(ComputeTargetException, match="no compute target 'gpu'.*it has: local"):
        project.exp.submit(project.config("", compute_target="gpu"))

    assert nothing_was_recorded(project)


def test_a_source_folder_of_5_gb_is_refused_before_anything_is_copied(project: Project) -> None:
    config = project.config("")
    with (project.source / "data.bin").open("wb") as file:
        file.truncate(5 * 2**30)  # Sparse: nobody may read it.

    with pytest.raises(SnapshotException, match=r"5,120\.0 MB.*data\.bin.*\.amlignore") as raised:
        project.exp.submit(config)

    assert "snapshot_directory" not in str(raised.value)
    assert nothing_was_recorded(project)
    assert project.ws.path is not None
    assert not list((project.ws.path / "artifacts").rglob("?" * 64))


def test_a_loop_of_links_in_the_source_does_no_harm(project: Project) -> None:
    (project.source / "loop").symlink_to(project.source, target_is_directory=True)
    (project.source / "self").symlink_to("self")

    with pytest.warns(UserWarning, match="'loop' is a link to a folder, 'self' is a broken link"):
        run = project.ended("print('fine')")

    assert run.get_status() == "Completed"


@pytest.mark.parametrize("framework", ["Python", "PyTorch"])
def test_without_a_communicator_a_script_is_one_process(project: Project, framework: str) -> None:
    config = project.config("import os; print(os.environ.get('RANK', 'alone'))")
    config.run_config.communicator = "None"
    config.run_config.framework = framework

    run = project.exp.submit(config)

    run.wait_for_completion()
    assert "alone" in printed(run)


def test_more_than_one_node_is_refused(project: Project) -> None:
    config = project.config("", distributed_job_config=PyTorchConfiguration(node_count=2))

    with pytest.raises(RunConfigurationException, match="node_count is 2"):
        project.exp.submit(config)


def test_an_interpreter_that_is_not_there_is_refused(project: Project) -> None:
    config = project.config("")
    config.run_config.environment.python.interpreter_path = "/no/such/python"

    with pytest.raises(RunConfigurationException, match="which is not a program"):
        project.exp.submit(config)


@pytest.mark.parametrize("folder", ["/tmp", "../up", "user_logs"])
def test_watched_folders_lie_below_the_source(project: Project, folder: str) -> None:
    config = project.config("")
    config.run_config.history.directories_to_watch = [folder]

    with pytest.raises(RunConfigurationException, match="directories_to_watch"):
        project.exp.submit(config)


def test_what_is_not_a_configuration_is_refused(project: Project) -> None:
    with pytest.raises(InvalidType, match="takes a ScriptRunConfig"):
        project.exp.submit("train.py")  # type: ignore[arg-type]  # That is the test.


def test_a_workspace_in_memory_says_that_it_holds_no_submitted_runs(project: Project) -> None:
    from runlore import Experiment

    with (
        in_memory("lab") as ws,
        pytest.raises(ExperimentExecutionException, match="workspace in memory"),
    ):
        Experiment(ws, "e").submit(project.config(""))


def test_a_failed_run_raises_when_it_is_waited_for_unless_told_not_to(project: Project) -> None:
    run = project.submit("raise SystemExit(7)")

    with pytest.raises(ActivityFailedException, match="exit code 7"):
        run.wait_for_completion()
    assert run.wait_for_completion(raise_on_error=False)["status"] == "Failed"


def test_a_module_beside_the_script_does_not_reach_the_supervisor(project: Project) -> None:
    for name in ("random.py", "types.py", "runlore_shadow.py", "logging.py"):
        (project.source / name).write_text("raise RuntimeError('shadowed')")
    here = Path.cwd()
    os.chdir(project.source)
    try:
        run = project.ended("print('fine')", name="main.py")
    finally:
        os.chdir(here)

    assert run.get_status() in ("Completed", "Failed")
    assert handle_of(run).state.exits != ()

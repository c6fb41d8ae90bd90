from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.azure.documents import details_of
from runlore.engine.participants.studio_notice import announced
from runlore.run.run import handle_of
from runlore.workspace import session_of
from tests.workspaces import in_memory, seen_again, start

AZURES_KEYS = {
    "runId",
    "target",
    "status",
    "startTimeUtc",
    "endTimeUtc",
    "services",
    "error",
    "warnings",
    "properties",
    "inputDatasets",
    "outputDatasets",
    "runDefinition",
    "logFiles",
    "submittedBy",
}


def time_of(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


# --- get_details ------------------------------------------------------------------------------


def test_details_of_a_running_run_leave_out_unknown_values(run: Run) -> None:
    run.add_properties({"author": "azureml-user", "empty": None})

    details = run.get_details()

    assert details["runId"] == run.id
    assert details["target"] == "local"
    assert details["status"] == "Running"
    assert details["properties"] == {"author": "azureml-user", "empty": None}
    assert details["inputDatasets"] == details["outputDatasets"] == []
    assert details["logFiles"] == {}
    assert set(details) <= AZURES_KEYS
    assert {"endTimeUtc", "error", "warnings"}.isdisjoint(details)


def test_details_are_those_of_one_moment_whoever_ended_the_run(run: Run) -> None:
    assert run.get_details()["status"] == "Running"
    seen_again(run).fail("out of luck")

    details = run.get_details()

    assert details["status"] == "Failed"
    assert details["error"]["error"]["message"] == "out of luck"
    assert "endTimeUtc" in details


def test_details_of_an_ended_run_hold_its_end(run: Run) -> None:
    before = datetime.now(UTC)
    run.complete()

    details = run.get_details()

    assert details["status"] == "Completed"
    start_time, end_time = time_of(details["startTimeUtc"]), time_of(details["endTimeUtc"])
    assert start_time <= end_time
    assert before <= end_time <= datetime.now(UTC)
    assert "error" not in details


def test_details_of_a_failed_run_hold_its_error(run: Run) -> None:
    run.fail("the data was bad", "DataError")

    assert run.get_details()["error"] == {
        "error": {"code": "DataError", "message": "the data was bad"}
    }


def test_details_are_the_same_in_a_new_object_of_the_run(run: Run) -> None:
    run.log("loss", 0.5)
    run.complete()

    assert seen_again(run).get_details() == run.get_details()


def test_details_of_a_run_that_never_started_have_no_start(run: Run) -> None:
    state = handle_of(run).fetch()
    waiting = type(state)(
        run_id="r",
        experiment_id="e",
        experiment_name="e",
        status=state.status,
        root_id="r",
        created_at=0,
        version=1,
    )

    details = details_of(waiting, log_files={}, submitted_by="me")

    assert "startTimeUtc" not in details
    assert details["target"] == "local"


def test_the_submitter_is_the_actor(project: Path) -> None:
    ws = Workspace.create("lab", actor="Ada")

    details = start(Experiment(ws, "e")).get_details()

    assert details["submittedBy"].startswith("Ada@")


def test_the_actor_can_be_set_by_a_variable(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNLORE_ACTOR", "Grace")

    details = start(Experiment(Workspace.create("lab"), "e")).get_details()

    assert details["submittedBy"].startswith("Grace@")


def test_an_actor_that_is_not_utf8_does_not_stop_the_first_write(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNLORE_ACTOR", "Gr\udcffce")
    monkeypatch.setattr("sys.argv", ["tr\udcffin.py"])

    details = start(Experiment(Workspace.create("lab"), "e")).get_details()

    assert details["submittedBy"].startswith("Gr?ce@")


def test_the_detailed_status_has_the_status_and_its_detail(run: Run) -> None:
    assert run.get_detailed_status() == {"status": "Running", "details": None}

    run.cancel()

    assert run.get_detailed_status() == {"status": "Canceled", "details": None}


def test_a_run_has_the_type_that_its_source_says(run: Run) -> None:
    assert run.type is None

    run.add_properties({"azureml.runsource": "notebook"})

    assert run.type == seen_again(run).type == "notebook"


# --- how it looks -----------------------------------------------------------------------------


def test_repr_is_azures(run: Run) -> None:
    expected = f"Run(Experiment: explore-runs,\nId: {run.id},\nType: None,\nStatus: "

    assert repr(run) == f"{expected}Running)"
    seen_again(run).complete()
    assert repr(run) == f"{expected}Completed)"


def test_repr_of_a_run_in_a_closed_workspace_still_has_its_id(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    never_read = folder_ws.get_run(run.id)

    folder_ws.close()

    expected = f"Run(Experiment: e,\nId: {run.id},\nWorkspace: closed)"
    assert repr(run) == repr(never_read) == expected


def test_the_portal_url_is_the_command_that_shows_the_run(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))

    assert run.get_portal_url() == f"runlore run show -r {run.id} -w {folder_ws.path}"


def test_no_command_shows_a_run_in_memory() -> None:
    run = start(Experiment(in_memory("lab"), "e"))

    assert run.get_portal_url() == (
        f"{run.id} is in the memory of this process, which alone can show it"
    )


def serves(workspace: Workspace, address: str) -> AbstractContextManager[None]:
    session = session_of(workspace)
    return announced(session.held, session.workspace.workspace_id, address)


def test_the_portal_url_is_an_address_while_a_studio_serves_the_workspace(
    folder_ws: Workspace,
) -> None:
    experiment = Experiment(folder_ws, "a/b c")
    run = start(experiment)
    with serves(folder_ws, "http://127.0.0.1:8080"):
        assert run.get_portal_url() == f"http://127.0.0.1:8080/run/{run.id}"
        assert experiment.get_portal_url() == "http://127.0.0.1:8080/e/a/b%20c"
        then = folder_ws.as_of(folder_ws.position).get_run(run.id)
        assert then.get_portal_url().endswith(f"/run/{run.id}?asof={folder_ws.position}")
        with serves(folder_ws, "http://127.0.0.1:9"):  # The first one counts.
            assert ":8080/" in run.get_portal_url()

    assert run.get_portal_url().startswith("runlore run show")


def test_a_studio_that_was_killed_has_no_address(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    with serves(folder_ws, "http://127.0.0.1:8080"):
        pass  # Its notice stays; the lock, which the kernel lets go of, is gone.

    assert run.get_portal_url().startswith("runlore run show")


def test_what_public_scripts_read_of_the_services_record_is_there(run: Run) -> None:
    run.tag("stage", "first")

    assert run._run_id == run._run_dto["run_id"] == run.id
    assert run._run_dto["status"] == run.get_status()
    assert run._run_dto["tags"] == {"stage": "first"}

from __future__ import annotations

import gc
import json
import shutil
import sqlite3
import subprocess
import threading
import weakref
from pathlib import Path

import psutil
import pytest

import runlore
from runlore import Experiment, Workspace
from runlore.domain.errors import AlreadyExists, InvalidInput, InvalidType, RunNotFound
from runlore.exceptions import OutOfScope, UserErrorException, WorkspaceNotFound
from runlore.run.run import handle_of
from runlore.storage.errors import LogReadOnly, LogTooNew, NotALog
from runlore.storage.open_sqlite import open_sqlite
from runlore.workspace import session_of, workspace_of
from tests.fresh_python import WITHOUT_ROOTS_POWERS, run_python
from tests.workspaces import start

# --- create -----------------------------------------------------------------------------------


def test_create_makes_a_folder_named_like_the_workspace_in_the_working_folder(
    project: Path,
) -> None:
    ws = Workspace.create("lab")

    assert ws.path == project / "lab"
    assert (project / "lab" / "log.sqlite").is_file()


@pytest.mark.processes
def test_a_new_workspace_never_dirties_the_repository_around_it(project: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)

    with Workspace.create("lab") as ws:
        run = Experiment(ws, "e").start_logging(outputs=False)
        run.log("loss", 0.5)
        run.complete()

    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=project, check=True, capture_output=True, text=True
    )
    assert status.stdout == ""
    assert (project / "lab" / ".gitignore").read_text() == "*\n"


def test_create_ignores_nothing_in_a_folder_that_holds_files(project: Path) -> None:
    (project / "sub").mkdir()
    (project / "sub" / "train.py").write_text("")

    Workspace.create("lab", path="sub").close()

    assert not (project / "sub" / ".gitignore").exists()


def test_create_ignores_nothing_in_the_working_folder(project: Path) -> None:
    Workspace.create("lab", path=".").close()

    assert not (project / ".gitignore").exists()


def test_creating_a_workspace_twice_is_refused_with_the_way_out(project: Path) -> None:
    Workspace.create("lab").close()

    with pytest.raises(AlreadyExists, match=r"Workspace\.open\(.*exist_ok=True"):
        Workspace.create("lab")


def test_exist_ok_opens_an_existing_workspace(project: Path) -> None:
    first = Workspace.create("lab", location="here")

    again = Workspace.create("lab", location="elsewhere", exist_ok=True)

    assert again.get_details()["workspaceid"] == first.get_details()["workspaceid"]
    assert again.location == "here"


def test_exist_ok_opens_a_workspace_whose_folder_was_renamed(project: Path) -> None:
    Workspace.create("lab").close()
    (project / "lab").rename("other")

    assert Workspace.create("other", exist_ok=True).name == "lab"
    assert Workspace.create("third", path="other", exist_ok=True).name == "lab"
    with pytest.raises(AlreadyExists, match="there is already a workspace 'lab' in .*other; open"):
        Workspace.create("other")


@pytest.mark.parametrize("name", ["", "ab", "-lab", "a/b", "läb lab", "x" * 34, "lab\n"])
def test_a_bad_name_makes_nothing(project: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a valid workspace name"):
        Workspace.create(name)

    assert list(project.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [{"tags": ["a"]}, {"subscription_id": 5}, {"location": "\ud800"}, {"tags": {"": "x"}}],
    ids=["tags-no-dict", "subscription-no-text", "location-not-utf8", "tag-key-empty"],
)
def test_bad_arguments_make_nothing(project: Path, options: dict[str, object]) -> None:
    with pytest.raises((InvalidInput, InvalidType)):
        Workspace.create("lab", **options)  # type: ignore[arg-type]  # wrong on purpose

    assert list(project.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(project: Path) -> None:
    (project / "file").write_text("")

    with pytest.raises(LogReadOnly, match="cannot create the workspace's folder .*file/lab"):
        Workspace.create("lab", path="file/lab")


def test_an_interrupted_creation_can_be_finished(project: Path) -> None:
    (project / "lab").mkdir()
    open_sqlite(project / "lab" / "log.sqlite").close()

    with pytest.raises(WorkspaceNotFound, match="holds no workspace; create it with"):
        Workspace.open("lab")

    with Workspace.create("lab") as ws:
        assert ws.name == "lab"


def test_azures_other_options_are_ignored(project: Path) -> None:
    with Workspace.create(
        "lab",
        create_resource_group=False,
        sku="enterprise",
        storage_account="x",
        hbi_workspace=True,
    ) as ws:
        assert ws.name == "lab"


def test_a_workspace_shows_azures_coordinates(project: Path) -> None:
    ws = Workspace.create(
        "lab",
        subscription_id="sub",
        resource_group="group",
        location="eastus2",
        tags={"team": "vision", "draft": None},
    )

    for seen in (ws, Workspace.open("lab"), Workspace("sub", "group", "lab")):
        assert (seen.name, seen.subscription_id, seen.resource_group, seen.location) == (
            "lab",
            "sub",
            "group",
            "eastus2",
        )
        assert seen.tags == {"team": "vision", "draft": None}
        assert repr(seen) == (
            "Workspace.create(name='lab', subscription_id='sub', resource_group='group')"
        )
    details = ws.get_details()
    assert details["id"] == (
        "/subscriptions/sub/resourceGroups/group/providers"
        "/Microsoft.MachineLearningServices/workspaces/lab"
    )
    assert (details["name"], details["location"]) == ("lab", "eastus2")
    assert details["creationTime"].endswith("+00:00")


def test_without_coordinates_a_workspace_is_local(project: Path) -> None:
    ws = Workspace.create("lab")

    assert (ws.subscription_id, ws.resource_group, ws.location) == ("", "", "local")
    assert ws.tags == {}


# --- open, close ------------------------------------------------------------------------------


def test_open_takes_a_path_a_text_and_a_uri(folder_ws: Workspace) -> None:
    assert folder_ws.path is not None

    for address in (folder_ws.path, str(folder_ws.path), folder_ws.uri):
        with Workspace.open(address) as seen:
            assert seen.name == "lab"
            assert seen.uri == folder_ws.uri


def test_the_uri_quotes_special_characters(project: Path) -> None:
    ws = Workspace.create("lab", path="a folder #1 ü")

    assert " " not in ws.uri
    assert "#" not in ws.uri
    assert Workspace.open(ws.uri).name == "lab"


def test_the_uri_is_the_same_by_any_path(folder_ws: Workspace, project: Path) -> None:
    assert folder_ws.path is not None
    (project / "link").symlink_to(folder_ws.path)

    assert Workspace.open("link").uri == folder_ws.uri


def test_open_refuses_a_uri_of_another_kind(project: Path) -> None:
    with pytest.raises(InvalidInput, match="no opener for mysql://"):
        Workspace.open("mysql://host/db")


def test_opening_a_folder_without_a_workspace_says_how_to_create_one(project: Path) -> None:
    with pytest.raises(WorkspaceNotFound, match=r"no workspace in .*Workspace\.create\("):
        Workspace.open(project)


def test_a_file_of_another_application_is_refused_and_left_alone(project: Path) -> None:
    with sqlite3.connect(project / "log.sqlite") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (project / "log.sqlite").read_bytes()

    with pytest.raises(NotALog, match="of another application"):
        Workspace.open(project)
    with pytest.raises(NotALog, match="of another application"):
        Workspace.create("lab", path=project)

    assert (project / "log.sqlite").read_bytes() == before


def test_a_file_that_is_not_a_database_is_refused(project: Path) -> None:
    (project / "log.sqlite").write_text("these are my notes, not a database\n" * 100)

    with pytest.raises(NotALog, match="is not a runlore log"):
        Workspace.open(project)


def test_a_workspace_of_a_newer_runlore_is_read_with_a_warning_and_left_alone(
    project: Path,
) -> None:
    with (
        Workspace.create("lab") as ws,
        start(Experiment(ws, "explore-runs"), run_id="first") as run,
    ):
        run.log("loss", 0.5)
    file = project / "lab" / "log.sqlite"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version=1000")
    connection.commit()
    connection.close()
    before = file.read_bytes()

    with pytest.warns(UserWarning, match="has version 1000.*upgrade runlore") as warned:
        newer = Workspace.open("lab")
    run = newer.get_run("first")
    assert (run.get_status(), run.get_metrics()) == ("Completed", {"loss": 0.5})
    assert [one.id for one in Experiment(newer, "explore-runs").get_runs()] == ["first"]
    for change in (
        lambda: run.tag("quality", "great"),
        lambda: Experiment(newer, "another"),
        lambda: start(Experiment(newer, "explore-runs")),
    ):
        with pytest.raises(LogTooNew, match="has version 1000"):
            change()
    newer.close()

    assert [one.filename for one in warned] == [__file__]
    assert file.read_bytes() == before


@pytest.mark.processes
def test_refused_files_leave_no_complaint_at_the_exit_of_the_process(project: Path) -> None:
    (project / "log.sqlite").write_text("these are my notes, not a database\n" * 100)

    printed = run_python(
        """
import runlore
try:
    runlore.Workspace.open(".")
except runlore.exceptions.UserErrorException as error:
    print(type(error).__name__)
""",
        cwd=project,
    )

    assert printed == "NotALog\n"


def test_close_is_idempotent(project: Path) -> None:
    ws = Workspace.create("lab")

    ws.close()
    ws.close()


def test_close_writes_buffered_values(project: Path) -> None:
    with Workspace.create("lab") as ws:
        run = start(Experiment(ws, "e"))
        run.log("loss", 0.5)

    assert Workspace.open("lab").get_run(run.id).get_metrics() == {"loss": 0.5}


@pytest.mark.processes
def test_the_exit_of_the_process_writes_buffered_values(project: Path) -> None:
    run_id = run_python(
        """
import runlore
ws = runlore.Workspace.create("lab")
run = runlore.Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None)
for i in range(1000):
    run.log("loss", i)
print(run.id)
""",
        cwd=project,
    ).strip()

    assert Workspace.open("lab").get_run(run_id).get_metrics() == {"loss": list(range(1000))}


def test_an_unreferenced_workspace_writes_its_values_and_closes(project: Path) -> None:
    Workspace.create("lab").close()
    process = psutil.Process()
    open_before, threads_before = process.num_fds(), threading.active_count()

    for number in range(20):
        start(Experiment(Workspace.open("lab"), "e"), end_at_exit=False).log("loss", number)

    assert process.num_fds() <= open_before + 4
    assert threading.active_count() <= threads_before + 1
    runs = [row[0] for row in Workspace.open("lab").sql("SELECT run_id FROM runs").fetchall()]
    logged = [Workspace.open("lab").get_run(run_id).get_metrics()["loss"] for run_id in runs]
    assert sorted(logged) == list(range(20))


def test_an_unreferenced_view_of_the_past_lets_its_workspace_close(project: Path) -> None:
    workspace = Workspace.create("lab")
    past = workspace.as_of(workspace.position)
    assert past.get_run_records() == []
    session = weakref.ref(session_of(workspace))

    gc.disable()  # No cycle may keep them: they close with the last reference.
    try:
        del workspace, past
        assert session() is None
    finally:
        gc.enable()


def test_two_workspaces_on_one_folder_see_each_others_changes(folder_ws: Workspace) -> None:
    assert folder_ws.path is not None
    run = start(Experiment(folder_ws, "e"))

    with Workspace.open(folder_ws.path) as other:
        other.get_run(run.id).tag("seen", "yes")

    assert run.get_tags() == {"seen": "yes"}


@pytest.mark.processes
def test_a_read_only_folder_opens_for_reading_and_refuses_writes_clearly(project: Path) -> None:
    with Workspace.create("lab") as ws:
        run = start(Experiment(ws, "e"))
        run.log("loss", 0.5)
        run.complete()

    files = sorted((project / "lab").rglob("*"))

    printed = run_python(WITHOUT_ROOTS_POWERS + READ_ONLY, cwd=project, RUN_ID=run.id)

    assert printed.splitlines() == [
        "Completed {'loss': 0.5}",
        "1 run listed",
        "[('Completed',)]",
        "tag: LogReadOnly",
        "new experiment: LogReadOnly",
        "start: LogReadOnly",
        "upload: FileNotWritten",
        "create: AlreadyExists",
        "exist_ok: done",
        "flush: LogReadOnly",
        "close: done",
        printed.splitlines()[-1],
    ]
    assert printed.splitlines()[-1].startswith("values logged into a workspace that is only")
    assert sorted((project / "lab").rglob("*")) == files


READ_ONLY = """
import io, os, warnings
import runlore
from runlore.domain.errors import RunloreError

for folder, _, files in os.walk("."):
    for file in files:
        os.chmod(os.path.join(folder, file), 0o444)
    os.chmod(folder, 0o555)
obey_file_modes()

def attempt(what, call):
    try:
        call()
        print(f"{what}: done")
    except RunloreError as error:
        print(f"{what}: {type(error).__name__}")

ws = runlore.Workspace.open("lab")
run = ws.get_run(os.environ["RUN_ID"])
print(run.get_status(), run.get_metrics())
exp = runlore.Experiment(ws, "e")
print(f"{len(list(exp.get_runs()))} run listed")
print(ws.sql("SELECT status FROM runs").fetchall())
attempt("tag", lambda: run.tag("late"))
attempt("new experiment", lambda: runlore.Experiment(ws, "f"))
attempt("start", lambda: exp.start_logging(outputs=False, snapshot_directory=None))
attempt("upload", lambda: run.upload_file("a.txt", io.BytesIO(b"a")))
attempt("create", lambda: runlore.Workspace.create("lab"))
attempt("exist_ok", lambda: runlore.Workspace.create("lab", exist_ok=True))
run.log("loss", 0.25)
attempt("flush", run.flush)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    attempt("close", ws.close)
print(told[-1].message)
"""

# --- get, list --------------------------------------------------------------------------------


def test_get_finds_the_folder_of_the_name(project: Path) -> None:
    ws = Workspace.create("lab")

    assert Workspace.get("lab").uri == ws.uri


def test_get_takes_a_path(project: Path) -> None:
    ws = Workspace.create("lab", path="elsewhere")

    assert Workspace.get("lab", path="elsewhere").uri == ws.uri


def test_get_finds_the_workspace_of_the_config(project: Path) -> None:
    ws = Workspace.create("lab", path="elsewhere")
    ws.write_config()

    assert Workspace.get("lab").uri == ws.uri


def test_get_does_not_give_a_workspace_of_another_name(project: Path) -> None:
    Workspace.create("other", path="lab").write_config()

    with pytest.raises(WorkspaceNotFound, match="is named 'other', not 'lab'"):
        Workspace.get("lab")
    with pytest.raises(WorkspaceNotFound, match="is named 'other', not 'third'"):
        Workspace.get("third")


def test_get_of_a_name_that_is_nowhere_says_where_it_looked(project: Path) -> None:
    with pytest.raises(WorkspaceNotFound, match=f"no workspace in {project / 'lab'}"):
        Workspace.get("lab")


def test_list_gives_the_workspaces_of_a_folder_by_name(project: Path) -> None:
    Workspace.create("lab", subscription_id="s1").close()
    Workspace.create("lab", path="second", subscription_id="s2").close()
    Workspace.create("other", subscription_id="s2", resource_group="g").close()

    found = Workspace.list()
    assert {name: len(spaces) for name, spaces in found.items()} == {"lab": 2, "other": 1}
    assert {name: len(spaces) for name, spaces in Workspace.list("s2").items()} == {
        "lab": 1,
        "other": 1,
    }
    assert list(Workspace.list("s2", resource_group="g")) == ["other"]
    assert list(Workspace.list(path="second")) == ["lab"]
    assert Workspace.list(path="nowhere") == {}


def test_list_leaves_out_what_it_cannot_open_and_says_so(project: Path) -> None:
    Workspace.create("lab").close()
    (project / "broken").mkdir()
    (project / "broken" / "log.sqlite").write_text("not a database, but long enough " * 100)

    with pytest.warns(UserWarning, match="left out of the list: .*broken"):
        found = Workspace.list()

    assert list(found) == ["lab"]


# --- config -----------------------------------------------------------------------------------


def test_without_a_config_the_error_says_what_was_looked_for_and_how_to_create(
    project: Path,
) -> None:
    with pytest.raises(WorkspaceNotFound) as raised:
        Workspace.from_config()

    message = str(raised.value)
    assert str(project) in message
    assert ".azureml/config.json, aml_config/config.json, config.json and project.json" in message
    assert "Workspace.create('my-workspace').write_config()" in message
    assert isinstance(raised.value, UserErrorException)


def test_the_line_that_the_error_names_makes_from_config_work(project: Path) -> None:
    Workspace.create("my-workspace").write_config()

    assert Workspace.from_config().name == "my-workspace"


def test_a_config_is_found_from_any_folder_below(project: Path) -> None:
    ws = Workspace.create("lab")
    ws.write_config()
    (project / "src" / "deep").mkdir(parents=True)

    assert Workspace.from_config("src/deep").uri == ws.uri
    assert Workspace.from_config(project / "src").uri == ws.uri


def test_a_config_can_be_given_as_a_file(project: Path) -> None:
    ws = Workspace.create("lab")
    ws.write_config(path="settings", file_name="other.json")

    assert Workspace.from_config("settings/.azureml/other.json").uri == ws.uri
    with pytest.raises(WorkspaceNotFound, match="no workspace config"):
        Workspace.from_config("settings")


def test_write_config_writes_azures_fields(project: Path) -> None:
    Workspace.create("lab", subscription_id="s", resource_group="g").write_config()

    fields = json.loads((project / ".azureml" / "config.json").read_text())
    assert fields["Id"] is None
    assert fields["Scope"] == (
        "/subscriptions/s/resourceGroups/g/providers"
        "/Microsoft.MachineLearningServices/workspaces/lab"
    )


def test_a_config_survives_the_move_of_its_project(project: Path, tmp_path: Path) -> None:
    with Workspace.create("lab", path="data/lab") as ws:
        ws.write_config()
        workspace_id = ws.get_details()["workspaceid"]
    moved = tmp_path / "moved"

    shutil.copytree(project, moved)
    shutil.rmtree(project / "data")

    found = Workspace.from_config(moved)
    assert found.get_details()["workspaceid"] == workspace_id
    assert found.path == moved / "data" / "lab"


def test_a_config_leads_to_a_workspace_outside_of_the_project(
    project: Path, folder_ws: Workspace
) -> None:
    folder_ws.write_config()

    assert Workspace.from_config().uri == folder_ws.uri


AZURES_CONFIGS = {
    "fields": '{"subscription_id": "s", "resource_group": "g", "workspace_name": "lab"}',
    "scope": '{"Id": null, "Scope": "/subscriptions/s/resourceGroups/g/providers'
    '/Microsoft.MachineLearningServices/workspaces/lab"}',
    "byte-order-mark": '\ufeff{"workspace_name": "lab"}',
}


@pytest.mark.parametrize("place", [".azureml", "aml_config", "."])
@pytest.mark.parametrize("content", AZURES_CONFIGS.values(), ids=AZURES_CONFIGS)
def test_azures_own_config_leads_to_the_folder_of_the_name_in_the_project(
    project: Path, content: str, place: str
) -> None:
    ws = Workspace.create("lab")
    (project / place).mkdir(exist_ok=True)
    (project / place / "config.json").write_text(content, encoding="utf-8")

    assert Workspace.from_config().uri == ws.uri


def test_azures_own_config_without_a_workspace_says_how_to_create_it(project: Path) -> None:
    (project / "config.json").write_text(AZURES_CONFIGS["fields"])

    with pytest.raises(WorkspaceNotFound, match=r"Workspace\.create\('lab', path=") as raised:
        Workspace.from_config()

    assert str(project / "config.json") in str(raised.value)


def test_the_nearest_config_of_the_first_name_wins(project: Path) -> None:
    """Azure's order: `.azureml/config.json` all the way up, and only then the next name."""
    Workspace.create("upper").write_config()
    (project / "sub").mkdir()
    Workspace.create("lower", path="sub/lower").close()
    (project / "sub" / "config.json").write_text('{"workspace_name": "lower"}')

    assert Workspace.from_config("sub").name == "upper"


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"Path": 5}'])
def test_a_broken_config_is_named_with_the_way_out(project: Path, content: str) -> None:
    (project / "config.json").write_text(content)

    with pytest.raises(UserErrorException, match=r"config\.json.*write_config\(\)"):
        Workspace.from_config()


# --- contents ---------------------------------------------------------------------------------


def test_experiments_are_given_by_name(ws: Workspace) -> None:
    assert ws.experiments == {}

    first, second = Experiment(ws, "b"), Experiment(ws, "a")

    assert ws.experiments == {"b": first, "a": second}


def test_get_run_finds_a_run_of_any_experiment(ws: Workspace) -> None:
    run = start(Experiment(ws, "e"))

    found = ws.get_run(run.id)

    assert found == run
    assert found.experiment.name == "e"


def test_get_run_of_an_unknown_id_says_where_it_looked(ws: Workspace) -> None:
    with pytest.raises(RunNotFound, match="no run 'r_42' in workspace 'lab'"):
        ws.get_run("r_42")


def test_the_local_compute_target_always_exists(ws: Workspace) -> None:
    assert list(ws.compute_targets) == ["local"]


def test_uncovered_methods_say_what_to_do_instead(ws: Workspace) -> None:
    with pytest.raises(OutOfScope, match="remove its folder"):
        ws.delete()
    with pytest.raises(OutOfScope, match="upload_file"):
        ws.get_default_datastore()


def test_a_workspace_in_memory_has_no_folder_to_lead_to() -> None:
    ws = workspace_of(handle_of(runlore.Run.get_context()).session)

    assert ws.path is None
    assert ws.location == "memory"
    assert ws.uri.startswith("memory:")
    with pytest.raises(UserErrorException, match="in memory"):
        ws.write_config()

"""What somebody else plants above the working folder is not what a search finds."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

import runlore
from runlore import RunConfiguration, Workspace
from runlore.domain.errors import WorkspaceNotFound
from runlore.engine import places
from runlore.engine.places import NotTrusted
from runlore.entry.attached_folder import attach, attached_experiment
from runlore.entry.workspace_address import find_workspace, open_workspace
from runlore.exceptions import RunConfigurationException
from runlore.storage import ownership, user_settings
from tests.cli.shell import Ran
from tests.cli.shell import runlore as command
from tests.hostile.users import FIRST_USER, group_of
from tests.workspaces import project as project

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")

STRANGER: Final = FIRST_USER


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    """Settings of this test, and searches that go up to `tmp_path`, which only looks like /tmp."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("RUNLORE_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.setattr(places, "_warned", set())
    monkeypatch.setattr(user_settings, "_warned", set())


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A stranger's workspace."""
    folder = tmp_path / "stranger" / "bait"
    Workspace.create("bait", path=folder).close()
    give_to(STRANGER, folder.parent)
    return folder


def plant_config(at: Path, leads_to: Path | str, place: str = ".azureml/config.json") -> Path:
    config = at / place
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps({"Path": str(leads_to), "Experiment": "theirs"}))
    give_to(STRANGER, config)
    if config.parent != at:
        give_to(STRANGER, config.parent)
    return config


def give_to(uid: int, path: Path, *, below: bool = True) -> None:
    """Make a user the owner of a file or folder, and of all that is below it."""
    os.chown(path, uid, uid, follow_symlinks=False)
    if below and path.is_dir() and not path.is_symlink():
        for inner in path.rglob("*"):
            os.chown(inner, uid, uid, follow_symlinks=False)


SEARCHES: dict[str, Callable[[], object]] = {
    "from_config": Workspace.from_config,
    "get": lambda: Workspace.get("bait"),
    "constructor": lambda: Workspace(workspace_name="bait"),
    "open_workspace": open_workspace,
    "open_workspace by name": lambda: open_workspace(".", "bait"),
    "find_workspace": find_workspace,
    "init": lambda: runlore.init("e"),
    "attached_experiment": attached_experiment,
}
OF_CONFIGS = [name for name in SEARCHES if name != "init"]


# --- configs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", [".azureml/config.json", "aml_config/project.json", "config.json"]
)
@pytest.mark.parametrize("way", SEARCHES)
def test_a_planted_config_in_a_folder_above_is_refused(
    way: str, place: str, theirs: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = plant_config(project, theirs, place)
    if place == "config.json":
        give_to(STRANGER, project)
    (project / "sub").mkdir()
    monkeypatch.chdir(project / "sub")

    with pytest.raises(NotTrusted) as raised:
        SEARCHES[way]()

    message = str(raised.value)
    assert f"found {config}" in message
    assert f"belongs to user {STRANGER}, not to you" in message
    assert f"`runlore trust {project}`" in message
    assert "-w FOLDER" in message
    assert not (project / "sub" / ".runlore").exists()


@pytest.mark.parametrize("way", SEARCHES)
def test_so_is_one_in_the_working_folder_itself(way: str, theirs: Path, project: Path) -> None:
    plant_config(project, theirs)

    with pytest.raises(NotTrusted):
        SEARCHES[way]()


@pytest.mark.parametrize("way", SEARCHES)
def test_in_a_folder_like_tmp_it_is_passed_over(
    way: str, theirs: Path, project: Path, tmp_path: Path
) -> None:
    """An error would let any user stop the work of everybody below /tmp."""
    tmp_path.chmod(0o1777)
    config = plant_config(tmp_path, theirs)

    with pytest.warns(
        UserWarning, match=f"passed over {config}.*everybody can write to {tmp_path}"
    ):
        try:
            found = SEARCHES[way]()
        except runlore.exceptions.UserErrorException:
            found = None
        except WorkspaceNotFound as error:
            assert not isinstance(error, NotTrusted)
            found = None

    assert (found is not None) == (way == "init")
    assert (project / ".runlore").exists() == (way == "init")


def test_a_config_of_the_user_above_a_planted_one_is_found(
    theirs: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace.create("mine", path=tmp_path / "mine").write_config(tmp_path)
    project.chmod(0o1777)
    plant_config(project, theirs)
    (project / "sub").mkdir()
    monkeypatch.chdir(project / "sub")

    with pytest.warns(UserWarning, match="passed over"):
        assert Workspace.from_config().name == "mine"


@pytest.mark.parametrize("link", [".azureml", ".azureml/config.json"])
def test_a_planted_link_to_a_config_of_the_user_is_refused(
    link: str, project: Path, tmp_path: Path
) -> None:
    """It would choose among the user's own workspaces."""
    Workspace.create("private", path=tmp_path / "private").write_config(tmp_path / "elsewhere")
    place = project / link
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(tmp_path / "elsewhere" / link)
    os.chown(place, STRANGER, STRANGER, follow_symlinks=False)

    with pytest.raises(NotTrusted, match=f"{place} belongs to user {STRANGER}"):
        Workspace.from_config()


def test_a_hard_link_to_a_file_of_the_user_is_refused(project: Path, tmp_path: Path) -> None:
    """Where the kernel lets everybody make one (protected_hardlinks=0)."""
    Workspace.create("private", path=tmp_path / "private").write_config(tmp_path)
    (project / ".azureml").mkdir()
    os.link(tmp_path / ".azureml/config.json", project / ".azureml/config.json")
    give_to(STRANGER, project / ".azureml", below=False)

    with pytest.raises(NotTrusted):
        Workspace.from_config()


def test_a_strangers_config_of_another_program_is_no_reason_to_stop(
    project: Path, tmp_path: Path
) -> None:
    Workspace.create("mine")
    (tmp_path / "project.json").write_text(json.dumps({"Path": str(project / "mine")}))
    for name in ("config.json", "project.json"):
        (project / name).write_text('{"hidden_size": 768}')
        give_to(STRANGER, project / name)

    assert Workspace.from_config().name == "mine"


@pytest.mark.parametrize("kind", ["pipe", "folder", "unreadable text", "deep", "huge"])
def test_what_is_not_a_config_neither_stops_nor_crashes_the_search(
    kind: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.json"
    match kind:
        case "pipe":
            os.mkfifo(config)
        case "folder":
            config.mkdir()
        case "unreadable text":
            config.write_bytes(b"\xff\xfe\x00")
        case "deep":
            config.write_text("[" * 100_000)
        case "huge":
            config.touch()
            os.truncate(config, 1 << 40)
    give_to(STRANGER, config)

    assert runlore.init("e").experiment.workspace.path == project / ".runlore"
    shutil.rmtree(project / ".runlore")
    with pytest.raises(WorkspaceNotFound, match="no workspace config"):
        Workspace.from_config()


# --- what a config leads to -------------------------------------------------------------------


def test_a_config_of_the_user_names_a_workspace_of_somebody_else(
    theirs: Path, project: Path
) -> None:
    (project / ".azureml").mkdir()
    (project / ".azureml/config.json").write_text(json.dumps({"Path": str(theirs)}))

    assert Workspace.from_config().name == "bait"


@pytest.mark.parametrize("content", [{"Path": "lab"}, {"workspace_name": "lab"}])
def test_a_relative_path_is_found_not_named(content: dict[str, str], project: Path) -> None:
    """The user's config stays in /tmp, and the workspace was removed: another takes its place."""
    (project / "config.json").write_text(json.dumps(content))
    Workspace.create("bait", path=project / "lab").close()
    give_to(STRANGER, project / "lab")

    for find in (Workspace.from_config, open_workspace, find_workspace):
        with pytest.raises(NotTrusted, match=f"{project}/lab belongs to user {STRANGER}"):
            find()


def test_a_link_in_its_place_is_refused(theirs: Path, project: Path) -> None:
    (project / "config.json").write_text('{"Path": "lab"}')
    (project / "lab").symlink_to(theirs)

    with pytest.raises(NotTrusted, match=f"{project}/lab belongs to user {STRANGER}"):
        Workspace.from_config()


# --- workspaces -------------------------------------------------------------------------------

OF_WORKSPACES = ["open_workspace", "open_workspace by name", "find_workspace", "init"]


@pytest.mark.parametrize("way", OF_WORKSPACES)
@pytest.mark.parametrize("name", [".runlore", "."])
def test_a_planted_workspace_in_a_folder_above_is_refused(
    way: str, name: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace.create("bait", path=project / name).close()
    give_to(STRANGER, project / name)
    (project / "sub").mkdir(exist_ok=True)
    monkeypatch.chdir(project / "sub")

    with pytest.raises(NotTrusted, match=f"belongs to user {STRANGER}"):
        SEARCHES[way]()


def test_one_in_a_folder_like_tmp_is_passed_over(project: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    Workspace.create("bait", path=tmp_path / ".runlore").close()
    give_to(STRANGER, tmp_path / ".runlore")

    with pytest.warns(UserWarning, match="passed over"):
        run = runlore.init("e")

    assert run.experiment.workspace.path == project / ".runlore"


@pytest.mark.parametrize("part", ["log.sqlite", "."])
def test_each_part_of_a_workspace_counts(part: str, project: Path) -> None:
    Workspace.create("bait", path=project / ".runlore").close()
    give_to(STRANGER, project / ".runlore" / part, below=False)

    with pytest.raises(NotTrusted):
        runlore.init("e")


def test_init_creates_nothing_in_a_folder_that_was_made_for_it(project: Path) -> None:
    """A stranger's empty `.runlore` waits in /tmp for somebody to log into it."""
    (project / ".runlore").mkdir(mode=0o777)
    give_to(STRANGER, project / ".runlore")

    with pytest.raises(NotTrusted, match=f"{project}/.runlore belongs to user {STRANGER}"):
        runlore.init("e")

    assert list((project / ".runlore").iterdir()) == []


def test_the_list_of_a_folders_workspaces_leaves_out_strangers(theirs: Path, project: Path) -> None:
    Workspace.create("mine").close()
    shutil.move(theirs, project / "bait")

    with pytest.warns(UserWarning, match=f"left out of the list: found {project}/bait"):
        assert list(Workspace.list()) == ["mine"]
    assert list(Workspace.list(path=project / "bait")) == ["bait"]


def test_a_planted_run_configuration_in_the_working_folder_is_refused(project: Path) -> None:
    """It names the interpreter."""
    (project / ".azureml").mkdir()
    file = project / ".azureml/evil.runconfig"
    file.write_text("environment:\n  python:\n    interpreterPath: /tmp/evil\n")
    (project / "train.py").write_text("")
    Workspace.create("lab").close()
    give_to(STRANGER, file)

    with pytest.raises(RunConfigurationException, match=f"{file} belongs to user {STRANGER}"):
        RunConfiguration.load(name="evil")
    refused = in_project(
        *("run", "submit-script", "-w", "lab", "-e", "e", "-c", "evil", "train.py"),
        project=project,
        code=1,
    )
    assert f"`runlore trust {file.parent}`" in refused.err

    assert RunConfiguration.load(project, "evil").environment.python.interpreter_path
    assert RunConfiguration.load(file).environment.python.interpreter_path
    ownership.trust([project])
    assert RunConfiguration.load(name="evil").environment.python.interpreter_path


# --- what counts all the same -----------------------------------------------------------------


def test_what_is_named_is_used(
    theirs: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = plant_config(project, theirs)
    (project / "sub").mkdir()
    monkeypatch.chdir(project / "sub")

    assert Workspace.open(theirs).name == "bait"
    assert Workspace.get("bait", path=theirs).name == "bait"
    assert Workspace.from_config(config).name == "bait"
    assert Workspace.from_config(project).name == "bait"
    assert open_workspace(".", str(theirs)).name == "bait"
    assert open_workspace(project).name == "bait"
    assert runlore.init("e", workspace=theirs).experiment.workspace.name == "bait"
    monkeypatch.setenv("RUNLORE_WORKSPACE_URI", str(theirs))
    assert open_workspace().name == "bait"
    assert runlore.init("e").experiment.workspace.name == "bait"


def test_what_is_found_above_a_named_folder_is_not_named(theirs: Path, project: Path) -> None:
    plant_config(project, theirs)
    (project / "sub").mkdir()

    with pytest.raises(NotTrusted):
        Workspace.from_config(project / "sub")
    with pytest.raises(NotTrusted):
        open_workspace(project / "sub")


@pytest.mark.parametrize("way", OF_CONFIGS)
@pytest.mark.parametrize("above", [".", ".."])
def test_what_lies_in_a_trusted_folder_is_used(
    way: str, above: str, theirs: Path, project: Path
) -> None:
    plant_config(project, theirs)

    ownership.trust([project / above])

    assert SEARCHES[way]()


def test_a_trusted_folder_covers_the_workspaces_that_its_configs_name(project: Path) -> None:
    Workspace.create("team", path=project / "lab").write_config()
    give_to(STRANGER, project)

    with pytest.raises(NotTrusted):
        Workspace.from_config()
    ownership.trust([project])
    assert Workspace.from_config().name == "team"
    assert runlore.init("e").experiment.workspace.name == "team"


def test_trust_does_not_reach_beside_the_folder_or_through_links_out_of_it(
    theirs: Path, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "proj").mkdir()
    ownership.trust([tmp_path / "proj"])
    plant_config(project, theirs)
    (tmp_path / "proj" / ".azureml").symlink_to(project / ".azureml")

    with pytest.raises(NotTrusted):
        Workspace.from_config()
    with pytest.raises(NotTrusted):
        os.chdir(tmp_path / "proj")
        Workspace.from_config()


def test_roots_own_counts_for_everybody(
    theirs: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace.create("admins", path=project / "lab").write_config()
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)

    assert Workspace.from_config().path == project / "lab"


@pytest.mark.parametrize(
    ("caller", "is_found"),
    [(str(STRANGER), True), (str(STRANGER + 1), False), ("", False), ("x", False), ("-1", False)],
)
def test_root_by_sudo_believes_the_user_who_called_it(
    caller: str, is_found: bool, theirs: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_config(project, theirs)
    monkeypatch.setenv("SUDO_UID", caller)

    if is_found:
        assert Workspace.from_config().name == "bait"
    else:
        with pytest.raises(NotTrusted):
            Workspace.from_config()


def test_nobody_but_root_believes_the_variable(
    theirs: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_config(project, theirs)
    monkeypatch.setenv("SUDO_UID", str(STRANGER))
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER + 1)

    with pytest.raises(NotTrusted):
        Workspace.from_config()


def test_attaching_a_folder_names_its_workspace(theirs: Path, project: Path) -> None:
    attach(project, str(theirs), experiment_name="e")

    assert Workspace.from_config().name == "bait"
    assert attached_experiment() == "e"


# --- the command ------------------------------------------------------------------------------


def in_project(*arguments: str, project: Path, code: int = 0) -> Ran:
    return command(
        *arguments,
        cwd=project,
        code=code,
        XDG_CONFIG_HOME=str(project.parent / "settings"),
        RUNLORE_CEILING_DIRECTORIES=str(project.parent.parent),
    )


def test_the_command_trusts_lists_and_removes(theirs: Path, project: Path) -> None:
    plant_config(project, theirs)
    refused = in_project("workspace", "show", project=project, code=1)
    assert f"`runlore trust {project}`" in refused.err

    assert in_project("trust", "--list", project=project).data == []
    trusted = in_project("trust", str(project), project=project).data
    assert trusted == [{"folder": str(project)}]
    assert in_project("trust", ".", project=project).data == trusted
    assert in_project("workspace", "show", project=project).data["name"] == "bait"
    assert in_project("trust", "--remove", ".", project=project).data == []
    in_project("workspace", "show", project=project, code=1)


def test_the_command_says_what_is_wrong(project: Path, tmp_path: Path) -> None:
    assert "is not a folder" in in_project("trust", "nowhere", project=project, code=1).err
    ran = in_project("trust", "--remove", "nowhere", project=project, code=1)
    assert "nowhere is not trusted" in ran.err
    for wrong in ((), ("--list", "."), ("--list", "--remove"), ("--remove",)):
        in_project("trust", *wrong, project=project, code=2)
    assert not (tmp_path / "settings/runlore/config.json").exists()


# --- two users --------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.processes
@pytest.mark.parametrize("plant", ["config", "workspace"])
def test_another_user_reaches_nobody_below_a_common_folder(plant: str) -> None:
    planting = "os.chdir(shared); ws = Workspace.create('bait', path='.runlore')" + (
        "; ws.write_config()" if plant == "config" else ""
    )
    working = """
import runlore
os.mkdir(f"{shared}/mine")
os.chdir(f"{shared}/mine")
runlore.init("e").complete()
try:
    Workspace.from_config()
except runlore.exceptions.WorkspaceNotFound as error:
    print(type(error).__name__)
"""
    with group_of(2) as (stranger, victim):
        stranger.shared.chmod(0o1777)
        stranger.runs(planting)

        assert victim.runs(working) == "WorkspaceNotFound\n"

        mine = victim.shared / "mine/.runlore/log.sqlite"
        assert mine.stat().st_uid == victim.uid
        with Workspace.open(victim.shared / ".runlore") as bait:
            assert bait.experiments == {}


@pytest.mark.processes
def test_a_workspace_of_roots_that_others_only_read_stops_no_run() -> None:
    """Root ran a script once, in a folder above everybody's."""
    working = """
import runlore, warnings
os.mkdir(f"{shared}/mine")
os.chdir(f"{shared}/mine")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    runlore.init("e").complete()
print(len(caught), "you may only read it" in str(caught[0].message))
"""
    with group_of(1) as (user,):
        user.shared.chmod(0o1777)
        Workspace.create("bait", path=user.shared / ".runlore").close()
        (user.shared / ".runlore/log.sqlite").chmod(0o644)

        assert user.runs(working) == "1 True\n"
        assert (user.shared / "mine/.runlore/log.sqlite").exists()


def test_the_parent_of_a_relative_folder_is_the_one_above_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`..` is not below the working folder."""
    Workspace.create("upper").write_config()
    (project / "a" / "b").mkdir(parents=True)
    Workspace.create("lower", path="a/b/lower").write_config(project / "a/b")
    monkeypatch.chdir(project / "a" / "b")

    assert Workspace.from_config("..").name == "upper"
    assert open_workspace("..").name == "upper"
    assert open_workspace("../b").name == "lower"

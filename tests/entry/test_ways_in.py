"""All ways to a workspace take a folder or a URI, and refuse the same addresses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import runlore
from runlore import Experiment, Run, Workspace
from runlore.domain.errors import RunloreError
from runlore.entry.attached_folder import attach
from runlore.entry.workspace_address import create_workspace, find_workspace, open_workspace
from tests.cli.shell import in_this_process
from tests.workspaces import start

PASSWORD = "hunter2"


class Refused(Exception):
    """A command ended with an error."""


def command(*arguments: str, **variables: str) -> str:
    ran = in_this_process(*arguments, cwd=Path.cwd(), **variables)
    if ran.code:
        raise Refused(ran.err)
    return str(ran.data["workspaceid"])


def id_of(workspace: Workspace) -> str:
    with workspace:
        return str(workspace.get_details()["workspaceid"])


# --- to a workspace that exists -----------------------------------------------------------------


def by_config(address: str) -> str:
    Path("config.json").write_text(json.dumps({"Path": address}))
    return id_of(Workspace.from_config())


def by_list(address: str) -> str:
    [[found]] = Workspace.list(path=address).values()
    return id_of(found)


def by_search(address: str) -> str:
    place = find_workspace(".", address)
    return id_of(Workspace.open(place.uri))


WAYS: dict[str, Callable[[str], str]] = {
    "open": lambda address: id_of(Workspace.open(address)),
    "get": lambda address: id_of(Workspace.get("lab", path=address)),
    "constructor": lambda address: id_of(Workspace(workspace_name="lab", path=address)),
    "exist_ok": lambda address: id_of(Workspace.create("lab", path=address, exist_ok=True)),
    "init": lambda address: id_of(runlore.init("e", workspace=address).experiment.workspace),
    "-w": lambda address: command("workspace", "show", "-w", address),
    "open_workspace": lambda address: id_of(open_workspace(".", address)),
    "find_workspace": by_search,
    "config": by_config,
    "list": by_list,
}
GOOD = {
    "folder": "{project}/my lab ü",
    "relative folder": "./my lab ü",
    "link": "./link",
    "uri": "sqlite://{project}/my lab ü",
    "percent-encoded uri": "sqlite://{project}/my%20lab%20%C3%BC",
    "upper-case scheme": "SQLite://{project}/my%20lab%20%C3%BC",
}
BAD = {
    "unknown scheme": ("redis://host/0", "no opener for redis://"),
    "later scheme": ("postgresql://host/db?schema=public", "give each workspace a schema"),
    "relative uri": ("sqlite://lab", "sqlite:///absolute/folder"),
    "uri with a question mark": ("sqlite:///data/lab?x=1", "%3F"),
    "uri with a number sign": ("sqlite:///data/lab#1", "%23"),
    "encoded null character": ("sqlite:///data/lab%00", "null character"),
    "password": (f"postgresql://ann:{PASSWORD}@host/db", "holds a password"),
    "password of sqlite": (f"sqlite://ann:{PASSWORD}@/lab", "holds a password"),
    "password as option": (f"postgresql://host/db?password={PASSWORD}", "holds a password"),
}


@pytest.fixture
def lab(project: Path) -> str:
    """The id of a workspace whose folder needs quoting, with a link to it."""
    workspace = Workspace.create("lab", path=project / "my lab ü")
    (project / "link").symlink_to("my lab ü")
    return id_of(workspace)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("address", GOOD.values(), ids=GOOD)
def test_each_way_takes_a_folder_and_a_uri(
    lab: str, project: Path, way: Callable[[str], str], address: str
) -> None:
    assert way(address.format(project=project)) == lab


@pytest.mark.parametrize("address", GOOD.values(), ids=GOOD)
def test_the_variable_takes_a_folder_and_a_uri(
    lab: str, project: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = address.format(project=project)
    monkeypatch.setenv("RUNLORE_WORKSPACE_URI", uri)

    assert id_of(open_workspace()) == lab
    assert command("workspace", "show", RUNLORE_WORKSPACE_URI=uri) == lab


@pytest.mark.parametrize("address", GOOD.values(), ids=GOOD)
def test_the_context_takes_a_folder_and_a_uri(
    lab: str, project: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Workspace.open("my lab ü") as workspace:
        run = start(Experiment(workspace, "e"))
    monkeypatch.setenv("RUNLORE_WORKSPACE_URI", address.format(project=project))
    monkeypatch.setenv("RUNLORE_RUN_ID", run.id)

    context = Run.get_context()

    assert context.id == run.id
    assert id_of(context.experiment.workspace) == lab


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("address", "message"), BAD.values(), ids=BAD)
def test_each_way_refuses_an_address_that_it_cannot_open(
    project: Path, way: Callable[[str], str], address: str, message: str
) -> None:
    with pytest.raises((RunloreError, Refused)) as raised:
        way(address)

    assert message in str(raised.value)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(("address", "message"), BAD.values(), ids=BAD)
def test_the_variable_refuses_an_address_that_it_cannot_open(
    project: Path, address: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNLORE_WORKSPACE_URI", address)
    monkeypatch.setenv("RUNLORE_RUN_ID", "r1")

    for way in (open_workspace, find_workspace, Run.get_context):
        with pytest.raises(RunloreError) as raised:
            way()
        assert message in str(raised.value)
        assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_way_refuses_a_null_character(project: Path, way: Callable[[str], str]) -> None:
    with pytest.raises((RunloreError, Refused), match="null character"):
        way("./lab\0")


LOOKING = ("open", "get", "constructor", "-w", "open_workspace", "find_workspace", "config")


@pytest.mark.parametrize("way", LOOKING)
@pytest.mark.parametrize(
    "address",
    [
        "./file",
        "./nowhere",
        "sqlite://{project}/file",
        "./" + "a" * 300,
        "~nobody-of-this-name/lab",
    ],
    ids=["file", "nowhere", "file by uri", "name too long", "unknown user"],
)
def test_a_place_without_a_workspace_is_named(project: Path, way: str, address: str) -> None:
    (project / "file").write_text("")
    address = address.format(project=project)

    with pytest.raises(
        (RunloreError, Refused), match=f"no workspace.*|.*{project.name}/"
    ) as raised:
        WAYS[way](address)

    assert "workspace" in str(raised.value)
    assert Path(address).name in str(raised.value)


# --- to a new workspace -------------------------------------------------------------------------

CREATING: dict[str, Callable[[str], str]] = {
    "create": lambda address: id_of(Workspace.create("lab", path=address)),
    "init": lambda address: id_of(runlore.init("e", workspace=address).experiment.workspace),
    "--folder": lambda address: command("workspace", "create", "-w", "lab", "--folder", address),
    "-w": lambda address: command("workspace", "create", "-w", address),
    "create_workspace": lambda address: id_of(create_workspace(".", address)),
    "attach": lambda address: attach(".", address)["Workspace name"],
}
NEW = {
    "folder": "{project}/my lab ü",
    "relative folder": "./my lab ü",
    "uri": "sqlite://{project}/my lab ü",
    "percent-encoded uri": "sqlite://{project}/my%20lab%20%C3%BC",
}


@pytest.mark.parametrize("way", CREATING.values(), ids=CREATING)
@pytest.mark.parametrize("address", NEW.values(), ids=NEW)
def test_each_way_creates_in_a_folder_and_by_a_uri(
    project: Path, way: Callable[[str], str], address: str
) -> None:
    way(address.format(project=project))

    with Workspace.open(project / "my lab ü") as workspace:
        assert workspace.path == project / "my lab ü"


@pytest.mark.parametrize("way", CREATING.values(), ids=CREATING)
@pytest.mark.parametrize(
    ("address", "message"),
    [
        *BAD.values(),
        ("./file", "cannot create the workspace's folder"),
        ("./" + "a" * 300, "cannot create the workspace's folder"),
        ("./a\0", "null character"),
    ],
    ids=[*BAD, "file", "name too long", "null"],
)
def test_each_way_refuses_to_create_at_a_bad_address(
    project: Path, way: Callable[[str], str], address: str, message: str
) -> None:
    (project / "file").write_text("")

    with pytest.raises((RunloreError, Refused)) as raised:
        way(address)

    assert message in str(raised.value)
    assert PASSWORD not in str(raised.value)
    assert [path.name for path in project.iterdir()] == ["file"]


def test_a_folder_below_the_home_folder_is_found(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project))
    Workspace.create("lab", path="~/lab").close()

    assert open_workspace("/", "~/lab").path == project / "lab"


def test_init_takes_a_workspace_whose_name_is_not_that_of_its_folder(project: Path) -> None:
    Workspace.create("lab", path="elsewhere").close()

    run = runlore.init("e", workspace="elsewhere")

    assert run.experiment.workspace.name == "lab"

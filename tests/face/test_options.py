"""An unknown option is refused by every public function; those that only Azure needs are not."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import runlore
from runlore import Experiment, Run, ScriptRun, ScriptRunConfig, Workspace
from runlore.azure.options import IGNORED, ignored_by, refuse_unknown
from runlore.compute import AmlCompute, ComputeTarget
from runlore.domain.command import BaseCommand
from runlore.domain.errors import InvalidType

UNKNOWN = "surely_unknown"

COLUMNS_OR_SETTINGS = {
    "Run.log_row": "the columns of the row",
    "RunMetrics.log_row": "the columns of the row",
    "ComputeTarget.attach": "the settings of the kind of target, which checks them",
}
NEVER_RETURN = {"Run.register_model"}
FIELDS = {"BaseCommand.__init__", "BaseCommand.with_fields"}
"""They take the fields of their class; the second one calls the first."""


def public_modules() -> Iterator[str]:
    """Those that users of Azure's SDK import."""
    yield "runlore"
    for found in pkgutil.iter_modules(runlore.__path__, "runlore."):
        path = Path(runlore.__path__[0], *found.name.split(".")[1:])
        if not found.ispkg or path.name == "run":
            yield found.name


def is_ours(member: object) -> bool:
    return str(getattr(member, "__module__", "")).startswith("runlore")


def public_callables() -> dict[str, Callable[..., Any]]:
    """Functions, constructors and methods by their qualified names."""
    found: dict[str, Callable[..., Any]] = {}
    for name in public_modules():
        for member in vars(importlib.import_module(name)).values():
            if not is_ours(member):
                continue
            if inspect.isfunction(member):
                found[member.__qualname__] = member
            elif inspect.isclass(member):
                for method_name, method in inspect.getmembers(member, callable):
                    if not method_name.startswith("_") or method_name == "__init__":
                        found.setdefault(f"{member.__name__}.{method_name}", method)
    return {
        name: function
        for name, function in found.items()
        if is_ours(function) and not name.startswith("_")
    }


CALLABLES = public_callables()
COMMANDS = {kind.__name__: kind for kind in BaseCommand.__subclasses__()}


def swallows(function: Callable[..., Any]) -> bool:
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


def test_the_walk_finds_the_public_face() -> None:
    expected = {"init", "get_run", "Workspace.create", "Run.log", "Run.__init__", "ScriptRun.log"}

    assert expected | IGNORED.keys() <= CALLABLES.keys()
    assert len(CALLABLES) > 200


@pytest.mark.parametrize("name", CALLABLES)
def test_no_function_swallows_an_option(name: str) -> None:
    """One that takes `**` has its own table of what it ignores, or is about what it takes."""
    function = CALLABLES[name]

    if not swallows(function):
        with pytest.raises(TypeError, match=UNKNOWN):
            inspect.signature(function).bind_partial(**{UNKNOWN: 1})
        return
    defined_as = function.__qualname__
    if defined_as in FIELDS:
        with pytest.raises(TypeError, match=UNKNOWN):
            COMMANDS[name.partition(".")[0]](**{UNKNOWN: 1})
        return
    assert defined_as in {*IGNORED, *COLUMNS_OR_SETTINGS, *NEVER_RETURN} or name in IGNORED


def calls(tmp_path: Path) -> dict[str, Callable[..., object]]:
    """A call of each function in the table, complete but for one option."""
    ws = Workspace.create("lab", path=tmp_path / "lab")
    experiment = Experiment(ws, "e")
    run = experiment.start_logging(outputs=False, snapshot_directory=None)
    pool = ComputeTarget.attach(ws, "pool", slots=1)
    config = ScriptRunConfig(".", "train.py")
    return {
        "AmlCompute.provisioning_configuration": AmlCompute.provisioning_configuration,
        "ComputeTarget.update": pool.update,
        "ComputeTarget.wait_for_completion": pool.wait_for_completion,
        "Experiment.start_logging": experiment.start_logging,
        "Experiment.submit": lambda **options: experiment.submit(config, **options),
        "Run.__init__": lambda **options: Run(experiment, run.id, **options),
        "Run.get_context": Run.get_context,
        "Run.submit_child": lambda **options: run.submit_child(config, **options),
        "ScriptRun.__init__": lambda **options: ScriptRun(experiment, run.id, **options),
        "Workspace.create": lambda **options: Workspace.create(
            "new", path=tmp_path / "new", **options
        ),
        "init": runlore.init,
    }


@pytest.mark.parametrize("name", IGNORED)
def test_an_unknown_option_changes_nothing(name: str, project: Path, tmp_path: Path) -> None:
    call = calls(tmp_path)[name]

    with pytest.raises(TypeError, match=rf"\(\) has no option '{UNKNOWN}'; ") as raised:
        call(**{UNKNOWN: 1})

    assert isinstance(raised.value, InvalidType)
    assert not (tmp_path / "new").exists()
    with Workspace.open(tmp_path / "lab") as ws:
        assert len(list(Experiment(ws, "e").get_runs())) == 1


@pytest.mark.parametrize(
    "name",
    [name for name in IGNORED if ignored_by(name) and not name.endswith((".submit", "_child"))],
)
def test_azures_options_are_ignored(name: str, project: Path, tmp_path: Path) -> None:
    call = calls(tmp_path)[name]

    call(**dict.fromkeys(ignored_by(name), 1))


@pytest.mark.processes
def test_azures_options_of_submitting_are_ignored(project: Path, tmp_path: Path) -> None:
    (project / "train.py").write_text("")

    for name in ("Experiment.submit", "Run.submit_child"):
        submitted = calls(tmp_path / name)[name](**dict.fromkeys(ignored_by(name), 1))
        assert isinstance(submitted, ScriptRun)
        assert submitted.wait_for_completion()["status"] == "Completed"


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("uri", "path"),
        ("url", "path"),
        ("folder", "path"),
        ("exists_ok", "exist_ok"),
        ("existok", "exist_ok"),
        ("show_ouput", "show_output"),
        ("eraseable", "erasable"),
        ("storage_acount", "storage_account"),
        ("allow_nfs", "allow_network_file_system"),
    ],
)
def test_the_nearest_option_is_named(project: Path, option: str, meant: str) -> None:
    with pytest.raises(InvalidType) as raised:
        Workspace.create("lab", **{option: 1})  # type: ignore[arg-type]

    assert str(raised.value) == (
        f"Workspace.create() has no option {option!r}; did you mean {meant!r}?"
    )
    assert list(project.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("experiment_name", "experiment"),
        ("params", "config"),
        ("tag", "tags"),
        ("path", "workspace"),
    ],
)
def test_so_is_what_other_libraries_call_it(project: Path, option: str, meant: str) -> None:
    with pytest.raises(InvalidType) as raised:
        runlore.init(**{option: "x"})  # type: ignore[arg-type]

    assert str(raised.value) == f"init() has no option {option!r}; did you mean {meant!r}?"
    assert list(project.iterdir()) == []


def test_without_a_near_one_all_are_named() -> None:
    with pytest.raises(InvalidType) as raised:
        refuse_unknown(ComputeTarget.update, {"zzz": 1})

    assert str(raised.value) == (
        "ComputeTarget.update() has no option 'zzz'; its options are min_nodes, max_nodes"
    )

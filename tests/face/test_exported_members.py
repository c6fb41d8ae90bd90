from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from types import ModuleType

import pytest

import runlore
import runlore.exceptions

PUBLIC_MODULES = {
    "authentication",
    "compute",
    "compute_target",
    "conda_dependencies",
    "container_registry",
    "dataset",
    "datastore",
    "environment",
    "exceptions",
    "experiment",
    "keyvault",
    "model",
    "run",
    "runconfig",
    "script_run",
    "script_run_config",
    "telemetry",
    "version",
    "widgets",
    "workspace",
}
NOT_EXPORTED = {"Any", "Final", "TYPE_CHECKING", "annotations", "import_module"}


@pytest.mark.parametrize("module", [runlore, runlore.exceptions], ids=lambda m: m.__name__)
def test_all_names_what_is_there(module: ModuleType) -> None:
    named = {name for name in module.__all__ if hasattr(module, name)}  # Some are loaded by that.
    there = {
        name
        for name, member in vars(module).items()
        if not name.startswith("_")
        and not isinstance(member, ModuleType)
        and name not in NOT_EXPORTED
    }

    assert set(module.__all__) == named
    assert named - {"__version__"} == there


@pytest.mark.parametrize("module", [runlore, runlore.exceptions], ids=lambda m: m.__name__)
def test_all_is_sorted(module: ModuleType) -> None:
    def constants_then_classes_then_functions(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert module.__all__ == sorted(module.__all__, key=constants_then_classes_then_functions)


@pytest.mark.parametrize("module", [runlore, runlore.exceptions], ids=lambda m: m.__name__)
def test_what_is_exported_has_a_docstring(module: ModuleType) -> None:
    undocumented = [
        name
        for name in module.__all__
        if callable(getattr(module, name)) and not getattr(module, name).__doc__
    ]

    assert undocumented == []


@pytest.mark.parametrize("module", [runlore, runlore.exceptions], ids=lambda m: m.__name__)
def test_what_is_exported_names_its_public_path(module: ModuleType) -> None:
    """So that reprs, tracebacks and pickles hold no path that may change."""
    for member in (getattr(module, name) for name in module.__all__):
        if callable(member):
            path = member.__module__
            assert path == "runlore" or path.removeprefix("runlore.") in PUBLIC_MODULES, member
            assert getattr(importlib.import_module(path), member.__name__) is member


def test_only_names_that_azures_users_import_lie_in_the_root() -> None:
    folder = Path(runlore.__file__).parent
    modules = {module.stem for module in folder.glob("*.py")} - {"__init__", "__main__"}

    assert modules | {"run"} == PUBLIC_MODULES


def test_errors_survive_pickling_by_their_public_path() -> None:
    error = pickle.loads(pickle.dumps(runlore.exceptions.RunNotFound("r", "workspace 'lab'")))

    assert type(error) is runlore.exceptions.RunNotFound
    assert str(error) == str(runlore.exceptions.RunNotFound("r", "workspace 'lab'"))


def test_errors_of_the_log_are_those_that_it_raises() -> None:
    from runlore.storage import errors

    assert runlore.exceptions.DiskFull is errors.DiskFull
    assert issubclass(runlore.exceptions.QuotaReached, runlore.exceptions.LogUnavailable)
    with pytest.raises(AttributeError, match="no attribute 'DiskEmpty'"):
        _ = runlore.exceptions.DiskEmpty
    error = pickle.loads(pickle.dumps(runlore.exceptions.ValuesDropped(3)))
    assert error.count == 3

"""Files of run configurations: where they are found, and the files beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from runlore.configuration import values, yaml_file
from runlore.configuration.conda_dependencies import CondaDependencies
from runlore.configuration.content import Content, written_as_text
from runlore.engine.caller_warning import warn_caller
from runlore.exceptions import RunConfigurationException, RunConfigurationFileNotFound
from runlore.storage.ownership import foreign, is_trusted

FOLDERS = (".azureml", "aml_config")
EXTENSION = ".runconfig"


class Loaded(NamedTuple):
    """A file's content, and the folders where paths in it may begin."""

    content: Content
    file: Path
    roots: list[Path]


class Place(NamedTuple):
    """The file to save to, and the folder where paths in it begin."""

    root: Path
    file: Path

    @property
    def prefix(self) -> str:
        """The start of paths to files beside this one: `.azureml/`, or nothing."""
        return "" if self.file.parent == self.root else f"{self.file.parent.name}/"


def read(base: Path, name: str | None, *, is_named: bool = True) -> Loaded:
    """The configuration that `base` and `name` lead to, its environment's file read in.

    `is_named` says that the user named the folder: then it counts whoever owns it.
    Raises RunConfigurationFileNotFound and RunConfigurationException, as `RunConfiguration.load`.
    """
    file = _find(base, name)
    if not is_named:
        _check_owner(file)
    content = yaml_file.read_mapping(file, written_as_text)
    # Paths in the file begin at the project's folder, or beside the file if it was named itself.
    roots = [base] if file != base else [file.parent, *_project_of(file)]
    return Loaded(_with_environment(content, roots, file), file, roots)


def write(place: Place, content: Content, separate_environment_yaml: bool) -> None:
    """Write the configuration's file, and its environment's if asked for."""
    if separate_environment_yaml:
        yaml_file.write_yaml(place.file.parent / "environment.yml", content["environment"])
        content = {**content, "environment": f"{place.prefix}environment.yml"}
    yaml_file.write_yaml(place.file, content)


def remove(base: Path, name: str) -> None:
    """Remove a configuration's file. Raises RunConfigurationFileNotFound."""
    _find(base, name).unlink()


def conda_dependencies_of(loaded: Loaded, inline: object, name: str | None) -> CondaDependencies:
    """The dependencies that a file holds `inline`, or those of the conda file that it names.

    Warns if the named file does not exist: the list is empty then.
    """
    source = f"{loaded.file}: environment.python.condaDependencies"
    if isinstance(inline, dict):
        return CondaDependencies.from_content(inline, source)
    if inline is not None:
        raise values.refusal(source, "a mapping", inline, "indent its keys below it")
    found = None if name is None else _beside(name, loaded.roots)
    if name is not None and found is None:
        warn_caller(
            f"{loaded.file} names the conda file {name!r}, which is not in {loaded.roots[-1]}; "
            "runlore installs nothing and goes on without the list"
        )
    return CondaDependencies(found)


def save_conda_dependencies(dependencies: CondaDependencies, name: str, place: Place) -> None:
    """Write the conda file if it does not exist: an existing one is somebody's work."""
    roots = [place.root, *_project_of(place.file)]
    target = next((at / name for at in roots if (at / name).parent.is_dir()), place.root / name)
    if target.is_file():
        if dependencies.as_dict() != CondaDependencies().as_dict() and (
            CondaDependencies(target).as_dict() != dependencies.as_dict()
        ):
            warn_caller(
                f"{target} exists and lists other packages than the run configuration; it was "
                "kept. Delete it, or set environment.python.conda_dependencies_file to another name"
            )
        return
    if not any(target.resolve().is_relative_to(root.resolve()) for root in roots):
        raise RunConfigurationException(
            f"{place.file}: condaDependenciesFile must be a path inside {place.root}, found "
            f"{name!r}; set environment.python.conda_dependencies_file to one"
        )
    if not target.parent.is_dir():
        raise RunConfigurationFileNotFound(
            f"cannot save {target}: the folder {target.parent} does not exist; create it"
        )
    dependencies.save(target)


def _find(base: Path, name: str | None) -> Path:
    if base.is_file():
        return base
    if name:
        places = [
            *(base / folder / f"{name}{end}" for folder in FOLDERS for end in ("", EXTENSION)),
            base / f"{name}{EXTENSION}",
        ]
    else:
        places = [base, base.with_name(f"{base.name}{EXTENSION}")]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(map(str, places))
    raise RunConfigurationFileNotFound(
        f"Failed to load RunConfiguration from path={str(base)!r} name={name!r}: found no file at "
        f"{looked}; pass the folder that holds .azureml and the file's name, or the file's path"
    )


def _check_owner(file: Path) -> None:
    """A run configuration names the interpreter and the command that are executed."""
    why = foreign((file.parent, file))
    if why is not None and not is_trusted(file):
        raise RunConfigurationException(
            f"found {file}, but did not use it: {why}. If you trust whoever can write there, run "
            f"`runlore trust {file.parent}`; or name its folder, as in RunConfiguration.load("
            f"{str(file.parent)!r}, {file.name!r}) or --path"
        )


def place_of(base: Path, name: str | None, loaded_as: str | None) -> Place:
    """Where `RunConfiguration.save` writes: raises as it does if that is nowhere."""
    if base.is_file() or (name is None and not base.exists() and base.parent.is_dir()):
        return Place(base.parent, base)
    if not base.is_dir():
        raise RunConfigurationFileNotFound(
            f"cannot save a run configuration to {base}: the folder does not exist; create it"
        )
    name = name or loaded_as
    if not name or name in (".", "..") or os.path.basename(name) != name:
        raise RunConfigurationException(
            f"a run configuration is saved under a file's name, found {name!r}; "
            'pass one, for example name="train"'
        )
    for folder in FOLDERS:
        if (base / folder).is_dir():
            return Place(base, base / folder / name)
    if (base / f"{name}").is_file() and loaded_as == name:  # where load found it
        return Place(base, base / name)
    raise RunConfigurationFileNotFound(
        f"cannot save run configuration {name!r}: the folder {base / FOLDERS[0]} does not exist; "
        "create it, or pass the path of a file"
    )


def _project_of(file: Path) -> list[Path]:
    return [file.parent.parent] if file.absolute().parent.name in FOLDERS else []


def _beside(name: str, roots: list[Path]) -> Path | None:
    return next((root / name for root in roots if (root / name).is_file()), None)


def _with_environment(content: Content, roots: list[Path], file: Path) -> Content:
    """The content, with the environment read from its own file if it only names that file."""
    named = content.get("environment")
    if not isinstance(named, str):
        return content
    found = _beside(named, roots)
    if found is None:
        raise RunConfigurationFileNotFound(
            f"{file}: environment names the file {named!r}, found none in {roots[-1]}; "
            "put it there, or write the environment into the file"
        )

    def as_written(at: tuple[str, ...]) -> bool:
        return written_as_text(("environment", *at))

    return {**content, "environment": yaml_file.read_mapping(found, as_written)}

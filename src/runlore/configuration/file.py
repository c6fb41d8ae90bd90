"""Files of run configurations: where they are looked for, and what is saved beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runlore.configuration import content as runconfig_content
from runlore.configuration import values, yaml_file
from runlore.configuration.conda_dependencies import CondaDependencies
from runlore.engine.caller_warning import warn_caller
from runlore.exceptions import RunConfigurationException, RunConfigurationFileNotFound

if TYPE_CHECKING:
    from runlore.configuration.runconfig import RunConfiguration

FOLDERS = (".azureml", "aml_config")
EXTENSION = ".runconfig"


def load(
    run_config: RunConfiguration, path: str | os.PathLike[str] | None, name: str | None
) -> RunConfiguration:
    """The configuration, filled from the file that `path` and `name` lead to."""
    base = Path(path or Path.cwd())
    file = _find(base, name)
    content = yaml_file.read_mapping(file, runconfig_content.written_as_text)
    # Paths in the file begin at the project's folder, or beside the file if it was named itself.
    roots = [base] if file != base else [file.parent, *_project_of(file)]
    content = _with_environment(content, roots, file)
    unused = runconfig_content.take(run_config, content, str(file))
    run_config._path = str(base)
    run_config._name = None if file == base else file.name
    if unused:
        warn_caller(
            f"{file} asks for what runlore keeps but does not use: {', '.join(unused)}; the script "
            "runs in processes of this machine, in the environment that is there"
        )
    _take_conda_dependencies(run_config, roots, file)
    return run_config


def save(
    run_config: RunConfiguration,
    path: str | os.PathLike[str] | None,
    name: str | None,
    separate_environment_yaml: bool,
) -> None:
    """Writes the configuration's file, its environment's if wanted, and a missing conda file."""
    base, file = _where_to_save(
        Path(path or run_config._path or Path.cwd()), name, run_config._name
    )
    checked = run_config._checked()
    prefix = "" if file.parent == base else f"{file.parent.name}/"
    python = checked.environment.python
    python.conda_dependencies_file = (
        python.conda_dependencies_file or f"{prefix}conda_dependencies.yml"
    )
    _save_conda_dependencies(python.conda_dependencies, python.conda_dependencies_file, base, file)
    content = runconfig_content.content_of(checked)
    if separate_environment_yaml:
        yaml_file.write_yaml(file.parent / "environment.yml", content["environment"])
        content["environment"] = f"{prefix}environment.yml"
    yaml_file.write_yaml(file, content)


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
        f"{looked}; give the folder that holds .azureml and the file's name, or the file's path"
    )


def _where_to_save(base: Path, name: str | None, loaded_as: str | None) -> tuple[Path, Path]:
    """The folder that paths in the file begin at, and the file."""
    if base.is_file() or (name is None and not base.exists() and base.parent.is_dir()):
        return base.parent, base
    if not base.is_dir():
        raise RunConfigurationFileNotFound(
            f"cannot save a run configuration to {base}: there is no such folder; create it"
        )
    name = name or loaded_as
    if not name or name in (".", "..") or os.path.basename(name) != name:
        raise RunConfigurationException(
            f"a run configuration is saved under a file's name, found {name!r}; "
            'pass name="train", say'
        )
    for folder in FOLDERS:
        if (base / folder).is_dir():
            return base, base / folder / name
    if (base / f"{name}").is_file() and loaded_as == name:  # where load found it
        return base, base / name
    raise RunConfigurationFileNotFound(
        f"cannot save run configuration {name!r}: there is no folder {base / FOLDERS[0]}; "
        "create it, or pass the path of a file"
    )


def _project_of(file: Path) -> list[Path]:
    return [file.parent.parent] if file.absolute().parent.name in FOLDERS else []


def _beside(name: str, roots: list[Path]) -> Path | None:
    return next((root / name for root in roots if (root / name).is_file()), None)


def _with_environment(
    content: runconfig_content.Content, roots: list[Path], file: Path
) -> runconfig_content.Content:
    """The content, with the environment read from a file of its own if only that is named."""
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
        return runconfig_content.written_as_text(("environment", *at))

    return {**content, "environment": yaml_file.read_mapping(found, as_written)}


def _take_conda_dependencies(run_config: RunConfiguration, roots: list[Path], file: Path) -> None:
    python = run_config.environment.python
    kept = run_config.environment._kept.get("python")
    inline = kept.pop("condaDependencies", None) if isinstance(kept, dict) else None
    if isinstance(inline, dict):
        python.conda_dependencies._take(inline, f"{file}: environment.python.condaDependencies")
    elif inline is not None:
        what = f"{file}: environment.python.condaDependencies"
        raise values.refusal(what, "a mapping", inline, "indent its keys below it")
    elif python.conda_dependencies_file is not None:
        found = _beside(python.conda_dependencies_file, roots)
        if found is not None:
            python.conda_dependencies = CondaDependencies(found)
        else:
            warn_caller(
                f"{file} names the conda file {python.conda_dependencies_file!r}, which is not in "
                f"{roots[-1]}; runlore installs nothing, and goes on without the list"
            )


def _save_conda_dependencies(
    dependencies: CondaDependencies, name: str, root: Path, file: Path
) -> None:
    """Writes the conda file if there is none: one that is there is somebody's work."""
    roots = [root, *_project_of(file)]
    target = next((at / name for at in roots if (at / name).parent.is_dir()), root / name)
    if target.is_file():
        if dependencies.as_dict() != CondaDependencies().as_dict() and (
            CondaDependencies(target).as_dict() != dependencies.as_dict()
        ):
            warn_caller(
                f"{target} is there and lists other packages than the run configuration; it was "
                "kept. Delete it, or set environment.python.conda_dependencies_file to another name"
            )
        return
    if not any(target.resolve().is_relative_to(root.resolve()) for root in roots):
        raise RunConfigurationException(
            f"{file}: condaDependenciesFile must be a path inside {root}, found {name!r}; "
            "set environment.python.conda_dependencies_file to one"
        )
    if not target.parent.is_dir():
        raise RunConfigurationFileNotFound(
            f"cannot save {target}: there is no folder {target.parent}; create it"
        )
    dependencies.save(target)

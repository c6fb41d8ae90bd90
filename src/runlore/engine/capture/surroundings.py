"""Finding what takes time of a run's surroundings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from runlore.engine.capture.arguments import shown_words
from runlore.engine.capture.document import Surroundings
from runlore.engine.capture.machine import machine
from runlore.engine.capture.packages import installed_packages
from runlore.engine.capture.parts import Part, Parts
from runlore.engine.capture.program import Program
from runlore.storage.git_info import git_diff, git_properties
from runlore.storage.user_settings import user_settings

PACKAGES_FILE: Final = "system/packages.txt"
DIFF_FILE: Final = "system/changes.diff"


def found_beside(parts: Parts, here: Program) -> Surroundings:
    """What takes time; the git state is that of the first source folder in a repository."""
    document: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    if Part.PROGRAM in parts:
        document["argv"] = shown_words(here.arguments, user_settings().not_secret)
    if not parts.isdisjoint((Part.GIT, Part.DIFF)):
        for folder in map(Path, here.source_folders):
            document["git"] = _git(folder)
            if document["git"]:
                if Part.DIFF in parts:
                    _add_diff(folder, document["git"], files)
                break
    if Part.MACHINE in parts:
        document |= machine()
    if Part.PACKAGES in parts:
        packages = installed_packages()
        document["packages"] = {"count": packages.number, "sha256": packages.sha256}
        files[PACKAGES_FILE] = packages.text.encode()
    said = {name: value for name, value in document.items() if value not in (None, {})}
    return Surroundings(said, files)


def _git(folder: Path) -> dict[str, Any]:
    found = git_properties(folder, os.environ)
    git: dict[str, Any] = {
        name.removeprefix("azureml.git."): value
        for name, value in found.items()
        if name.startswith("azureml.git.")
    }
    if "dirty" in git:
        git["dirty"] = git["dirty"] == "True"
    return git


def _add_diff(folder: Path, git: dict[str, Any], files: dict[str, bytes]) -> None:
    diff = git_diff(folder, os.environ)
    if diff is None:
        git["diff"] = "not recorded: git did not tell it, or it is too large"
    else:
        files[DIFF_FILE] = diff

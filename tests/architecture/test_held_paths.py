"""What is in a workspace is reached from its held folder only: nothing else opens or changes paths.

A workspace may come from a stranger. A link in it could lead to any file of its reader's, so only
`runlore.storage.held_path` opens what lies in it. Modules that open other paths are named here.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.architecture.house import House
from tests.architecture.opened_paths import calls_in

OPEN_OTHER_PATHS: Final[dict[str, str]] = {
    # The helpers themselves.
    "runlore.storage.held_folder": "opens the folders that are held",
    "runlore.storage.held_path": "opens what is below them",
    "runlore.storage.atomic_files": "writes held files, and those that the user names",
    "runlore.storage.file_lock": "locks held files, and those of the user's own folders",
    # The system and the package itself.
    "runlore.storage.filesystem": "reads /proc/self/mountinfo",
    "runlore.storage.system_errors": "counts free descriptors, and tries a file without a name",
    "runlore.storage.this_process": "reads /proc and the machine's id",
    "runlore.engine.console.console": "the file that the standard output goes to, by /proc",
    "runlore.engine.capture.machine": "reads /proc and /sys",
    "runlore.engine.capture.packages": "lists the folders that Python imports from",
    "runlore.projections.driver": "opens /dev/null to see whether a file can be opened",
    "runlore.projections.sql_process.child": "reads from /dev/null",
    "runlore.projections.sql_process.life": "writes to /proc/self/oom_score_adj",
    "runlore.projections.sql_process.memory": "reads /proc",
    "runlore.projections.sql_process.parent": "opens a pipe",
    "runlore.projections.views": "reads a file of the package",
    "runlore.projections.projection_of_runs": "reads a file of the package",
    "runlore.audit.report": "reads a file of the package, writes the report that the user names",
    # The user's own folders, whose owners are checked.
    "runlore.storage.postgresql.host_folder": "the user's folder for a log on a server",
    "runlore.storage.postgresql.schema": "reads the package's SQL files",
    "runlore.storage.artifact_cache": "the user's cache",
    "runlore.storage.object_client": "reads the account's file that the user's variable names",
    "runlore.storage.look_at": "reads the file whose URI the user gives",
    "runlore.storage.user_cache": "the user's cache",
    "runlore.storage.user_settings": "the user's settings",
    "runlore.storage.user_state": "the user's state",
    "runlore.alerts.bookmark": "the user's state",
    "runlore.projections.cached_tables": "the user's cache",
    "runlore.projections.generations": "the user's cache",
    "runlore.projections.shared_tables": "the user's cache",
    "runlore.projections.segment_files": "the user's cache",
    "runlore.projections.segments": "the user's cache",
    "runlore.projections.slots": "the user's cache",
    "runlore.audit.keys": "the user's private keys",
    "runlore.execution.targets.engines.handed_file": "a folder that the user shares with a cluster",
    "runlore.execution.targets.engines.http_api": "the user's token for a cluster",
    "runlore.execution.handover": "the user's orders to execute runs, in memory and in the cache",
    "runlore.execution.targets.trusted": "the user's state",
    "runlore.engine.participants.studio_notice": "the user's cache",
    "runlore.studio.copies.one_script": "the scripts of pages, which are part of runlore",
    "runlore.studio.copies.writing": "the copy that the user names, and the files of pages",
    "runlore.studio.shell.modules": "the modules of pages, which are part of runlore",
    "runlore.studio.shell.files": "the files of pages, which are part of runlore",
    "runlore.studio.api.downloads": "a temporary bundle",
    "runlore.studio.access.peers": "the kernel's table of connections",
    "runlore.execution.supervisor": "reads the files of its control group",
    # What the user names.
    "runlore.storage.safe_paths": "folders that the user uploads",
    "runlore.storage.snapshots": "the user's source",
    "runlore.storage.git_repository": "a repository of the user's",
    "runlore.storage.lfs_pointers": "a repository of the user's",
    "runlore.audit.offline": "works without runlore, on files that the user names",
    "runlore.audit.small_text": "checkpoints and keys that the user names",
    "runlore.audit.bundles.file": "a bundle that the user names",
    "runlore.audit.bundles.open_formats": "files that the user names",
    "runlore.engine.places": "folders that the user names or searches, before one is held",
    "runlore.engine.runs.creation": "the output folders that the user names",
    "runlore.engine.runs.downloads": "the folder that the user downloads to",
    "runlore.storage.artifact_places": "folders for artifacts that the user's settings name",
    "runlore.azure.config_file": "the user's config, or one that a search found and trusts",
    "runlore.configuration.environment": "the user's files",
    "runlore.configuration.file": "the user's files",
    "runlore.configuration.yaml_file": "the user's files",
    "runlore.cli.audit.prove": "a proof that the user names",
    "runlore.cli.output.output": "the terminal",
    "runlore.entry.attached_folder": "the user's project",
    # Tools of tests.
    "runlore.testing.submitted": "makes the scripts of tests",
    "runlore.testing.targets": "makes the scripts of tests",
}
"""The modules that open or change paths which are not below a workspace, and what these are."""


@pytest.fixture(scope="module")
def calls() -> dict[str, list[str]]:
    modules = House().checkout.modules
    found = {name: list(calls_in(module)) for name, module in modules.items()}
    return {name: of_module for name, of_module in found.items() if of_module}


def test_only_named_modules_open_paths(calls: dict[str, list[str]]) -> None:
    unknown = {name: found for name, found in calls.items() if name not in OPEN_OTHER_PATHS}
    assert unknown == {}


def test_each_named_module_does_open_paths(calls: dict[str, list[str]]) -> None:
    assert sorted(OPEN_OTHER_PATHS.keys() - calls.keys()) == []

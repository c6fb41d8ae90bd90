"""Opening, finding or creating the workspace that a command names.

It is given by its folder, its URI or its name; a folder contains a separator (`./lab`), a name
does not. Otherwise it is searched, as git searches a repository: in the project's folder and in
each folder above it. In each folder this counts, in this order: the workspace that its config
points to; the folder itself; `.runlore` in it, where `runlore.init()` creates a workspace. A name
is looked up in the folder of that name in the project's folder first. Without a name, and without a
project, RUNLORE_WORKSPACE_URI comes first.

What a search finds must belong to this user or to root, or be trusted; see `engine/places.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runlore.azure import config_file
from runlore.domain.errors import InvalidInput, UserError, WorkspaceNotFound
from runlore.domain.ids import check_workspace_name
from runlore.engine import places
from runlore.engine.places import NotTrusted, folders_above, may_use, parts_of_workspace
from runlore.entry.default_names import workspace_of_folder
from runlore.storage.log_opener import LogLocation
from runlore.storage.open_log import exists, locate, refuse_password
from runlore.workspace import Workspace


def open_workspace(
    project: str | os.PathLike[str] = ".",
    workspace: str | None = None,
    *,
    resource_group: str | None = None,
    subscription_id: str | None = None,
) -> Workspace:
    """The workspace of a name, folder or URI, or that of the project; see the module.

    Raises WorkspaceNotFound, which says where it looked.
    """
    name = _name_in(workspace)
    for address in _addresses(project, workspace):
        found = Workspace.open(address)
        if name in (None, found.name):
            _check_group(found, resource_group, subscription_id)
            return found
        found.close()
    raise _not_found(places.folder_of(project), name)


def find_workspace(
    project: str | os.PathLike[str] = ".", workspace: str | None = None
) -> LogLocation:
    """The place of the workspace that `open_workspace` would open, even if its log is damaged.

    Raises WorkspaceNotFound, which says where it looked.
    """
    name = _name_in(workspace)
    folder = places.folder_of(project)
    if name is not None and not places.is_workspace(folder / name):
        with open_workspace(project, name) as found:  # Only its log knows its name.
            return locate(found.path or found.uri)
    for address in _addresses(project, workspace):
        place = locate(address)
        if not exists(place):
            raise WorkspaceNotFound(f"no workspace in {place}")
        return place
    raise _not_found(folder, name)


def create_workspace(
    project: str | os.PathLike[str],
    workspace: str,
    *,
    folder: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Workspace:
    """Create the workspace of a name in `folder`, by default in the folder of its name.

    A workspace given by its folder or URI is named after its folder. The options are those of
    `Workspace.create`.
    """
    if places.is_address(workspace):
        if folder is not None:
            raise InvalidInput(
                f"the workspace has two folders, {workspace} and {os.fspath(folder)}; give its "
                "name and one folder"
            )
        place = locate(workspace)
        name = workspace_of_folder(place.name)
        return Workspace.create(name, path=workspace, **options)
    if folder is None:
        folder = places.folder_of(project) / check_workspace_name(workspace)
    return Workspace.create(workspace, path=folder, **options)


def _name_in(workspace: str | None) -> str | None:
    if workspace is None or places.is_address(workspace):
        return None
    refuse_password(workspace)
    return check_workspace_name(workspace)


def nearest_workspace() -> Path | str | None:
    """The address of the workspace to log into of the nearest folder that has one, or None.

    The search begins in the working folder. One in a folder above that somebody else, root say,
    made for reading is passed over with a warning. Raises NotTrusted; WorkspaceNotFound for a
    config that leads nowhere, unless it is Azure's own.
    """
    return next(_found_above(Path.cwd(), is_named=False, to_write=True), None)


def _addresses(
    project: str | os.PathLike[str], workspace: str | None
) -> Iterator[str | os.PathLike[str]]:
    if workspace is not None and places.is_address(workspace):
        yield workspace
        return
    folder = places.search_start(places.folder_of(project))
    if workspace is not None and places.is_workspace(folder / workspace):
        yield folder / workspace
    is_default = os.fspath(project) == "."
    uri = os.environ.get("RUNLORE_WORKSPACE_URI")
    if uri and workspace is None and is_default:
        yield uri
    nowhere: list[UserError] = []
    yield from _found_above(
        folder, is_named=not is_default, nowhere=nowhere, skip_broken=workspace is not None
    )
    if nowhere and workspace is None:
        raise nowhere[0]


def _found_above(
    start: Path,
    *,
    is_named: bool,
    nowhere: list[UserError] | None = None,
    skip_broken: bool = False,
    to_write: bool = False,
) -> Iterator[Path | str]:
    """The addresses of workspaces in the folder and those above, the nearest first.

    Azure's configs without a workspace are put into `nowhere`. With `to_write`, what somebody else
    made in a folder above for reading is passed over.
    """
    for folder in folders_above(start):
        for config in config_file.configs_in(folder, start=start, is_named=is_named):
            try:
                yield config_file.address_in(config)
            except NotTrusted:
                raise
            except UserError as error:
                if not (skip_broken or config_file.is_azures(config)):
                    raise
                if nowhere is not None:
                    nowhere.append(error)
        for candidate in (folder, folder / ".runlore"):
            if not _is_workspace(candidate, start):
                continue
            if folder != start and to_write and places.is_read_only(candidate):
                places.pass_over(candidate, "it is somebody else's, and you may only read it")
            elif (is_named and folder == start) or may_use(
                candidate, parts_of_workspace(candidate), folder, start=start
            ):
                yield candidate


def _is_workspace(folder: Path, start: Path) -> bool:
    try:
        return places.is_workspace(folder)
    except PermissionError:  # There may be one, but it cannot be this user's.
        if start in (folder, folder.parent):
            raise
        return False


def _not_found(project: Path, name: str | None) -> WorkspaceNotFound:
    if name is None:
        return config_file.config_not_found(project)
    return WorkspaceNotFound(
        f"no workspace {name!r} for {project}: looked in {project / name}, and in it and every "
        "folder above: where a config points, in the folder itself and in .runlore; create it "
        "with `runlore workspace create -w "
        f"{name}` or Workspace.create({name!r}, path={str(project / name)!r})"
    )


def _check_group(
    workspace: Workspace, resource_group: str | None, subscription_id: str | None
) -> None:
    coordinates = (
        ("resource group", resource_group, workspace.resource_group),
        ("subscription", subscription_id, workspace.subscription_id),
    )
    for label, expected, actual in coordinates:
        if expected is not None and actual and expected != actual:
            where, name = workspace.path or workspace.uri, workspace.name
            workspace.close()
            raise WorkspaceNotFound(
                f"the workspace {name!r} in {where} has the {label} {actual!r}, not {expected!r}"
            )

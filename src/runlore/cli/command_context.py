"""The project and the workspace of a command's call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runlore.cli.frame.diagnostics import Diagnostics
from runlore.domain.human_time import has_zone
from runlore.entry.attached_folder import NoExperiment, attached_experiment
from runlore.entry.workspace_address import find_workspace, open_workspace

if TYPE_CHECKING:
    from runlore.run import Run
    from runlore.workspace import Workspace


@dataclass
class CommandContext:
    """The options that select a workspace, and the workspace once it is open."""

    path: Path
    workspace: str | None
    resource_group: str | None
    subscription_id: str | None
    diagnostics: Diagnostics
    as_of: str | None = None
    _opened: Workspace | None = None

    def open(self) -> Workspace:
        """The workspace, or a view of it as of a moment; opened once, closed with the command."""
        if self._opened is not None:
            return self._opened
        found = open_workspace(
            self.path,
            self.workspace,
            resource_group=self.resource_group,
            subscription_id=self.subscription_id,
        )
        self.diagnostics.say(f"workspace {found.name} in {found.path or found.uri}")
        click.get_current_context().call_on_close(found.close)
        self._opened = found if self.as_of is None else _as_of(found, self.as_of)
        return self._opened

    def find_address(self) -> Path | str:
        """The workspace's folder, or the URI of its log elsewhere; the workspace is not opened."""
        place = find_workspace(self.path, self.workspace)
        return place.folder or place.uri

    def required_workspace(self) -> str:
        """The name, folder or URI that was given. Raises UsageError if none was."""
        if self.workspace is None:
            raise click.UsageError("Missing option '-w' / '--workspace-name'.")
        return self.workspace

    def find_run(self, run_id: str) -> Run:
        """The run of an id, or of an unambiguous beginning of an id."""
        return self.open().find_run(run_id)

    def experiment_name_or_all(self, given: str | None) -> str | None:
        """As `experiment_name`; None, for all experiments, if the folder is attached to none."""
        try:
            return self.experiment_name(given)
        except NoExperiment:
            return None

    def experiment_name(self, given: str | None) -> str:
        """The given experiment, or else the experiment of the attached folder."""
        return given or attached_experiment(self.path)


def _as_of(workspace: Workspace, text: str) -> Workspace:
    """The view as of a moment, which a line on stderr names: texts such as `yesterday` do not."""
    from runlore.engine.moments import parsed

    moment = parsed(workspace.log, text)
    past = workspace.as_of(moment)
    click.echo(f"as of {_named(past, moment, text)}", err=True)
    return past


def _named(past: Workspace, moment: datetime | int, text: str) -> str:
    if isinstance(moment, datetime):
        zone = "" if has_zone(text) else " (local time)"
        return f"{moment.isoformat(' ', 'seconds')}{zone}, position {past.position}"
    last = next(past.events(moment - 1), None) if moment else None
    when = "before the first event" if last is None else last.time.isoformat(" ", "seconds")
    return f"position {moment}, {when}"

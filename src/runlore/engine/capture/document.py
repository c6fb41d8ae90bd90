"""What was found of a run's surroundings, and recording it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from runlore.domain.errors import RunloreError
from runlore.domain.run_commands import RecordEnvironment
from runlore.domain.run_state import Artifact

if TYPE_CHECKING:
    from runlore.storage.artifacts import ArtifactStore


class Surroundings(NamedTuple):
    """A JSON document, and the contents of files by their names."""

    document: Mapping[str, Any]
    files: Mapping[str, bytes]


NOTHING_FOUND = Surroundings({}, {})


class Recorded(Protocol):
    """A run that surroundings are recorded of: its handle."""

    id: str

    def change(self, command: RecordEnvironment) -> object:
        """Record the command's event. Raises the log's error."""

    @property
    def artifacts(self) -> ArtifactStore:
        """The store of the run's files."""


def record(run: Recorded, document: Mapping[str, Any], found: Surroundings) -> None:
    """Record a run's surroundings and keep their files, in one commit. Raises the log's error."""
    whole = {**document, **found.document}
    if whole:
        run.change(RecordEnvironment(whole, kept(run, found.files)))


def kept(run: Recorded, files: Mapping[str, bytes]) -> dict[str, Artifact]:
    """The files in the artifact store; none if it cannot hold them: the digest is recorded."""
    found = {}
    with suppress(RunloreError, OSError):
        for name, content in files.items():
            stored = run.artifacts.put_unless_held(io.BytesIO(content))
            found[name] = Artifact(stored.sha256, stored.nbytes)
    return found

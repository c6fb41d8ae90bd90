"""Tables that one machine has made, and others start from: a generation in the artifact store.

Whoever publishes them packs a generation into one file, which becomes an artifact, and an event of
the workspace names its digest. A reader that is far behind fetches the file, checks the digest and
that the generation belongs to its log, and catches up from there.

The tables are believed. So only those of logs on a server are: there the roles of the server say
who may record an event, while anybody could have made a workspace's folder.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from runlore.domain import workspace as workspaces
from runlore.domain.decision import Decision
from runlore.domain.errors import RunloreError
from runlore.domain.events import TablesPublished
from runlore.domain.ids import WORKSPACE_STREAM
from runlore.projections.generations import DATABASE, LEAF, SEGMENTS, Generation, adopt
from runlore.projections.segment_files import READ_ONLY
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.codec import decode_event
from runlore.storage.event_log import EventLog
from runlore.storage.journal import Journal, StreamState
from runlore.storage.log_query import LogQuery

FAR: Final = 100_000
"""A reader that is so many events behind what is published starts from there."""

_CHUNK_NBYTES: Final = 1 << 20
_SEGMENT: Final = re.compile(rf"{SEGMENTS}/[0-9a-f]{{32}}\.parquet")


def publish(
    generation: Generation, tables: str, artifacts: ArtifactStore, journal: Journal
) -> TablesPublished:
    """Make a generation an artifact, and record that others may start from it.

    `tables` is the version of its tables. Raises FileNotWritten, and the log's error.
    """
    with tempfile.TemporaryFile() as file:
        _pack(generation, file)
        file.seek(0)
        stored = artifacts.put(file)
    event = TablesPublished(
        position=generation.position, tables=tables, sha256=stored.sha256, nbytes=stored.nbytes
    )
    stream: StreamState[workspaces.WorkspaceState | None] = StreamState(
        WORKSPACE_STREAM, workspaces.fold, None
    )
    journal.change(stream, lambda state: Decision((event,)))
    return event


class SharedTables:
    """What others have published of a log; `artifacts` is asked for its store when it is needed."""

    def __init__(self, log: EventLog, artifacts: Callable[[], ArtifactStore]) -> None:
        self._log = log
        self._artifacts = artifacts

    def fetch(self, folder: Path, tables: str, *, position: int) -> bool:
        """Fetch the newest tables of a version as a generation below the folder.

        Returns False if they are not far ahead of a position, or cannot be had.
        """
        if self._log.last_position() < position + FAR:
            return False
        published = self._newest(tables)
        if published is None or published["position"] < position + FAR:
            return False

        def fill(new: Path) -> None:
            aside = new / "packed"
            self._artifacts().copy_to(published["sha256"], aside)
            _unpack(aside, new)
            aside.unlink()

        with suppress(RunloreError, OSError, tarfile.TarError):
            return adopt(folder, published["position"], fill)
        return False

    def _newest(self, tables: str) -> Mapping[str, Any] | None:
        query = LogQuery(under=WORKSPACE_STREAM, topics=(TablesPublished.topic,))
        for row in reversed(self._log.read_log(query)):
            data = decode_event(row.topic, row.state)
            if data is not None and data["tables"] == tables:
                return data
        return None


def _pack(generation: Generation, file: IO[bytes]) -> None:
    """Pack what a generation holds, without names and rights of this machine."""
    names = [DATABASE, LEAF]
    names += sorted(f"{SEGMENTS}/{path.name}" for path in (generation.folder / SEGMENTS).iterdir())
    with tarfile.open(fileobj=file, mode="w") as packed:
        for name in names:
            path = generation.folder / name
            member = tarfile.TarInfo(name)
            member.size = path.stat().st_size
            with path.open("rb") as source:
                packed.addfile(member, source)


def _unpack(file: Path, folder: Path) -> None:
    """Unpack the files of a generation, and no others."""
    (folder / SEGMENTS).mkdir()
    with tarfile.open(file, mode="r:") as packed:
        for member in packed:
            is_segment = _SEGMENT.fullmatch(member.name) is not None
            source = packed.extractfile(member) if member.isreg() else None
            if source is None or not (is_segment or member.name in (DATABASE, LEAF)):
                raise tarfile.TarError(f"{member.name!r:.80} is no file of a generation")
            with open(folder / member.name, "xb") as target:
                shutil.copyfileobj(source, target, _CHUNK_NBYTES)
                os.fchmod(target.fileno(), READ_ONLY if is_segment else 0o600)

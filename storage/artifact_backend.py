"""The contract of the places where artifacts are kept: write-once bytes by name.

Folders today; an object store offers as much. Names are given by `ArtifactStore`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import BinaryIO

from runlore.domain.errors import RunloreError
from runlore.storage.held_path import HeldPath


class ArtifactMissing(RunloreError, LookupError):
    """No artifact of this digest is stored at the location."""

    def __init__(self, sha256: str, location: str) -> None:
        super().__init__(
            f"no artifact {sha256} below {location}; it was never stored there, or its file was "
            "deleted: bring the file back from a copy of the workspace; if its artifacts are kept "
            "in another folder, open it with artifacts=FOLDER, or name that folder in your settings"
        )
        self.sha256 = sha256
        self.location = location


class ArtifactCorrupt(RunloreError):
    """The stored bytes are not those that the digest promises; `found` says how they differ."""

    def __init__(self, sha256: str, found: str) -> None:
        super().__init__(
            f"artifact {sha256} is corrupt: {found}; nothing was written. "
            "Delete its file and store the original again, or bring it back from a copy"
        )
        self.sha256 = sha256
        self.found = found


class StagedArtifact(ABC):
    """An artifact on its way in, whose name is not known before its last byte."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Append all of the data. Raises FileNotWritten."""

    @abstractmethod
    def publish(self, name: str) -> None:
        """Make it appear under its name, whole, in place of an earlier one; read-only.

        Nothing is written after that. Raises FileNotWritten.
        """


class ArtifactBackend(ABC):
    """Write-once bytes by name, safe with many threads and processes at once.

    Making the object touches nothing. Names are hexadecimal digests.
    """

    location: str
    """Where it is, for people and to tell two places apart."""

    folder: HeldPath | None
    """The folder of its files on this machine; None if they are elsewhere."""

    @abstractmethod
    def staged(self) -> AbstractContextManager[StagedArtifact]:
        """A new artifact, gone at the end of the block unless it was published."""

    @abstractmethod
    def sync(self, name: str) -> None:
        """Wait until a published artifact survives a power loss. Raises FileNotWritten."""

    @abstractmethod
    def holds(self, name: str, nbytes: int | None = None) -> bool:
        """Whether the artifact is stored, in its full size if that is given.

        Does not read its bytes.
        """

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """The artifact's bytes, unverified. Raises ArtifactMissing, ArtifactCorrupt."""

    @abstractmethod
    def file(self, name: str) -> HeldPath | None:
        """Where the artifact's file is on this machine; None if there are no files here."""

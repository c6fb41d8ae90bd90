"""The contract of the places where artifacts are kept: write-once bytes by name.

A folder of this machine, or a prefix in an object store. Names are given by `ArtifactStore`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import IO, BinaryIO

from runlore.domain.errors import RunloreError
from runlore.storage.held_path import HeldPath


class ArtifactMissing(RunloreError, LookupError):
    """No artifact of this digest is stored at the location."""

    def __init__(self, sha256: str, location: str) -> None:
        super().__init__(
            f"no artifact {sha256} below {location}; it was never stored there, or its file was "
            "deleted: bring the file back from a copy of the workspace; if its artifacts are kept "
            "elsewhere, open it with artifacts=PLACE, or name that place in your settings; if "
            "they are in an object store, the file may still wait on the machine that kept it: "
            "run `runlore artifacts deliver` there"
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

    def clone(self, source: IO[bytes]) -> IO[bytes] | None:
        """Take over a whole file without copying its bytes; return the new one, for reading.

        None, and nothing is written, where the file systems cannot. Later changes of the source do
        not reach the artifact.
        """
        return None

    @abstractmethod
    def publish(self, name: str) -> bool:
        """Make it appear under its name, whole and read-only; return whether anything changed.

        One of its size that has the name stays; one of another size is replaced. Nothing is
        written after that. Raises FileNotWritten, StoreUnavailable.
        """


class ArtifactBackend(ABC):
    """Write-once bytes by name, safe with many threads and processes at once.

    Making the object touches nothing. Names are hexadecimal digests.
    """

    location: str
    """Where it is, for people and to tell two places apart."""

    folder: HeldPath | None
    """The folder of its files on this machine; None if they are elsewhere."""

    long_nbytes: int | None = None
    """From this size on, a file is better read twice, for its name first, than staged."""

    @abstractmethod
    def staged(self) -> AbstractContextManager[StagedArtifact]:
        """A new artifact, gone at the end of the block unless it was published."""

    def store(self, name: str, chunks: Callable[[], Iterator[bytes]]) -> bool:
        """Store an artifact whose name is known; return whether anything changed.

        `chunks` may be called again after a broken transfer. If it raises, nothing is stored.
        """
        with self.staged() as staged:
            for chunk in chunks():
                staged.write(chunk)
            return staged.publish(name)

    @abstractmethod
    def sync(self, name: str) -> None:
        """Wait until a published artifact survives a power loss. Raises FileNotWritten."""

    @abstractmethod
    def holds(self, name: str, nbytes: int | None = None) -> bool:
        """Whether the artifact is stored, in its full size if that is given.

        Does not read its bytes. Raises StoreUnavailable.
        """

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """The artifact's bytes, unverified.

        Raises ArtifactMissing, ArtifactCorrupt, StoreUnavailable.
        """

    @abstractmethod
    def file(self, name: str) -> HeldPath | None:
        """Where the artifact's file is on this machine; None if there are no files here."""

    @abstractmethod
    def uri(self, name: str) -> str:
        """The artifact's address, for people and other programs."""

    @abstractmethod
    def below(self, name: str) -> ArtifactBackend:
        """The artifacts in a part of this place, such as those of one run."""

    @abstractmethod
    def names(self) -> Iterator[str]:
        """The names of all artifacts here, in no order. Raises StoreUnavailable."""

    @abstractmethod
    def parts(self) -> Iterator[str]:
        """The names of the parts of this place, in no order; see `below`. Some may have nothing.

        Raises StoreUnavailable.
        """

    @abstractmethod
    def remove(self, name: str) -> int:
        """Remove an artifact; return its size, 0 if it was not there. Raises StoreUnavailable."""

    @abstractmethod
    def remove_all(self) -> bool:
        """Remove all artifacts here and what is on its way in; return whether nothing is left."""

    @abstractmethod
    def is_same_as(self, other: ArtifactBackend) -> bool:
        """Whether both are the same place."""

    def deliver(self) -> int:
        """Bring what waits on this machine to its place; return how many artifacts that were.

        Raises StoreUnavailable.
        """
        return 0

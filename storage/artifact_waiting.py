"""Artifacts on their way to an object store, and those that wait for it on this machine.

A store that refuses or does not answer must not end a training, nor lose its files. So what it does
not take is kept in the workspace's folder `waiting`, on disk, with a warning, and brought to the
store later: after the next file that it takes, or by `runlore artifacts deliver`.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO, Final, cast

from runlore.domain.errors import RunloreError
from runlore.storage.artifact_backend import (
    ArtifactBackend,
    ArtifactCorrupt,
    ArtifactMissing,
    StagedArtifact,
)
from runlore.storage.artifact_cache import ArtifactCache
from runlore.storage.artifact_folder import ArtifactFolder
from runlore.storage.artifact_objects import PART_NBYTES, ArtifactObjects, StagedObject
from runlore.storage.held_path import HeldPath
from runlore.storage.object_errors import StoreUnavailable, Trouble

_PAUSE_S: Final = 30.0
_CHUNK_NBYTES: Final = 2**20


class WaitingArtifacts(ArtifactBackend):
    """An object store, with a folder of this machine for what it does not take.

    After a fault the store is not asked to take anything for 30 s: a training must not wait at each
    of its files. `names_are_digests` says that names are those of the bytes as they are stored;
    then they are checked before they leave this machine, as the folder may come from a stranger.
    """

    def __init__(
        self,
        objects: ArtifactObjects,
        waiting: ArtifactFolder,
        *,
        warn: Callable[[str], None],
        names_are_digests: bool = True,
    ) -> None:
        self.location = objects.location
        self.folder: HeldPath | None = None
        self.long_nbytes = objects.long_nbytes
        self.objects = objects
        self._waiting = waiting
        self._warn = warn
        self._names_are_digests = names_are_digests
        self._cache = ArtifactCache(objects.location) if names_are_digests else None
        self._fault: StoreUnavailable | None = None
        self._ask_at = 0.0
        self._told: Trouble | None = None
        self._look_at = 0.0

    @contextmanager
    def staged(self) -> Iterator[StagedArtifact]:
        with tempfile.SpooledTemporaryFile(PART_NBYTES) as file:
            yield StagedObject(cast(BinaryIO, file), self._publish)

    def store(self, name: str, chunks: Callable[[], Iterator[bytes]]) -> bool:
        return self._tried(name, chunks, partial(self.objects.store, name, chunks))

    def sync(self, name: str) -> None:
        if self._waiting.holds(name):
            self._waiting.sync(name)

    def holds(self, name: str, nbytes: int | None = None) -> bool:
        if self._waiting.holds(name, nbytes):
            return True
        try:
            self._check_asked()
            return self.objects.holds(name, nbytes)
        except StoreUnavailable as fault:
            self._rest(fault)
            raise

    def open(self, name: str) -> BinaryIO:
        if self._waiting.holds(name):
            try:
                return self._waiting.open(name)
            except ArtifactMissing:
                pass  # It was delivered a moment ago.
        if self._cache is not None:
            return self._cache.open(name, self.objects.open)
        return self.objects.open(name)

    def file(self, name: str) -> HeldPath | None:
        return None

    def uri(self, name: str) -> str:
        return self.objects.uri(name)

    def below(self, name: str) -> WaitingArtifacts:
        return WaitingArtifacts(
            self.objects.below(name),
            self._waiting.below(name),
            warn=self._warn,
            names_are_digests=False,
        )

    def names(self) -> Iterator[str]:
        waiting = set(self._waiting.names())
        yield from waiting
        yield from (name for name in self.objects.names() if name not in waiting)

    def parts(self) -> Iterator[str]:
        yield from {*self._waiting.parts(), *self.objects.parts()}

    def remove(self, name: str) -> int:
        if self._cache is not None:
            self._cache.remove(name)
        return self.objects.remove(name) or self._waiting.remove(name)

    def remove_all(self) -> bool:
        # Both, whatever the first says.
        return all([self._waiting.remove_all(), self.objects.remove_all()])

    def is_same_as(self, other: ArtifactBackend) -> bool:
        return isinstance(other, WaitingArtifacts) and self.objects.is_same_as(other.objects)

    def deliver(self) -> int:
        count = 0
        for name in list(self._waiting.names()):
            try:
                self.objects.store(name, partial(self._checked, name))
            except ArtifactMissing:
                continue  # Another process delivers, too.
            self._waiting.remove(name)
            count += 1
        return count

    def _publish(self, name: str, content: BinaryIO, nbytes: int) -> bool:
        return self._tried(
            name,
            partial(_from_start, content),
            partial(self.objects.publish, name, content, nbytes),
        )

    def _tried(
        self, name: str, chunks: Callable[[], Iterator[bytes]], send: Callable[[], bool]
    ) -> bool:
        try:
            self._check_asked()
            changed = send()
        except StoreUnavailable as fault:
            self._keep(name, chunks, fault)
            return True
        # Other processes may have left files, such as forked ones, which cannot use the store.
        if self._fault is not None or time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _PAUSE_S
            self._deliver_or_tell()
        return changed

    def _keep(
        self, name: str, chunks: Callable[[], Iterator[bytes]], fault: StoreUnavailable
    ) -> None:
        self._waiting.store(name, chunks)
        self._rest(fault)
        if self._told is not fault.trouble:
            self._told = fault.trouble
            self._warn(
                f"{fault}. Until then files wait in {self._waiting.location}, from where they are "
                "brought to the store after the next file that it takes, or by `runlore artifacts "
                "deliver`; the run goes on"
            )

    def _check_asked(self) -> None:
        if self._fault is not None and time.monotonic() < self._ask_at:
            raise self._fault

    def _rest(self, fault: StoreUnavailable) -> None:
        """Ask the store for nothing for a while."""
        if fault is not self._fault:
            self._fault, self._ask_at = fault, time.monotonic() + _PAUSE_S

    def _deliver_or_tell(self) -> None:
        try:
            self.deliver()
        except StoreUnavailable as fault:
            self._rest(fault)
        except RunloreError as error:
            self._warn(f"not all waiting files were brought to the store: {error}")
        else:
            self._fault = self._told = None

    def _checked(self, name: str) -> Iterator[bytes]:
        digest = hashlib.sha256()
        with self._waiting.open(name) as file:
            while chunk := file.read(_CHUNK_NBYTES):
                digest.update(chunk)
                yield chunk
        if self._names_are_digests and digest.hexdigest() != name:
            raise ArtifactCorrupt(
                name, f"the file that waits in {self._waiting.location} has other bytes"
            )


def _from_start(content: BinaryIO) -> Iterator[bytes]:
    content.seek(0)
    while chunk := content.read(_CHUNK_NBYTES):
        yield chunk

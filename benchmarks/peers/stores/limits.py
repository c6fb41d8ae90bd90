"""What no tracker can do faster in Python: a list, and one system call per value."""

from __future__ import annotations

import os
import struct
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from benchmarks.peers.store import OpenRun, Store

RECORD = struct.Struct("qqd")


class FileRun(OpenRun):
    """Step, time and value of one metric per file; the tags are the run's folder's business."""

    def __init__(self, folder: Path) -> None:
        self.id = folder.name
        self._folder = folder
        folder.mkdir()

    def _open(self, name: str) -> int:
        return os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


class ListRun(FileRun):
    """Appends to a list; writes and syncs at the end."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._series: dict[str, list[tuple[int, int, float]]] = {}

    def log(self, name: str, value: float, step: int) -> None:
        series = self._series.get(name)
        if series is None:
            series = self._series[name] = []
        series.append((step, time.time_ns(), float(value)))

    def end(self) -> None:
        for name, series in self._series.items():
            file = self._open(name)
            os.write(file, b"".join(RECORD.pack(*record) for record in series))
            os.fsync(file)
            os.close(file)


class WriteRun(FileRun):
    """One write() a value; syncs at the end."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._files: dict[str, int] = {}

    def log(self, name: str, value: float, step: int) -> None:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = self._open(name)
        os.write(file, RECORD.pack(step, time.time_ns(), float(value)))

    def end(self) -> None:
        for file in self._files.values():
            os.fsync(file)
            os.close(file)


class FileStore(Store):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @abstractmethod
    def start(self, tags: Mapping[str, str]) -> OpenRun: ...

    def read(self, run_id: str, name: str) -> Sequence[float]:
        path = self._folder / run_id / name
        if not path.exists():
            return []
        content = path.read_bytes()
        whole = content[: len(content) // RECORD.size * RECORD.size]
        return [value for _, _, value in RECORD.iter_unpack(whole)]


class ListStore(FileStore):
    def start(self, tags: Mapping[str, str]) -> OpenRun:
        return ListRun(self._folder / uuid4().hex)


class WriteStore(FileStore):
    def start(self, tags: Mapping[str, str]) -> OpenRun:
        return WriteRun(self._folder / uuid4().hex)

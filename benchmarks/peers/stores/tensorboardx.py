"""tensorboardX: event files, a folder for each run."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event

from benchmarks.peers.store import OpenRun, Store


class TensorboardRun(OpenRun):
    def __init__(self, folder: Path) -> None:
        self.id = folder.name
        self._writer = SummaryWriter(str(folder))

    def log(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)

    def end(self) -> None:
        self._writer.close()


class TensorboardStore(Store):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(self, tags: Mapping[str, str]) -> OpenRun:
        return TensorboardRun(self._folder / uuid4().hex)

    def read(self, run_id: str, name: str) -> Sequence[float]:
        return [
            value.simple_value
            for file in sorted((self._folder / run_id).glob("*tfevents*"))
            for record in records(file.read_bytes())
            for value in Event.FromString(record).summary.value
            if value.tag == name
        ]


def records(content: bytes) -> Iterator[bytes]:
    """The whole records of a TFRecord file: length, its CRC, the bytes, their CRC."""
    at = 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        if at + 16 + length > len(content):
            return
        yield content[at + 12 : at + 12 + length]
        at += 16 + length

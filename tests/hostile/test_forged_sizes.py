"""A few bytes that claim to be a gigabyte, and a hundred megabytes that would unpack to more.

| forged | what happens |
|---|---|
| an event of many empty arrays, which would take 70 times as much | it counts as damaged |
| values that unpack to 1 GB of zeros; that claim 10^12 values; of arrays in arrays | the same |
| such events in a bundle | they are refused |
| a proof with such an event | it is verified, and not shown |

Each is read in a process of its own, whose memory is measured. RUNLORE_FORGED_MIB=128 makes the
events that large.
"""

from __future__ import annotations

import os
import resource
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard

from runlore import Experiment, Workspace
from runlore.audit.bundles.events import check_event
from runlore.audit.offline import MAX_UNPACKED, _shown
from runlore.domain.events import ValuesLogged
from runlore.storage.codec import decode_event, encode_event
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import NewEvent, StoredRow
from runlore.storage.value_reader import read_batch
from runlore.workspace import session_of
from tests.processes import in_child

pytestmark = [pytest.mark.processes, pytest.mark.slow]

ALLOWED_NBYTES = 900 << 20
"""What a process may take beside the event itself: the bound of a payload, and what holds it."""

FORGED_NBYTES = int(os.environ.get("RUNLORE_FORGED_MIB", "24")) << 20


def arrays(nbytes: int) -> bytes:
    """The state of a tag with this many empty arrays as its value, in arrays of 65,535."""
    row = b"\xdc\xff\xff" + b"\x90" * 65_535
    rows = nbytes // len(row)
    return b"\x83\xa1v\x01\xa3key\xa1k\xa5value\xdd" + rows.to_bytes(4, "big") + row * rows


def values(payload: bytes, n: int = 1) -> ValuesLogged:
    """A batch of one series with this payload."""
    return ValuesLogged(
        writer_id="w",
        first_seq=0,
        count=n,
        series=({"name": "loss", "n": n},),
        payload=zstandard.ZstdCompressor().compress(payload),
    )


def block(n: int) -> bytes:
    """Whole numbers that are all regular, so that few bytes say how many there are."""
    regular = [0, 1]
    return bytes(
        msgpack.packb([{"i": regular, "s": regular, "t": regular, "v": [["i8", regular]]}])
    )


FORGED: dict[str, Callable[[], tuple[str, bytes]]] = {
    "arrays": lambda: ("run.tag_set", arrays(FORGED_NBYTES)),
    "zeros": lambda: ("run.values_logged", encode_event(values(bytes(1 << 30)))),
    "a trillion": lambda: ("run.values_logged", encode_event(values(block(10**12), 10**12))),
    "arrays in values": lambda: (
        "run.values_logged",
        encode_event(values(b"\xdd" + (200 << 20).to_bytes(4, "big") + b"\x90" * (200 << 20))),
    ),
}


def grown(work: Callable[[], Any]) -> tuple[int, Any]:
    """By how many bytes a process of its own grows while it works, and what the work gives."""

    def child() -> tuple[int, Any]:
        warnings.simplefilter("ignore")
        before = _peak()
        answer = work()
        return _peak() - before, answer

    found: tuple[int, Any] = in_child(child)
    return found


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_event_fills_no_memory(name: str) -> None:
    """Neither in the log nor in a bundle."""
    topic, state = FORGED[name]()
    stream = "run/r" if topic == "run.tag_set" else f"run/r/values/{'0' * 32}"
    metadata = msgpack.packb({"writer": "w"})
    row = StoredRow(1, stream, 1, topic, state, b"i" * 16, 0, metadata, bytes(32))

    def decode() -> list[str]:
        errors = []
        try:
            data = decode_event(topic, state)
            assert data is not None
            read_batch(data)
        except (ValueError, LogCorrupt) as error:
            errors.append(type(error).__name__)
        try:
            check_event(row)
        except ValueError as error:
            errors.append(type(error).__name__)
        return errors

    nbytes, errors = grown(decode)

    assert len(errors) == 2
    assert nbytes < ALLOWED_NBYTES


@pytest.mark.parametrize("name", ["arrays", "a trillion"])
def test_a_workspace_with_a_forged_event_is_read(name: str, tmp_path: Path) -> None:
    topic, state = FORGED[name]()
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        run = Experiment(ws, "e").start_logging(run_id="r", outputs=False, snapshot_directory=None)
        run.complete()
        stream, version = (
            ("run/r", 3) if topic == "run.tag_set" else (f"run/r/values/{'0' * 32}", 1)
        )
        event = NewEvent(stream, version, topic, state, os.urandom(16), {"writer": "w"})
        session_of(ws).log.append([event])

    def read() -> Any:
        with Workspace.open(tmp_path / "lab") as ws:
            ws.get_run("r").get_metrics()
            return ws.sql("SELECT run_id, (SELECT status FROM runs) FROM damaged").fetchall()

    nbytes, answer = grown(read)

    assert answer == [("r", "Completed")]
    assert nbytes < ALLOWED_NBYTES + len(state)


def test_a_large_event_of_a_proof_is_not_unpacked() -> None:
    assert "too many to show" in _shown(arrays(2 * MAX_UNPACKED))

"""Stored bytes of an event: topic, state and metadata, as any row of a log may hold them.

Each of these gives something, or the error that its docstring names: `decode_event`, `facts_of`,
the folds of the streams as a session runs them, the mapper of the `eventsourcing` library, the two
readers of logged values (`read_batch` for runs, `points_of` for tables), and `check_event`, which
judges the events of bundles.

An event that was decoded is stored as bytes with the same meaning. Blocks of values hold as many as
they say, and are the same when they are written and read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any, Final

import msgpack
import numpy as np
import zstandard
from eventsourcing.persistence import JSONTranscoder, MapperDeserialisationError, StoredEvent

from runlore.audit.bundles.events import check_event
from runlore.domain import compute_target, experiment, run_state, view, workspace
from runlore.domain.events import REGISTRY, RunCreated, ValuesLogged
from runlore.domain.fact import Fact
from runlore.domain.ids import StreamKind
from runlore.projections.points import points_of
from runlore.storage.codec import decode_event, encode_event, facts_of, log_version_in
from runlore.storage.errors import LogCorrupt
from runlore.storage.event_log import StoredRow
from runlore.storage.journal import StreamState
from runlore.storage.mapper import Envelope, PydanticMsgpackMapper, UnknownEvent
from runlore.storage.value_codec import Part, Series, encode_batch
from runlore.storage.value_reader import Block, read_batch
from tests.fuzz.mutations import MSGPACK_VALUES, mutated_bytes, mutated_tree, packed, unpacked
from tests.fuzz.target import Broken, Target
from tests.golden import make as golden
from tests.logged_values import Record, batch_of

NOON: Final = 1_700_000_000_000_000
TOPICS: Final = sorted(REGISTRY)
_MAPPER: Final = PydanticMsgpackMapper(JSONTranscoder())
_METADATA: Final = msgpack.packb(
    {"writer": "w", "reason": "why", "observed_at": NOON, "actor": "a"}
)
_FOLDS: Final[dict[str, tuple[Any, Any]]] = {
    "run": (run_state.fold, None),
    "experiment": (experiment.fold, experiment.NameState()),
    "compute_target": (compute_target.fold, None),
    "view": (view.fold, None),
    "workspace": (workspace.fold, None),
}


def stored(topic: str, state: bytes, metadata: bytes | None = _METADATA) -> bytes:
    """An input."""
    packed_: bytes = msgpack.packb([topic, state, metadata])
    return packed_


def parts_of(data: bytes) -> tuple[str, bytes, bytes | None]:
    """Topic, state and metadata of an input; of other bytes, which are a state of some topic."""
    try:
        topic, state, metadata = unpacked(data)
    except (ValueError, TypeError):
        return TOPICS[sum(data[:1]) % len(TOPICS)], data[1:], _METADATA
    if type(topic) is str and type(state) is bytes and type(metadata) in (bytes, type(None)):
        return topic, state, metadata
    return TOPICS[0], data, _METADATA


def seeds() -> list[bytes]:
    """The golden bytes of all topics and versions, and batches of values."""
    found = [
        stored(golden.parse_name(path.name)[0], path.read_bytes())
        for path in sorted(golden.FOLDER.glob("*.bin"))
    ]
    row = Series("roc", ("fpr", "tpr"), "row")
    batches = [
        [Record(Series("loss"), step, 7 * step, 0.5 * step) for step in range(20)],
        [Record(Series("n"), step**2, step**3, step**4) for step in range(9)],
        [Record(Series("any"), 0, 1, value) for value in (2**70, "text", None, True, 0.5)],
        [Record(row, 1, 2, (0.5, "a")), Record(Series("loss"), 1, 2, -1)],
    ]
    found += [stored(ValuesLogged.topic, encode_event(batch_of("w", 0, one))) for one in batches]
    return [*found, stored("run.of_tomorrow", b"\xc1"), stored("run.created", b"\xc1erased", None)]


def mutate(data: bytes, random: Random) -> bytes:
    """An input with another topic, or a change inside of its state, metadata or values."""
    topic, state, metadata = parts_of(data)
    choice = random.random()
    if choice < 0.05:
        topic = random.choice(TOPICS)
    elif choice < 0.1:
        metadata = _mutated(metadata or b"", random)
    elif choice < 0.15:
        state = mutated_bytes(state, random)
    elif topic == ValuesLogged.topic and choice < 0.65:
        state = _with_other_values(state, random)
    else:
        state = _mutated(state, random)
    return stored(topic, state, metadata)


def _mutated(data: bytes, random: Random) -> bytes:
    try:
        changed = packed(mutated_tree(unpacked(data), random, MSGPACK_VALUES))
    except ValueError:
        changed = None
    return mutated_bytes(data, random) if changed is None else changed


def _with_other_values(state: bytes, random: Random) -> bytes:
    """The state of a batch whose payload was changed inside, and compressed again."""
    try:
        data = unpacked(state)
        payload = data["payload"]
        blocks = zstandard.ZstdDecompressor().decompress(payload, max_output_size=1 << 16)
        data["payload"] = zstandard.ZstdCompressor().compress(_mutated(blocks, random))
        return packed(data) or state
    except (ValueError, TypeError, KeyError, MemoryError, zstandard.ZstdError):  # A forged size.
        return _mutated(state, random)


def check(data: bytes) -> None:
    topic, state, metadata = parts_of(data)
    log_version_in(topic, state)
    try:
        decoded = decode_event(topic, state)
    except ValueError:
        decoded = None
    _check_mapper(topic, state)
    kind = _kind(topic)
    stream = f"{kind}/r/values/w" if topic == ValuesLogged.topic else f"{kind}/{_owner(decoded)}"
    row = StoredRow(2, stream, 2, topic, state, bytes(16), NOON, metadata, bytes(32))
    with suppress(ValueError):
        check_event(row)
    try:
        [fact] = facts_of([row[:-1]])
    except LogCorrupt:
        return
    if fact.damage is not None:
        return
    if packed(fact.data) != packed(decoded):  # Not by `==`: NaN is not equal to itself.
        raise Broken(f"decoded as {decoded!r:.200}, and as a fact as {fact.data!r:.200}")
    if topic == ValuesLogged.topic:
        _check_values(fact)
    elif kind in _FOLDS:
        _check_fold(kind, fact)


def _kind(topic: str) -> str:
    kind = topic.partition(".")[0]
    return kind if kind in set(StreamKind) else "run"


def _owner(decoded: dict[str, Any] | None) -> object:
    """The run or experiment that an event names, whose stream it belongs into."""
    named = decoded or {}
    return named.get("run_id", named.get("name", "r"))


def _check_mapper(topic: str, state: bytes) -> None:
    try:
        envelope = _MAPPER.to_domain_event(StoredEvent("r", 1, topic, state))
    except MapperDeserialisationError:
        return
    assert isinstance(envelope, Envelope)
    again = _MAPPER.to_stored_event(envelope)
    if isinstance(envelope.event, UnknownEvent):
        if again.state != state or again.topic != topic:
            raise Broken("an unknown event was not kept as it is")
        return
    event = _MAPPER.to_domain_event(again)
    assert isinstance(event, Envelope)
    if repr(event.event) != repr(envelope.event):
        raise Broken(f"stored again, {envelope.event!r:.200} is {event.event!r:.200}")


_BORN: Final = Fact(
    *(1, "run/r", 1, RunCreated.topic),
    decode_event(RunCreated.topic, golden.path_of("run.created", 2).read_bytes()),
    *(bytes(16), NOON, NOON, "w"),
)


def _check_fold(kind: str, fact: Fact) -> None:
    fold, state = _FOLDS[kind]
    known: StreamState[Any] = StreamState(fact.stream, fold, state)
    with suppress(LogCorrupt):
        if kind == "run" and fact.topic != RunCreated.topic:
            known.advance([_BORN])
        known.advance([fact])


def _check_values(fact: Fact) -> None:
    if fact.data is not None:
        _check_points(fact, _check_blocks(fact))


def _check_blocks(fact: Fact) -> int:
    """Check what runs read of the batch: the number of values, 0 if it cannot be read."""
    assert fact.data is not None
    try:
        blocks = read_batch(fact.data)
    except LogCorrupt:
        return 0
    for block in blocks:
        _check_block(block)
    if blocks and sum(map(len, blocks)) < 10_000:
        again = read_batch(encode_batch("w", 0, [_part(block) for block in blocks]).__dict__)
        if not all(map(_same, blocks, again)):
            raise Broken("a batch is another one after it was written and read again")
    return sum(len(block) * len(block.columns) for block in blocks)


def _check_points(fact: Fact, found: int) -> None:
    """Check the batch's rows of tables; `found` values of it can be read, or 0."""
    damaged: list[Fact] = []
    rows = sum(map(len, points_of([(1, fact)], {}, damaged=damaged)))
    try:
        again = sum(map(len, points_of([(1, fact)], {})))
    except LogCorrupt:
        again = -1
    if again != (-1 if damaged else rows):
        raise Broken(f"a batch has {again} rows, and {rows} if {damaged!r:.200} is passed over")
    if found and not damaged and found != rows:
        raise Broken(f"{found} values make {rows} rows of tables")


def _check_block(block: Block) -> None:
    arrays = (block.index, block.steps, block.times, *block.columns)
    if any(array.shape != (len(block),) for array in arrays):
        raise Broken(f"columns of {[array.shape for array in arrays]} in one block")
    series = block.series
    if not all(type(text) is str for text in (*series.columns, *series[:1], *series[2:])):
        raise Broken(f"a series of other types: {series!r:.200}")
    if len(block.columns) != max(1, len(series.columns)):
        raise Broken(f"{len(block.columns)} columns for {series!r:.200}")


def _part(block: Block) -> Part:
    return Part(
        block.series,
        block.index.tolist(),
        block.steps.tolist(),
        block.times.tolist(),
        [column.tolist() for column in block.columns],
    )


def _same(one: Block, other: Block) -> bool:
    pairs = zip(
        (one.index, one.steps, one.times, *one.columns),
        (other.index, other.steps, other.times, *other.columns),
        strict=True,
    )
    return one.series == other.series and all(
        np.array_equal(a, b) or repr(a.tolist()) == repr(b.tolist()) for a, b in pairs
    )


def _claiming(*counts: int, columns: Sequence[str] = (), stride: Any = 1) -> bytes:
    """A small batch that claims a number of values in each of its series."""
    regular = [0, stride]
    block = {
        "i": regular,
        "s": regular,
        "t": regular,
        "v": [["i8", regular]] * max(1, len(columns)),
    }
    described = [{"name": f"loss{n}", "n": n, "columns": columns} for n in counts]
    payload = zstandard.ZstdCompressor().compress(msgpack.packb([block] * len(counts)))
    return stored(
        ValuesLogged.topic,
        encode_event(
            ValuesLogged(
                writer_id="w", first_seq=0, count=1, series=tuple(described), payload=payload
            )
        ),
    )


TARGET: Final = Target(
    "mapper",
    check,
    seeds,
    mutate,
    regressions={
        "a status that is nested deeply": stored(
            "run.found", b"\x82\xa1v\x01\xa6status" + b"\x81\xa1a" * 1_000 + b"\xc0"
        ),
        "a stride that is a list": _claiming(5, stride=[[1]]),
        "a billion values": _claiming(10**9),
        "a billion values, less a billion": _claiming(10**9, -(10**9)),
        "ten million values in each of 20 columns": _claiming(
            10**7, columns=list("abcdefghijklmnopqrst")
        ),
        "values that are not compressed": stored(
            ValuesLogged.topic,
            encode_event(
                ValuesLogged(
                    writer_id="w",
                    first_seq=0,
                    count=1,
                    series=({"name": "loss", "n": 1},),
                    payload=b"no zstd",
                )
            ),
        ),
    },
    quick=100,
)

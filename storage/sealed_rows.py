"""The events of an erasable log on their way in and out: sealed and opened under keys of runs.

Keys stay in memory for one call at most: a run that another process erases is gone here as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from runlore.domain.events import RunCreated, RunErased, remains_of
from runlore.domain.ids import owner_of, run_id_of
from runlore.storage.codec import ERASED, UNSEALABLE, decode_event, encode_state
from runlore.storage.event_log import NewEvent
from runlore.storage.seal import NO_KEY, Cipher, is_sealed, new_key


def sealed(
    events: Sequence[NewEvent], keys_for: Callable[[Sequence[str]], Mapping[str, bytes]]
) -> list[NewEvent]:
    """The events with payloads of runs as they are stored; `keys_for` makes keys that are missing.

    Values logged by a process that does not know of an erasure yet are sealed under a key that is
    not kept: its spool empties, and the values are gone.
    """
    runs = {
        event.stream: run_id_of(event.stream) or ""
        for event in events
        if is_sealed(event.stream, event.topic)
    }
    keys = keys_for(sorted(set(runs.values()))) if runs else {}
    ciphers = {run_id: Cipher(new_key() if key == NO_KEY else key) for run_id, key in keys.items()}

    def one(event: NewEvent) -> NewEvent:
        if not is_sealed(event.stream, event.topic):
            return event
        cipher = ciphers[runs[event.stream]]
        state = cipher.seal(event.stream, event.version, event.topic, event.state)
        return event._replace(state=state)

    return [one(event) for event in events]


def opened(
    rows: Sequence[tuple[Any, ...]],
    keys_of: Callable[[Iterable[str]], Mapping[str, bytes]],
    erasure_of: Callable[[str], bytes | None],
) -> list[tuple[Any, ...]]:
    """Plain rows, possibly followed by the leaf, as readers should see them.

    `keys_of` gives the keys of runs, without those that never had one; `erasure_of` the state of
    the event that erased a run. An erased run reads as that describes it in the clear.
    """
    streams = {row[1] for row in rows if type(row[1]) is str}
    ciphers = _ciphers(keys_of(filter(None, map(run_id_of, streams))))
    remains: dict[str, bytes] = {}
    found = []
    for row in rows:
        position, stream, version, topic, state, event_id, *_ = row
        plain = type(stream) is str and type(topic) is str
        if event_id is None or not plain or not is_sealed(stream, topic):
            found.append(row)
            continue
        run_id = owner_of(stream)
        try:
            cipher = ciphers[run_id]
            if isinstance(cipher, ValueError):
                raise cipher
            if cipher is not None:
                state = cipher.unseal(stream, version, topic, state)
            elif topic != RunCreated.topic:
                state = ERASED
            else:
                if run_id not in remains:
                    remains[run_id] = _remains(erasure_of(run_id))
                state = remains[run_id]
        except KeyError:
            state = _unsealable("the key of its run is missing")
        except (TypeError, ValueError) as error:
            state = _unsealable(str(error))
        found.append((position, stream, version, topic, state, *row[5:]))
    return found


def _unsealable(problem: str) -> bytes:
    return UNSEALABLE + problem.encode()


def _ciphers(keys: Mapping[str, bytes]) -> Mapping[str, Cipher | ValueError | None]:
    """The ciphers of the runs; None for one that was erased, what is wrong for a damaged key."""
    ciphers: dict[str, Cipher | ValueError | None] = {}
    for run_id, key in keys.items():
        try:
            ciphers[run_id] = None if key == NO_KEY else Cipher(key)
        except (TypeError, ValueError) as error:
            ciphers[run_id] = ValueError(f"the key of its run is damaged: {error}")
    return ciphers


def _remains(erasure: bytes | None) -> bytes:
    """What remains of an erased run's creation, encoded like a creation."""
    erased = None if erasure is None else decode_event(RunErased.topic, erasure)
    if not erased:
        raise ValueError("its run's key is gone, and no event says that the run was erased")
    return encode_state(RunCreated.schema_version, remains_of(erased))

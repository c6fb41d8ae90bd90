"""The text of a proof, which `offline.py` verifies without runlore.

It is NotProved, or not JSON, or sentences that a terminal can show. The file's own msgpack reads
what msgpack reads, or says that it cannot.
"""

from __future__ import annotations

import base64
import json
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

import msgpack

from runlore import Workspace
from runlore.audit.offline import NotProved, VerifierKey, parse_proof, unpack, verify_proof
from tests.audit.bundles.every_topic import live_through
from tests.fuzz.mutations import (
    JSON_VALUES,
    MSGPACK_VALUES,
    TEXTS,
    mutated_bytes,
    mutated_text,
    mutated_tree,
    packed,
    unpacked,
)
from tests.fuzz.target import Broken, Target

_WORDS: Final = (*TEXTS, "{", "}", '"event": ', '"path": [', "\u2014 key AAAA", "\\n\\n", "\\ud800")


@cache
def _made() -> tuple[list[bytes], VerifierKey]:
    with (
        tempfile.TemporaryDirectory() as folder,
        Workspace.create("lab", path=Path(folder) / "lab") as ws,
    ):
        key, _ = ws.audit.new_key(Path(folder) / "key")
        live_through(ws)
        earlier, _ = ws.audit.checkpoint(key=Path(folder) / "key")
        ws.get_run("c").tag("later")
        later, _ = ws.audit.checkpoint(key=Path(folder) / "key")
        proofs: list[Any] = [ws.audit.prove(position) for position in (1, 4, 9)]
        proofs.append(ws.audit.prove_growth(earlier.size, later.size))
    return [json.dumps(proof).encode() for proof in proofs], key


def seeds() -> list[bytes]:
    """Proofs of events, and that a log has only grown."""
    return _made()[0]


def mutate(data: bytes, random: Random) -> bytes:
    """A proof with other fields, or with other bytes in its event."""
    if random.random() < 0.05:
        return mutated_bytes(data, random)
    try:
        proof = json.loads(data)
        event = proof["event"] if random.random() < 0.5 else None
        if event is None:
            mutated_tree(proof, random, JSON_VALUES)
        else:
            name = random.choice(("state", "metadata"))
            tree = unpacked(base64.b64decode(event[name]))
            changed = packed(mutated_tree(tree, random, MSGPACK_VALUES)) or b"\xc1"
            event[name] = base64.b64encode(changed).decode()
        return json.dumps(proof).encode(errors="replace")
    except (ValueError, TypeError, KeyError, RecursionError):
        return mutated_text(data.decode(errors="replace"), random, _WORDS).encode()


def check(data: bytes) -> None:
    _check_msgpack(data)
    try:
        proof = parse_proof(data.decode())
    except (ValueError, RecursionError):
        return
    for keys in ([], [_made()[1]]):
        try:
            lines = verify_proof(proof, keys)
        except NotProved:
            continue
        if not all(line.isprintable() for line in lines):
            raise Broken(f"it would be shown as {lines!r:.300}")


def _check_msgpack(data: bytes) -> None:
    try:
        ours = unpack(data)
    except (ValueError, RecursionError):
        return
    theirs = msgpack.unpackb(data, strict_map_key=False)
    if repr(ours) != repr(theirs):
        raise Broken(f"{data.hex()} is {theirs!r}, and was read as {ours!r}")


TARGET: Final = Target("proof", check, seeds, mutate, quick=200)

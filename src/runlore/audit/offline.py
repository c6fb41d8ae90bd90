"""Verify a runlore proof on a machine that has neither runlore nor the log.

    python offline.py proof.json --key 'NAME+HASH+KEY'

This one file needs Python >= 3.11 and, for signatures, the package `cryptography`. It verifies that
an event is in a log (inclusion) or that a log has only grown between two checkpoints (consistency),
against checkpoints that the holder of the key has signed, and prints what was proved. The key must
reach you through another channel than the proof.

Exit codes: 0 proved; 1 not proved, with the reason; 2 the command line is wrong.

The formats: Merkle trees as in RFC 6962, section 2.1, proofs verified as in RFC 9162, sections
2.1.3.2 and 2.1.4.2; checkpoints as in C2SP tlog-checkpoint and signed-note, with Ed25519; the leaf
of an event as in runlore's `storage/merkle.py`; its data in the part of msgpack that runlore
writes.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import struct
import sys
from datetime import UTC, datetime, timedelta

ED25519 = b"\x01"
MAX_DEPTH = 64
MAX_SIGNATURES = 100
MAX_SHOWN = 400
MAX_UNPACKED = 1 << 20
PROOF = frozenset(("runlore_proof", "format", "path"))
INCLUSION = PROOF | {"event", "index", "checkpoint"}
CONSISTENCY = PROOF | {"earlier", "later"}
EVENT = frozenset(
    ("position", "stream", "version", "topic", "event_id", "recorded_at", "metadata", "state")
)
_SIZE = re.compile("0|[1-9][0-9]{0,17}")


class NotProved(Exception):
    """The proof does not prove what it claims to; the message says why."""


# --- signed notes -------------------------------------------------------------------------


class VerifierKey:
    """A public key with its name, as one line of text: `name+hash+key`."""

    def __init__(self, name: str, public: bytes) -> None:
        if not name or "+" in name or any(char.isspace() for char in name):
            raise NotProved(f"{name!r} cannot be a key's name: spaces and '+' are not allowed")
        if len(public) != 32:
            raise NotProved(f"an Ed25519 key has 32 bytes, this one has {len(public)}")
        self.name = name
        self.public = public
        self.key_id = hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """The key from its text."""
        name, _, rest = text.strip().partition("+")
        key_hash, _, encoded = rest.partition("+")
        data = _base64(encoded, "the key")
        if data[:1] != ED25519:
            raise NotProved(f"{text!r:.120} is not an Ed25519 verifier key, name+hash+key")
        key = cls(name, data[1:])
        if key_hash != key.key_id.hex():
            raise NotProved(f"{text!r:.120} has a wrong hash: it must be {key.key_id.hex()}")
        return key

    def __str__(self) -> str:
        encoded = base64.b64encode(ED25519 + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifierKey) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Whether the signature of exactly this text is this key's."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class Checkpoint:
    """A signed statement about a log: its origin, size and root."""

    def __init__(self, note: str) -> None:
        self.note = note
        self.text, signatures = split_note(note)
        origin, size, root, *_ = [*self.text.split("\n"), "", "", ""]
        if not origin or not _SIZE.fullmatch(size):
            raise NotProved("the checkpoint lacks the line of its origin or of its size")
        self.origin = origin
        self.size = int(size)
        self.root = _base64(root, "the checkpoint's root")
        if len(self.root) != 32:
            raise NotProved(f"the checkpoint's root has {len(self.root)} bytes instead of 32")
        self.signatures = signatures

    @property
    def signers(self) -> list[str]:
        """The names of its signatures, which are not checked."""
        return [name for name, _, _ in self.signatures]

    def signed_by(self, keys: list[VerifierKey]) -> list[VerifierKey]:
        """The keys that have signed it. Raises NotProved if a signature of one of them is false."""
        signed = []
        for name, key_id, signature in self.signatures:
            for key in keys:
                if (key.name, key.key_id) == (name, key_id) and key not in signed:
                    if not key.has_signed(self.text, signature):
                        raise NotProved(f"the signature of {name} is false: the text was changed")
                    signed.append(key)
        return signed


def split_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """A note's text, and (name, key id, signature) of each of its signatures."""
    if any(ord(char) < 32 and char != "\n" for char in note):
        raise NotProved("the checkpoint contains control characters")
    text, blank, lines = note.rpartition("\n\n")
    if not blank or (lines and not lines.endswith("\n")):
        raise NotProved("the checkpoint has no blank line before its signatures")
    signatures: list[tuple[str, bytes, bytes]] = []
    for line in lines.splitlines():
        start, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if start != "\u2014" or not name or len(signatures) >= MAX_SIGNATURES:
            raise NotProved(f"{line!r:.80} is not a signature line")
        data = _base64(encoded, "a signature")
        if len(data) < 5:
            raise NotProved(f"{line!r:.80} is not a signature line")
        signatures.append((name, data[:4], data[4:]))
    return text + "\n", signatures


def _base64(text: object, name: str) -> bytes:
    """The bytes of a base64 text, which must be in the canonical form."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        data = None
    if data is None or base64.b64encode(data).decode() != text:
        raise NotProved(f"{name} is not base64: {text!r:.80}")
    return data


# --- trees --------------------------------------------------------------------------------


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_inclusion(index: int, size: int, leaf: bytes, path: list[bytes], root: bytes) -> None:
    """Raise NotProved unless the leaf is number `index` of the tree of this size and root."""
    if not 0 <= index < size:
        raise NotProved(f"index {index} is outside of a log of {size} events")
    place, last, computed = index, size - 1, leaf
    for node in path:
        if last == 0:
            raise NotProved("the path is longer than the tree is high")
        if place & 1 or place == last:
            computed = node_hash(node, computed)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            computed = node_hash(computed, node)
        place >>= 1
        last >>= 1
    if last != 0:
        raise NotProved("the path is shorter than the tree is high")
    if computed != root:
        raise NotProved("event and path do not lead to the checkpoint's root")


def check_consistency(
    size: int, root: bytes, later_size: int, later_root: bytes, path: list[bytes]
) -> None:
    """Raise NotProved unless the later tree begins with all of the earlier one."""
    if size > later_size:
        raise NotProved(f"the later checkpoint has {later_size} events, the earlier {size}")
    if size == later_size:
        if path or root != later_root:
            raise NotProved("two checkpoints of the same size have different roots")
        return
    if size == 0:
        if path or root != hashlib.sha256(b"").digest():
            raise NotProved("the earlier checkpoint has no events, but not the empty root")
        return
    nodes = list(path)
    if size & (size - 1) == 0:
        nodes.insert(0, root)
    if not nodes:
        raise NotProved("the path is empty")
    place, last = size - 1, later_size - 1
    while place & 1:
        place >>= 1
        last >>= 1
    earlier = later = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            raise NotProved("the path is longer than the tree is high")
        if place & 1 or place == last:
            earlier = node_hash(node, earlier)
            later = node_hash(node, later)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            later = node_hash(later, node)
        place >>= 1
        last >>= 1
    if last != 0:
        raise NotProved("the path is shorter than the tree is high")
    if earlier != root:
        raise NotProved("the path does not lead to the earlier checkpoint's root")
    if later != later_root:
        raise NotProved("the path does not lead to the later checkpoint's root")


# --- events -------------------------------------------------------------------------------


class Event:
    """The columns of an event in a proof."""

    def __init__(self, fields: object) -> None:
        if not isinstance(fields, dict):
            raise NotProved("the proof has no event")
        _only(fields, EVENT)
        self.position = _whole(fields, "position")
        self.stream = _text(fields, "stream")
        self.version = _whole(fields, "version")
        self.topic = _text(fields, "topic")
        self.recorded_at = _whole(fields, "recorded_at")
        self.state = _base64(fields.get("state"), "the event's state")
        self.event_id = _base64_or_none(fields, "event_id")
        self.metadata = _base64_or_none(fields, "metadata")

    def leaf(self) -> bytes:
        """The hash of the event in the tree."""
        parts = [
            b"\x00",
            _field(struct.pack(">q", self.position)),
            _field(self.stream.encode()),
            _field(struct.pack(">q", self.version)),
            _field(self.topic.encode()),
            _field(self.event_id),
            _field(struct.pack(">q", self.recorded_at)),
            _field(self.metadata),
            _field(self.state),
        ]
        return hashlib.sha256(b"".join(parts)).digest()

    @property
    def time(self) -> str:
        """When it was recorded, UTC."""
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        try:
            return (epoch + timedelta(microseconds=self.recorded_at)).isoformat()
        except OverflowError:
            return f"{self.recorded_at} µs after 1970"


def _field(data: bytes | None) -> bytes:
    if data is None:
        return b"\xff\xff\xff\xff"
    return struct.pack(">I", len(data)) + data


def _only(fields: dict[str, object], names: frozenset[str]) -> None:
    """Refuses fields that are not proved: readers would take them for proved."""
    if more := fields.keys() - names:
        raise NotProved(f"it has fields that are not proved: {sorted(more)!r:.80}")


def _whole(fields: dict[str, object], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise NotProved(f"{name} is not a whole number of 64 bits: {value!r:.80}")
    return value


def _is_surrogate(char: str) -> bool:
    """Whether it is half of a character, which JSON can contain but no encoding can express."""
    return "\ud800" <= char <= "\udfff"


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or any(map(_is_surrogate, value)):
        raise NotProved(f"{name} is not text: {value!r:.80}")
    return value


def _base64_or_none(fields: dict[str, object], name: str) -> bytes | None:
    return None if fields.get(name) is None else _base64(fields[name], f"the event's {name}")


# --- the part of msgpack that runlore writes ---------------------------------------------------


def unpack(data: bytes) -> object:
    """The single value in the bytes. Raises ValueError for anything else."""
    value, end = _unpack(data, 0, 0)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes follow the value")
    return value


_SIZED = {  # First byte: (kind, bytes of the length)
    0xC4: ("bin", 1),
    0xC5: ("bin", 2),
    0xC6: ("bin", 4),
    0xD9: ("str", 1),
    0xDA: ("str", 2),
    0xDB: ("str", 4),
    0xDC: ("array", 2),
    0xDD: ("array", 4),
    0xDE: ("map", 2),
    0xDF: ("map", 4),
}
_NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def _unpack(data: bytes, at: int, depth: int) -> tuple[object, int]:
    if at >= len(data):
        raise ValueError("the bytes end within a value")
    if depth > MAX_DEPTH:
        raise ValueError(f"values are nested more than {MAX_DEPTH} deep")
    first = data[at]
    at += 1
    if first < 0x80:
        return first, at
    if first >= 0xE0:
        return first - 0x100, at
    if first in _CONSTANTS:
        return _CONSTANTS[first], at
    if first in _NUMBERS:
        form = struct.Struct(_NUMBERS[first])
        return form.unpack(_take(data, at, form.size))[0], at + form.size
    if first < 0x90:
        return _unpack_map(data, at, first & 0x0F, depth)
    if first < 0xA0:
        return _unpack_array(data, at, first & 0x0F, depth)
    if first < 0xC0:
        kind, length = "str", first & 0x1F
    elif first in _SIZED:
        kind, nbytes = _SIZED[first]
        length = int.from_bytes(_take(data, at, nbytes), "big")
        at += nbytes
    else:
        raise ValueError(f"runlore never writes values that begin with {first:#x}")
    if kind == "map":
        return _unpack_map(data, at, length, depth)
    if kind == "array":
        return _unpack_array(data, at, length, depth)
    content = _take(data, at, length)
    return (content.decode() if kind == "str" else content), at + length


def _take(data: bytes, at: int, nbytes: int) -> bytes:
    if at + nbytes > len(data):
        raise ValueError("the bytes end within a value")
    return data[at : at + nbytes]


def _unpack_array(data: bytes, at: int, length: int, depth: int) -> tuple[object, int]:
    values = []
    for _ in range(length):
        value, at = _unpack(data, at, depth + 1)
        values.append(value)
    return values, at


def _unpack_map(data: bytes, at: int, length: int, depth: int) -> tuple[object, int]:
    values: dict[object, object] = {}
    for _ in range(length):
        key, at = _unpack(data, at, depth + 1)
        if isinstance(key, (list, dict)):
            raise ValueError("a key is an array or a map")
        values[key], at = _unpack(data, at, depth + 1)
    return values, at


# --- proofs -------------------------------------------------------------------------------


def verify_proof(document: object, keys: list[VerifierKey]) -> list[str]:
    """Sentences about what was proved. Raises NotProved if nothing was.

    With `keys`, each checkpoint must be signed by one of them; without keys, the sentences say
    that nobody vouches for the checkpoint.
    """
    if not isinstance(document, dict):
        raise NotProved("this is not a proof: it is not a JSON object")
    kind, version = document.get("runlore_proof"), document.get("format")
    if type(version) is not int or version != 1 or kind not in ("inclusion", "consistency"):
        raise NotProved("this is not a known proof (inclusion or consistency, format 1)")
    _only(document, INCLUSION if kind == "inclusion" else CONSISTENCY)
    given = document.get("path")
    if not isinstance(given, list) or len(given) > 128:
        raise NotProved("the proof has no path, or one longer than any tree is high")
    path = [_base64(node, "a node of the path") for node in given]
    if any(len(node) != 32 for node in path):
        raise NotProved("a node of the path does not have 32 bytes")
    if kind == "inclusion":
        return _inclusion(document, path, keys)
    return _consistency(document, path, keys)


def _inclusion(
    document: dict[str, object], path: list[bytes], keys: list[VerifierKey]
) -> list[str]:
    event = Event(document.get("event"))
    checkpoint = Checkpoint(_text(document, "checkpoint"))
    index = _whole(document, "index")
    if index != event.position - 1:
        raise NotProved(f"index {index} does not belong to position {event.position}")
    check_inclusion(index, checkpoint.size, event.leaf(), path, checkpoint.root)
    return [
        f"This event is number {index + 1} of the {checkpoint.size} events of the log "
        f"{_printable(checkpoint.origin)}, and was not changed since the checkpoint was made:",
        *_described(event),
        _vouched(checkpoint, keys),
    ]


def _consistency(
    document: dict[str, object], path: list[bytes], keys: list[VerifierKey]
) -> list[str]:
    earlier = Checkpoint(_text(document, "earlier"))
    later = Checkpoint(_text(document, "later"))
    if earlier.origin != later.origin:
        origins = f"{_printable(earlier.origin)} and {_printable(later.origin)}"
        raise NotProved(f"the checkpoints are of two logs: {origins}")
    check_consistency(earlier.size, earlier.root, later.size, later.root, path)
    added = later.size - earlier.size
    return [
        f"The log {_printable(later.origin)} of {later.size} events begins with exactly the "
        f"{earlier.size} events of the earlier checkpoint: since then {added} were added, "
        "and none was changed, removed or moved.",
        f"Of the earlier checkpoint: {_vouched(earlier, keys)}",
        f"Of the later checkpoint: {_vouched(later, keys)}",
    ]


def _described(event: Event) -> list[str]:
    lines = [
        f"  what      {_printable(event.topic)}",
        f"  where     {_printable(event.stream)}, version {event.version}",
        f"  position  {event.position}",
        f"  recorded  {event.time}",
    ]
    for name, packed in (("envelope", event.metadata), ("data", event.state)):
        if packed is not None:
            lines.append(f"  {name:9} {_shown(packed)}")
    return lines


def _printable(text: str) -> str:
    """The text without characters that could make a terminal show something else."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _shown(packed: bytes) -> str:
    if len(packed) > MAX_UNPACKED:  # A forged one could unpack to a hundred times as much.
        return f"{len(packed)} bytes, covered by the proof, and too many to show here"
    try:
        text = repr(unpack(packed))
    except (ValueError, RecursionError) as error:
        return f"{len(packed)} bytes, covered by the proof but not readable here ({error})"
    if len(text) > MAX_SHOWN:
        return f"{text[:MAX_SHOWN]}... ({len(packed)} bytes in all)"
    return text


def _vouched(checkpoint: Checkpoint, keys: list[VerifierKey]) -> str:
    root = base64.b64encode(checkpoint.root).decode()
    claimed = _printable(", ".join(checkpoint.signers)) or "nobody"
    if not keys:
        return (
            f"NO KEY WAS GIVEN, so nobody vouches for the root {root} (it claims to be signed by "
            f"{claimed}): compare it with a root that you have from elsewhere."
        )
    signed = checkpoint.signed_by(keys)
    if not signed:
        raise NotProved(
            "the checkpoint is not signed by any of the given keys; it claims to be signed by "
            f"{claimed}"
        )
    names = " and ".join(f"{key.name} (key {key.key_id.hex()})" for key in signed)
    return f"The checkpoint (root {root}) is signed by {names}."


def parse_proof(text: str) -> object:
    """The JSON of a proof. Raises ValueError if it is malformed or has duplicate names.

    Readers differ in which of two fields with the same name they take; all must see the same.
    """
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("it has duplicate names")
    return fields


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Verify a runlore proof, without runlore.")
    parser.add_argument("proof", help="the proof, a JSON file")
    trust = parser.add_mutually_exclusive_group(required=True)
    trust.add_argument(
        "--key", action="append", default=[], help="a verifier key that you trust; repeatable"
    )
    trust.add_argument(
        "--no-key", action="store_true", help="verify the tree only, not who vouches for it"
    )
    given = parser.parse_args(arguments)
    try:
        with open(given.proof, encoding="utf-8") as file:
            document = parse_proof(file.read())
        lines = verify_proof(document, [VerifierKey.parse(text) for text in given.key])
    except (OSError, ValueError, RecursionError) as error:
        text = _printable(f"NOT PROVED: cannot read {given.proof}: {error}")
        sys.stderr.write(f"{text}\n")
        return 1
    except NotProved as error:
        sys.stderr.write(f"{_printable(f'NOT PROVED: {error}')}\n")
        return 1
    sys.stdout.write("\n".join(["PROVED.", *map(_printable, lines), ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

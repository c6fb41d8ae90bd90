"""Payloads sealed under a run's own key: destroying the key destroys the payloads.

Only an event's `state` is sealed (AES-256-GCM: a fresh nonce, then the ciphertext with its tag). It
is bound to its stream, version and topic, and does not open in another place. The leaf covers the
stored bytes, so a log verifies with or without its keys.
"""

from __future__ import annotations

import os
from typing import Final

import msgpack

from runlore.domain.events import RunErased
from runlore.domain.ids import run_id_of

KEY_NBYTES: Final = 32
NONCE_NBYTES: Final = 12
NO_KEY: Final = bytes(KEY_NBYTES)
"""Overwrites the key of an erased run."""


def new_key() -> bytes:
    """A fresh random key."""
    return os.urandom(KEY_NBYTES)


def is_sealed(stream: str, topic: str) -> bool:
    """Whether an event's payload is sealed: true for all events of runs except `run.erased`."""
    return run_id_of(stream) is not None and topic != RunErased.topic


class Cipher:
    """Seals and opens payloads under one key."""

    def __init__(self, key: bytes) -> None:
        # Imported here: only erasable workspaces need it.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._aead = AESGCM(key)
        self._errors = (InvalidTag, ValueError)

    def seal(self, stream: str, version: int, topic: str, state: bytes) -> bytes:
        """The state, sealed for this place."""
        nonce = os.urandom(NONCE_NBYTES)
        return nonce + self._aead.encrypt(nonce, state, _place(stream, version, topic))

    def unseal(self, stream: str, version: int, topic: str, sealed: bytes) -> bytes:
        """The state again. Raises ValueError if it was not sealed for this place with this key."""
        nonce, state = sealed[:NONCE_NBYTES], sealed[NONCE_NBYTES:]
        try:
            return self._aead.decrypt(nonce, state, _place(stream, version, topic))
        except self._errors as error:
            raise ValueError(
                f"{len(sealed)} bytes do not open with the key of their run"
            ) from error


def _place(stream: str, version: int, topic: str) -> bytes:
    place: bytes = msgpack.packb((stream, version, topic))
    return place

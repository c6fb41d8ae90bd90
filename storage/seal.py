"""Payloads sealed under a run's own key: what they say is gone when the key is.

Of an event only `state` is sealed (AES-256-GCM: a fresh nonce, then the ciphertext with its tag),
and it is bound to its stream, version and topic: moved to another place it does not open. The leaf
is made over what is stored, so a log verifies whether its keys are there or not.
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
"""What stands where the key of an erased run stood."""


def new_key() -> bytes:
    """A fresh random key."""
    return os.urandom(KEY_NBYTES)


def is_sealed(stream: str, topic: str) -> bool:
    """Whether an event's payload is sealed: those of runs are, but for the one that they end in."""
    return run_id_of(stream) is not None and topic != RunErased.topic


class Cipher:
    """What seals and opens under one key."""

    def __init__(self, key: bytes) -> None:
        # Imported here: only erasable workspaces need it.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._aead = AESGCM(key)
        self._errors = (InvalidTag, ValueError)

    def seal(self, stream: str, version: int, topic: str, state: bytes) -> bytes:
        """The state as it is stored at this place."""
        nonce = os.urandom(NONCE_NBYTES)
        return nonce + self._aead.encrypt(nonce, state, _place(stream, version, topic))

    def unseal(self, stream: str, version: int, topic: str, sealed: bytes) -> bytes:
        """The state that is stored at this place. Raises ValueError if it was not sealed for it."""
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

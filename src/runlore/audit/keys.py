"""Keys that sign checkpoints: making them, keeping them in private files, and reading them.

The text form of a key is that of Go's `sumdb/note`, which other transparency tools read.
"""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runlore.audit.offline import ED25519, NotProved, VerifierKey
from runlore.audit.small_text import read_text
from runlore.domain.errors import AlreadyExists, UserError
from runlore.domain.visible_text import visible
from runlore.engine.caller_warning import warn_caller
from runlore.storage.log_opener import LOG_NAME

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from runlore.storage.held_path import AnyPath

_PREFIX: Final = "PRIVATE+KEY+"


class BadKey(UserError):
    """A file without a valid key, or with one that others may read; nothing was signed."""


class SigningKey:
    """A private Ed25519 key, named after the origin of the log that it signs for."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = VerifierKey(name, private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """A new key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """The key from its text, `str(key)`. Raises BadKey."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        name, _, rest = text.strip().removeprefix(_PREFIX).partition("+")
        key_hash, _, encoded = rest.partition("+")
        try:
            data = base64.b64decode(encoded, validate=True)
            if not text.startswith(_PREFIX) or data[:1] != ED25519:
                raise ValueError("it does not say that it is an Ed25519 key")
            key = cls(name, Ed25519PrivateKey.from_private_bytes(data[1:]))
        except (ValueError, NotProved) as error:
            raise BadKey(f"not a key of `runlore audit key new`: {error}") from error
        if key_hash != key.verifier.key_id.hex():
            raise BadKey("the key is damaged: its hash does not match")
        return key

    def __str__(self) -> str:
        seed = base64.b64encode(ED25519 + self._private.private_bytes_raw()).decode()
        return f"{_PREFIX}{self.verifier.name}+{self.verifier.key_id.hex()}+{seed}"

    def __repr__(self) -> str:
        return f"<SigningKey of {visible(str(self.verifier))}>"  # Never the secret.

    def signature_of(self, text: str) -> str:
        """The line that signs a note's text with this key."""
        signature = self.verifier.key_id + self._private.sign(text.encode())
        return f"\u2014 {self.verifier.name} {base64.b64encode(signature).decode()}\n"


def new_key(path: Path, name: str) -> SigningKey:
    """Make a key and write it to a new file that only its owner may read.

    Raises AlreadyExists if the file exists: an overwritten key could never sign again.
    """
    key = SigningKey.generate(name)
    for folder in (path.parent.parent, path.parent):  # `parents=True` makes them by the umask.
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise AlreadyExists(
            f"{path} exists already and is not overwritten; name another file for the new key"
        ) from error
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)  # Regardless of the umask.
        file.write(f"{key}\n")
        file.flush()
        os.fsync(file.fileno())
    _warn_in_workspace(path)
    return key


def read_key(path: Path) -> SigningKey:
    """The key in a file. Raises BadKey if it has none, or if others may read or change it.

    Warns if it is in a workspace: who copies or shares that has the key.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, encoding="utf-8") as file:
            _check_private(path, os.fstat(fd))
            key = SigningKey.parse(file.read(1000))
    except (OSError, UnicodeDecodeError) as error:
        raise BadKey(
            f"cannot read the key {path}: {error}; make one with `runlore audit key new`"
        ) from error
    _warn_in_workspace(path)
    return key


def _check_private(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise BadKey(f"{path} is not a file; name the file of a key")
    if found.st_uid != os.geteuid():
        raise BadKey(
            f"{path} belongs to user {found.st_uid}, and this is user {os.geteuid()}; nothing was "
            "signed: use a key of your own"
        )
    if mode & 0o077:
        raise BadKey(
            f"{path} has the mode {mode:04o}, so others may read the key; nothing was "
            f"signed: `chmod 600 {path}`, or make a new key if someone may have read it"
        )


def _warn_in_workspace(path: Path) -> None:
    """Warn if a private key is in a workspace: it goes wherever the workspace goes."""
    for folder in path.resolve().parents:
        if (folder / LOG_NAME).exists():
            warn_caller(
                f"the private key {path} is in the workspace {folder}: whoever gets a copy of the "
                "workspace can sign as you; keep the key elsewhere"
            )
            return


def default_path(origin: str) -> Path:
    """The default file of a log's key: in the user's configuration, not in the workspace."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "runlore" / "keys" / f"{origin.rpartition('/')[2]}.key"


def read_trusted(file: AnyPath) -> list[VerifierKey]:
    """The public keys in a file, one per line. Raises BadKey."""
    try:
        return parse_verifier_keys(read_text(file), file)
    except (OSError, UnicodeDecodeError) as error:
        raise BadKey(f"cannot read the keys in {file}: {error}") from error


def parse_verifier_keys(text: str, where: object) -> list[VerifierKey]:
    """The public keys in a text, one per line; empty lines and `#` comments are skipped."""
    lines = [line.strip() for line in text.splitlines()]
    try:
        return [VerifierKey.parse(line) for line in lines if line and not line.startswith("#")]
    except NotProved as error:
        raise BadKey(f"{where}: {error}") from error

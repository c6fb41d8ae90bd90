"""The event by which a process introduces itself in the log, before all its other events."""

from __future__ import annotations

import os
import sys

from runlore.domain.errors import InvalidType
from runlore.domain.events import WriterOpened
from runlore.storage.this_process import machine_id, this_process
from runlore.version import VERSION


def actor_named(given: str | None) -> str:
    """The user or service that a process writes for: as given, RUNLORE_ACTOR, or the OS user.

    Raises InvalidType if the given one is not text.
    """
    if given is not None and not isinstance(given, str):
        raise InvalidType(f"actor must be a str, got {given!r:.80}")
    return _utf8(given or os.environ.get("RUNLORE_ACTOR") or _user())


def introduction(actor: str) -> WriterOpened:
    """The event that introduces this process, which writes for the actor."""
    here = this_process()
    return WriterOpened(
        actor=actor,
        host=here.host,
        boot_id=here.boot_id,
        pid=here.pid,
        process=here.program,
        client_version=VERSION,
        started_at=here.started_at or None,
        uid=here.uid,
        machine_id=machine_id(),
        program=_program(),
    )


def _program() -> str | None:
    """The path of the script; None where there is none, as in a shell."""
    if not sys.argv or sys.argv[0] in ("", "-c"):
        return None
    return _utf8(os.path.abspath(sys.argv[0]))


def _utf8(text: str) -> str:
    """The text as valid UTF-8: the log requires it, and the system does not guarantee it."""
    return text.encode("utf-8", "replace").decode()


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # A container's user id often has no name.
        return f"uid {os.getuid()}"

"""The targets that this user trusts: those attached by the user, or trusted afterwards.

A log names targets, with settings, and whoever writes the log chooses them: the address that gets
the user's token, the interpreter and the folder for environments, the package that is imported. So
a target outside of this machine is used only if this user trusts it, with exactly these settings.
That is noted in the user's state, by workspace. A job of the user's on another host, which may have
another state, is told by a variable.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from runlore.domain.compute_target import TargetState
from runlore.storage.log_opener import file_of_log
from runlore.storage.user_cache import key_of_log
from runlore.storage.user_state import StateUnusable, state_folder

if TYPE_CHECKING:
    from runlore.engine.session import Session

IN_STATE: Final = "targets"
"""The folder of notes in the user's state."""
HANDED: Final = "RUNLORE_TRUSTED_TARGETS"
"""The variable that tells jobs on other hosts, and their scripts, what their submitter trusts."""
_trusted: Final[set[str]] = set()
"""What this process has noted: it counts where there is no folder for state."""


def trust(session: Session, state: TargetState) -> None:
    """Note that this user trusts a target as it is. Idempotent."""
    name = _name(session, state)
    _trusted.add(name)
    with suppress(OSError, StateUnusable):
        (state_folder(IN_STATE) / name).touch(mode=0o600)


def is_trusted(session: Session, state: TargetState) -> bool:
    """Whether this user trusts a target as it is."""
    if _handed_name(session, state) in os.environ.get(HANDED, "").split():
        return True
    with suppress(OSError, StateUnusable):  # The workspace's folder may be gone.
        name = _name(session, state)
        return name in _trusted or (state_folder(IN_STATE) / name).is_file()
    return False


def handed(session: Session, states: Iterable[TargetState]) -> str:
    """The value of the variable that names those of the workspace's targets that are trusted."""
    return " ".join(_handed_name(session, each) for each in states if is_trusted(session, each))


def _name(session: Session, state: TargetState) -> str:
    """The name of a note. Raises OSError if the workspace's folder is gone."""
    if not session.uri.startswith("sqlite:"):
        return _digest(session.uri, state)
    # Another workspace may take the place of the folder: its path alone would not do.
    workspace = session.require_held()
    return _digest(key_of_log(file_of_log(workspace), session.workspace.workspace_id), state)


def _handed_name(session: Session, state: TargetState) -> str:
    """The name of a target on all hosts, which may know the workspace by other addresses."""
    return _digest(session.workspace.workspace_id, state)


def _digest(where: str, state: TargetState) -> str:
    target = [where, state.name, state.type, dict(state.settings)]
    return sha256(json.dumps(target, sort_keys=True, default=repr).encode()).hexdigest()

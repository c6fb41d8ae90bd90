"""Alerts for a command of the user: as JSON on its stdin, and as environment variables.

There is no shell, so no text of an alert is ever read as one.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress

from runlore.alerts.alert import Alert
from runlore.alerts.delivery import DeliveryFailed
from runlore.domain.errors import InvalidInput


class Command:
    """A command line; its words are separated as in a shell, and nothing else is expanded.

    An alert has arrived when the command ends with exit code 0. After `timeout_s` it is killed,
    with what it started. Raises InvalidInput if the command is not found.
    """

    def __init__(self, line: str, timeout_s: float) -> None:
        try:
            self._words = shlex.split(line)
        except ValueError as error:
            raise InvalidInput(f"--exec has a quote without its partner: {error}") from None
        if not self._words or shutil.which(self._words[0]) is None:
            first = self._words[0] if self._words else ""
            raise InvalidInput(
                f"--exec names no command that can be found: {first!r:.200}; for the language of "
                "a shell write --exec \"sh -c '...'\""
            )
        self._timeout_s = timeout_s
        self.name = os.path.basename(self._words[0])

    def deliver(self, alert: Alert) -> None:
        """Run the command. Raises DeliveryFailed."""
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                env={**os.environ, **alert.variables()},
                start_new_session=True,
            )
        except OSError as error:
            raise DeliveryFailed(f"cannot be started: {error.strerror}") from error
        try:
            process.communicate(alert.json() + b"\n", self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise DeliveryFailed(f"did not end within {self._timeout_s:g} s") from error
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode < 0:
            raise DeliveryFailed(f"was ended by signal {-process.returncode}")
        if process.returncode > 0:
            raise DeliveryFailed(f"ended with exit code {process.returncode}")

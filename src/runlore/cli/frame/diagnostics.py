"""The messages of a command line on stderr other than errors."""

from __future__ import annotations

import click


class Diagnostics:
    """What --debug and --verbose ask for; a single object per command line.

    `owns_process` says that the process does nothing but this command.
    """

    def __init__(self, *, owns_process: bool = False) -> None:
        self.debug = False
        self.verbose = False
        self.owns_process = owns_process

    def say(self, text: str) -> None:
        """Print the text if --verbose or --debug was given."""
        if self.verbose or self.debug:
            click.echo(text, err=True)

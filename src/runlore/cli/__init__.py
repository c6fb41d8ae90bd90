"""The command line `runlore`, described in docs/cli.md."""

from runlore.cli.app import main as main

__all__ = ["main"]

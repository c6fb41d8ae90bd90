"""The command line `runlore`; see docs/cli.md. Nothing in the SDK imports it."""

from runlore.cli.app import main as main

__all__ = ["main"]

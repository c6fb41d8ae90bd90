"""The place where packages that bring commands find `unguarded`."""

from runlore.cli.frame.guard import unguarded as unguarded

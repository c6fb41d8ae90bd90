"""Occasions to tell people of, found in the log and delivered to a command or a webhook."""

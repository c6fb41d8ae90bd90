"""Commands over the log itself: its events, and what changed between two moments."""

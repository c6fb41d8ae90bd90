"""What happened to a run and what may happen to it: events and pure decisions."""

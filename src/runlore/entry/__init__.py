"""The ways into runlore, and the wiring."""

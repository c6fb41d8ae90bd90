"""One run of an open workspace: its state, its changes, its files and its values."""

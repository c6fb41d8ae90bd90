"""What every command runs in: guarded streams, and messages about the command itself."""

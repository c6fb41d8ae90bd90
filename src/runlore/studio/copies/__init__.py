"""Read-only copies of chosen runs: folders that a browser opens from disk."""

"""Submitted runs: targets place them, and one supervisor per run executes its script."""

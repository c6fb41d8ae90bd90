"""Runs as people look at them: what pages show beyond single reads."""

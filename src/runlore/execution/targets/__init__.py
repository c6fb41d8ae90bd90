"""Compute targets: the places where submitted runs execute."""

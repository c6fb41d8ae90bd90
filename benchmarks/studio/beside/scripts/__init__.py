"""A training script for each tool; each is imported in the tool's own environment only."""

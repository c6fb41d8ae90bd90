"""One module per tracker; each is imported in the tracker's own environment only."""

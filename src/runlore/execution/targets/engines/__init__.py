"""Engines: schedulers of clusters that place the supervisors of submitted runs."""

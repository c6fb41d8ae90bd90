"""Tests against a real Slurm: `make test-slurm`."""

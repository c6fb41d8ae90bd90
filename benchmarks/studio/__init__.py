"""How long people wait for the Studio, in a real browser: `python -m benchmarks.studio`."""

"""The facts that notebooks show of runs and experiments, which `runlore.shown` draws."""

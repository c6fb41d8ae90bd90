"""How costs grow with the number of runs and of points: curves, and whether they are too steep."""

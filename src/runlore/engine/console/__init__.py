"""What the processes of runs print, kept while they go on, whatever becomes of the keeping."""

"""What the end of a process means for runs: this process's own end, and the deaths of others."""

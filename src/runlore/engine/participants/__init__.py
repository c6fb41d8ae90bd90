"""Who takes part in runs: this process, others, and those that left an end in their spools."""

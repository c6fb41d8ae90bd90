"""The end of the process: how it is noticed, what it was, and what it means for runs."""

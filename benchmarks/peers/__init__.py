"""Other trackers beside runlore, each in an environment of its own, asked for the same things."""

"""Events of a log in one file, with their proof."""

"""The pages: one shell for all paths, with its first answers, and the files that make it."""

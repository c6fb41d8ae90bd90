"""How a script would run, as data and as files."""

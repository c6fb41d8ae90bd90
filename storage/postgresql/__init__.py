"""A log in a PostgreSQL database, for workspaces of many hosts."""

"""What runlore costs, as ratios to raw sqlite3 and raw DuckDB in the same run."""

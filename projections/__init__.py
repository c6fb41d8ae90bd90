"""DuckDB tables made from the log, and the queries over them."""

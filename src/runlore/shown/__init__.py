"""The looks of runs, tables and curves, made of plain data alone, without a log or a database."""

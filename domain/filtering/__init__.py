"""The filter language: conditions over runs as text, see docs/filters.md."""

"""The places where submitted runs execute."""

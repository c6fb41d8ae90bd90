"""What the log proves: what was recorded, and that what is shown is just that."""

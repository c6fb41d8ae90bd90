"""What the log proves: who did what, that what is shown is just that, and what is shown no more."""

"""What one open workspace can do, in runlore's own words."""

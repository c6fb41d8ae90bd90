"""What a run knows about itself without being asked."""

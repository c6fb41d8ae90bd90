"""Who may look and change: hosts, origins, tokens, and the users whom the kernel names."""

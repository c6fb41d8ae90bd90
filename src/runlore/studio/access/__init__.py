"""Who may look and change: hosts, origins, tokens, roles and the kernel's word on peers."""

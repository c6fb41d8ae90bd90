"""Where submitted runs execute: targets start and stop them, and a supervisor runs each one."""

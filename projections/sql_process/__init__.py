"""SQL of users in a process of its own, whose time and memory are limited whatever it does."""

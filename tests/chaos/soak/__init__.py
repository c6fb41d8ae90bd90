"""A soak: many processes use one workspace while they are killed, stopped and starved of room.

    python -m tests.chaos.soak --seconds 600 --seed 0

The `conductor` starts real processes (`process`): writers and ranks (`training`), readers
(`watching`). Each writes to a `ledger` outside of the workspace what it begins and what has
returned. At the end the `accountant`, a process of its own, compares the ledgers with the
workspace.
"""

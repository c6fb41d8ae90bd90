"""Who did what, what was shown, and what is to be seen no more: corrections, proofs, erasure."""

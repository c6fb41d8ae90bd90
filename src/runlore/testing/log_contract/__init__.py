"""The parts of the contract suite of recorders."""

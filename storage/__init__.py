"""The append-only log: recorders, codecs and the store of artifacts."""

"""Azure's shapes: the arguments that come in, and the documents that go out."""

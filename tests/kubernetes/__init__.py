"""The example of a third kind of target, against a stub of the Kubernetes API."""

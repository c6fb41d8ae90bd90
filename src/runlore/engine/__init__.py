"""The operations on an open workspace, independent of Azure's API."""

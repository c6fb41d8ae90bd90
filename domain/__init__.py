"""The events of a workspace, and the pure decisions and folds over them."""

"""The questions that pages ask, as JSON over HTTP."""

"""Azure's telemetry, inert: runlore sends nothing anywhere, whatever is set here."""

from __future__ import annotations

import logging
from typing import Final

INSTRUMENTATION_KEY: Final = ""


def set_diagnostics_collection(
    send_diagnostics: bool = True,
    verbosity: int = logging.INFO,
    reason: str = "",
    path: object = None,
) -> None:
    """Do nothing: no diagnostics are collected."""


def get_telemetry_log_handler(
    instrumentation_key: object = None,
    component_name: object = None,
    path: object = None,
    proceed_in_hbi_mode: bool = False,
) -> logging.Handler:
    """A handler that drops what it gets."""
    return logging.NullHandler()

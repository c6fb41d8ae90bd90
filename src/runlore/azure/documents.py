"""A run as Azure ML's nested documents: `get_details()`, its error and definition.

The keys are camelCase. For flat records in snake_case, see `runlore.azure.records`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runlore.domain.fact import utc_time

if TYPE_CHECKING:
    from runlore.domain.run_state import RunState


def azure_time(microseconds: int | None) -> str | None:
    """A time in the format of Azure ML's documents, `2026-01-01T00:00:00.000000Z`."""
    if microseconds is None:
        return None
    return utc_time(microseconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def details_of(state: RunState, *, log_files: dict[str, str], submitted_by: str) -> dict[str, Any]:
    """The document of `get_details()`; keys whose value is None are left out."""
    details: dict[str, Any] = {
        "runId": state.run_id,
        "target": state.target or "local",
        "status": str(state.status),
        "startTimeUtc": azure_time(state.started_at),
        "endTimeUtc": azure_time(state.ended_at),
        "services": {},
        "error": {"error": root_error(state.error)} if state.error is not None else None,
        "warnings": [warning._asdict() for warning in state.warnings] or None,
        "properties": {key: current.value for key, current in state.properties.items()},
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": definition_document(state.definition, state.target, state.repeats),
        "logFiles": log_files,
        "submittedBy": submitted_by,
    }
    return {key: value for key, value in details.items() if value is not None}


def definition_document(
    definition: Mapping[str, Any] | None, target: str | None, repeats: str | None
) -> dict[str, Any] | None:
    """The definition of a submitted run, as in `get_details()["runDefinition"]`."""
    if definition is None:
        return None
    return {**definition, "target": target, "repeats": repeats}


def root_error(error: Any) -> dict[str, Any]:
    """A recorded error, as in `get_details()["error"]["error"]`."""
    root: dict[str, Any] = {key: error[key] for key in ("code", "message") if key in error}
    debug = {
        shown: error[key]
        for key, shown in (
            ("debug_type", "type"),
            ("debug_message", "message"),
            ("debug_stack_trace", "stackTrace"),
        )
        if key in error
    }
    if debug:
        root["debugInfo"] = debug
    return root

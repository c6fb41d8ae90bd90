"""A run as Azure ML's nested documents: `get_details()`, its error and definition.

The keys are camelCase. For flat records in snake_case, see `runlore.azure.records`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from runlore.domain.errors import InvalidType
from runlore.domain.fact import utc_time

if TYPE_CHECKING:
    from runlore.domain.run_state import RunState

_ERROR_MAX_CHARS: Final = 100_000


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


def error_document(
    error_details: str | BaseException | None, error_code: str | None
) -> dict[str, str]:
    """The error that `fail()` records. Raises InvalidType for details of another type.

    The texts of an exception are made storable, so that any exception can be recorded.
    """
    if error_details is None:
        return {"code": error_code or "UserError"}
    if isinstance(error_details, str):
        return {"code": error_code or "UserError", "message": error_details}
    if not isinstance(error_details, BaseException):
        raise InvalidType(
            "error_details must be a str or an exception, got "
            f"{type(error_details).__name__} {error_details!r:.80}"
        )
    import traceback  # Imported here: most processes never need it, and it is slow to load.

    kind, text = type(error_details).__name__, _text_of(error_details)
    return {
        "code": error_code or "UserError",
        "message": _storable(f"User program failed with {kind}: {text}"),
        "debug_type": kind,
        "debug_message": _storable(text),
        "debug_stack_trace": _storable("".join(traceback.format_exception(error_details))),
    }


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "<exception str() failed>"  # As the interpreter prints it.


def _storable(text: str) -> str:
    """The text as valid UTF-8; the middle of a long text is left out."""
    if len(text) > _ERROR_MAX_CHARS:
        half = _ERROR_MAX_CHARS // 2
        text = f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()


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

"""What a run records of the error that ended it."""

from __future__ import annotations

from typing import Final

from runlore.domain.errors import InvalidType

_ERROR_MAX_CHARS: Final = 100_000


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

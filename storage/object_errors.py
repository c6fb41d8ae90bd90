"""Errors of object stores in our words: what was asked, what was answered, what to do.

The library's own messages never leave this module: a store's answer to a request with a wrong
signature repeats the key and what was signed.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from runlore.domain.errors import RunloreError, UserError

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
_REFUSED: Final = ("401", "403")
_NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound")
_CREDENTIALS: Final = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


class Trouble(StrEnum):
    """Why a store cannot be used."""

    REFUSED = "refused"
    NO_BUCKET = "no bucket"
    SILENT = "silent"
    FORKED = "forked"


class StoreUnavailable(RunloreError, OSError):
    """An object store refuses, is not there, or does not answer; `trouble` says which."""

    def __init__(self, location: str, trouble: Trouble, problem: str, advice: str) -> None:
        super().__init__(f"the store {location} cannot be used: {problem}; {advice}")
        self.location = location
        self.trouble = trouble


class StoreLibraryMissing(UserError):
    """The library that speaks with object stores is not installed."""

    def __init__(self, location: str) -> None:
        super().__init__(
            f"the files of this workspace are in {location}, and the library for object stores is "
            "not installed; run `pip install 'runlore[cloud]'`"
        )


def is_missing(error: Exception) -> bool:
    """Whether the library says that there is no such object, in a bucket that is there."""
    return isinstance(error, FileNotFoundError) and _code(error) not in _NO_BUCKET


def is_replaced(error: Exception) -> bool:
    """Whether the library says that the object is not the one that was meant."""
    return type(error).__name__ == "PreconditionError"


def is_out_of_range(error: Exception) -> bool:
    """Whether the library says that the object has no such bytes: it is empty, perhaps."""
    return _status(error) == "416"


def explained_fault(location: str, error: Exception) -> StoreUnavailable:
    """What an error of the library means."""
    scheme, answer = location.partition(":")[0], _answer(error)
    if _code(error) in _NO_BUCKET:
        return StoreUnavailable(
            location,
            Trouble.NO_BUCKET,
            f"there is no such bucket{answer}",
            "make the bucket, or correct the address in your settings",
        )
    name = type(error).__name__
    if _status(error) in _REFUSED or name in ("PermissionDeniedError", "UnauthenticatedError"):
        return StoreUnavailable(
            location,
            Trouble.REFUSED,
            f"it refuses this user's credentials{answer}",
            f"check {_CREDENTIALS[scheme]}, and that they permit to list, read, write and delete "
            "there; see docs/files.md",
        )
    return StoreUnavailable(
        location,
        Trouble.SILENT,
        f"it gave no useful answer, and was asked several times{answer}",
        "check the network and the address, and try again; RUNLORE_STORE_TIMEOUT_S says for how "
        "long it is asked",
    )


def after_fork(location: str) -> StoreUnavailable:
    """The error of a forked process, where the library's threads are missing."""
    return StoreUnavailable(
        location,
        Trouble.FORKED,
        "this process was forked from one that had used it, and its library does not survive that",
        "start processes with multiprocessing's method 'spawn' or 'forkserver'",
    )


def _answer(error: Exception) -> str:
    found = " ".join(filter(None, (_status(error), _code(error))))
    return f" ({found})" if found else ""


def _status(error: Exception) -> str | None:
    match = _STATUS.search(str(error))
    return None if match is None else match[1]


def _code(error: Exception) -> str | None:
    match = _CODE.search(str(error))
    return None if match is None else match[1]

"""Opening an object store with the credentials that its own conventions give.

Nothing of this is recorded. The library reads the environment, the instance's own role, and for
Google and Azure the files of their tools; profiles of AWS are read by boto3.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from obstore.store import AzureStore, GCSStore, S3Store

from runlore.domain.errors import UserError
from runlore.storage.object_errors import after_fork

if TYPE_CHECKING:
    from obstore.store import ObjectStore, S3Credential

    from runlore.storage.object_places import ObjectPlace

TIMEOUT_VARIABLE: Final = "RUNLORE_STORE_TIMEOUT_S"
_TIMEOUT_S: Final = 60.0
_RETRIES_MAX: Final = 8
_KEYS_LAST: Final = timedelta(minutes=30)
"""After that, botocore is asked again, which renews keys that expire."""


class ObjectClient:
    """A store of the library, opened when it is first used, and never across a fork."""

    # The library has one pool of threads per process. After a fork, every call of the child would
    # wait for them for ever.
    _process: int | None = None

    def __init__(self, place: ObjectPlace) -> None:
        self._place = place
        self._store: ObjectStore | None = None

    def store(self) -> ObjectStore:
        """The store. Raises StoreUnavailable after a fork, UserError."""
        if ObjectClient._process not in (None, os.getpid()):
            raise after_fork(str(self._place))
        if self._store is None:
            self._store = _opened(self._place)
        ObjectClient._process = os.getpid()
        return self._store


def timeout_s() -> float:
    """For how long a store is asked, in seconds: RUNLORE_STORE_TIMEOUT_S, or 60."""
    given = os.environ.get(TIMEOUT_VARIABLE, "")
    try:
        return max(0.1, float(given)) if given else _TIMEOUT_S
    except ValueError:
        raise UserError(
            f"{TIMEOUT_VARIABLE} is {given!r:.80}; give a number of seconds, such as 60"
        ) from None


def _opened(place: ObjectPlace) -> ObjectStore:
    kinds: dict[str, Callable[..., ObjectStore]] = {
        "s3": S3Store,
        "gs": GCSStore,
        "az": AzureStore,
    }
    limit, endpoint = timedelta(seconds=timeout_s()), ""
    options: dict[str, Any] = {  # Any: each store has a type of options of its own.
        "prefix": place.prefix or None,
        "client_options": {"timeout": limit, "connect_timeout": min(limit, timedelta(seconds=5))},
        "retry_config": {
            "max_retries": _RETRIES_MAX,
            "retry_timeout": limit,
            "backoff": {
                "init_backoff": timedelta(seconds=0.1),
                "max_backoff": timedelta(seconds=5),
                "base": 2,
            },
        },
    }
    if place.scheme == "s3":
        options |= _options_of_aws(str(place))
        endpoint = options.get("endpoint", "")
    if place.scheme == "gs":
        endpoint = _endpoint_of_google()
    # Named by this user: the server of a laboratory, say.
    options["client_options"]["allow_http"] = endpoint.startswith("http://")
    try:
        return kinds[place.scheme](place.bucket, **options)
    except Exception as error:
        # The library's message may repeat a key.
        raise UserError(
            f"the settings for {place} cannot be used ({type(error).__name__}); check the "
            "variables of its credentials, see docs/files.md"
        ) from None


def _endpoint_of_google() -> str:
    """The server that this user's settings name in place of Google's own; "" for that one."""
    named = os.environ.get("GOOGLE_BASE_URL", "")
    account = os.environ.get("GOOGLE_SERVICE_ACCOUNT")
    if named or not account:
        return named
    with suppress(OSError, ValueError, AttributeError):  # The library says what is wrong with it.
        return str(json.loads(Path(account).read_bytes()).get("gcs_base_url") or "")
    return ""


def _options_of_aws(location: str) -> dict[str, Any]:
    """What the library does not find by itself: the endpoint and the keys of profiles."""
    found: dict[str, Any] = {}
    if os.environ.get("AWS_ACCESS_KEY_ID") is None and _has_profiles():
        found |= _options_of_profile(location)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        found["endpoint"] = endpoint
    return found


def _has_profiles() -> bool:
    if os.environ.get("AWS_PROFILE"):
        return True
    home = Path(os.path.expanduser("~"), ".aws")
    files = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials",
        os.environ.get("AWS_CONFIG_FILE") or home / "config",
    )
    return any(map(os.path.exists, files))


class _ProfileKeys:
    """Asks a profile for keys whenever the library needs new ones; it shows none of them."""

    def __init__(self, credentials: Any) -> None:  # Any: botocore ships no types.
        if credentials is None:
            raise ValueError("the profile has no keys")
        self._credentials = credentials

    def __call__(self) -> S3Credential:
        keys = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": datetime.now(UTC) + _KEYS_LAST,
        }


def _options_of_profile(location: str) -> dict[str, Any]:
    try:
        import botocore.session
    except ImportError:
        raise UserError(
            f"the credentials for {location} are in a profile of AWS, which boto3 reads; run "
            "`pip install boto3`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None
    try:
        session = botocore.session.Session()
        settings = session.get_scoped_config()
        found = {
            "credential_provider": _ProfileKeys(session.get_credentials()),
            "region": session.get_config_variable("region"),
            "endpoint": settings.get("endpoint_url"),
        }
    except Exception as error:
        raise UserError(
            f"the profile of AWS for {location} cannot be used ({type(error).__name__}); check "
            "AWS_PROFILE, and run `aws sts get-caller-identity`"
        ) from None
    return {name: option for name, option in found.items() if option is not None}

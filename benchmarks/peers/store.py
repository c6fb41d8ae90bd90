"""What a tracker must offer to be measured: one small interface, in the words of no tracker.

Imports nothing but the standard library: it is also loaded in the peers' own environments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path


class NotOffered(Exception):
    """The tracker has no such operation; the message says what it lacks."""


class OpenRun(ABC):
    """A run that is being logged into."""

    id: str
    """By which any process finds it again."""

    @abstractmethod
    def log(self, name: str, value: float, step: int) -> None:
        """Logs one value, as a training loop would."""

    @abstractmethod
    def end(self) -> None:
        """Ends the run as its documentation says; all its values shall be safe then."""

    def log_dict(self, values: Mapping[str, float], step: int) -> None:
        """Logs several metrics at one step in the tracker's own way, or one after the other."""
        for name, value in values.items():
            self.log(name, value, step)

    def log_series(self, name: str, values: Sequence[float]) -> None:
        """Logs many values of one metric in the fastest way that is offered to users."""
        for step, value in enumerate(values):
            self.log(name, value, step)


class Store(ABC):
    """A tracker over one folder. The constructor opens it, and makes it if it is not there."""

    @abstractmethod
    def __init__(self, folder: Path) -> None: ...

    @abstractmethod
    def start(self, tags: Mapping[str, str]) -> OpenRun:
        """Starts a run that has these tags (or what the tracker has of the kind)."""

    @abstractmethod
    def read(self, run_id: str, name: str) -> Sequence[float]:
        """All values of a series in their order; none if there is no such run or metric."""

    def make_children(self, count: int) -> None:
        """Makes child runs of one parent. Raises NotOffered."""
        raise NotOffered("it has no child runs")

    def tagged(self, key: str, value: str) -> int:
        """How many runs have the tag, found and made into objects. Raises NotOffered."""
        raise NotOffered("it has no search for runs")

    def settle(self) -> None:  # noqa: B027  (most have nothing to do)
        """Does what the tracker's server does in the background before runs can be found."""

    def close(self) -> None:  # noqa: B027  (most have nothing to close)
        """Lets go of the folder."""

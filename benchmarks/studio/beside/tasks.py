"""The ten tasks, and the most actions that each may take in the Studio."""

from __future__ import annotations

from typing import Final, NamedTuple


class Task(NamedTuple):
    key: str
    what: str
    most: int


TASKS: Final = (
    Task("best", "best run by least val_loss among model = resnet", 2),
    Task("why", "why a run failed", 1),
    Task("live", "live loss of the newest run", 1),
    Task("differences", "only the differences of two runs", 3),
    Task("seeds", "mean ± standard deviation over seeds", 2),
    Task("since", "what changed since yesterday", 1),
    Task("csv", "the table as CSV", 1),
    Task("link", "a link to exactly this", 1),
    Task("log", "the end of a log that grows", 1),
    Task("stop", "stop a run", 2),
)

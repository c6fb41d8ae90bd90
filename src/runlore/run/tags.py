"""What is said of a run: tags, which may change, properties, which may not, and alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from runlore.azure.arguments import as_pairs
from runlore.domain.fact import utc_time
from runlore.domain.text import check_keys
from runlore.run.part import RunPart

_OTHER_LEVELS: Final = {"warn": "warning", "critical": "error"}


class RunTags(RunPart):
    """The part of `Run` that sets tags and properties, raises alerts, and reads them."""

    @property
    def tags(self) -> dict[str, str | None]:
        """The tags as this object last read them; `get_tags()` reads them again."""
        return dict(self._handle.state.tags)

    @property
    def properties(self) -> dict[str, str | None]:
        """The properties as this object last read them; `get_properties()` reads them again."""
        properties = self._handle.state.properties
        return {key: current.value for key, current in properties.items()}

    def get_tags(self) -> dict[str, str | None]:
        """The run's tags now; a key-only tag has the value None."""
        self._handle.fetch()
        return self.tags

    def get_properties(self) -> dict[str, str | None]:
        """The run's properties now."""
        self._handle.fetch()
        return self.properties

    def tag(self, key: str, value: object = None, *, reason: str | None = None) -> None:
        """Set or replace a tag; without a value, the tag is only a key. See `set_tags`."""
        self.set_tags({key: value}, reason=reason)

    def set_tags(self, tags: Mapping[str, Any], *, reason: str | None = None) -> None:
        """Set or replace tags, all in one commit; other tags stay. Values become text.

        The history shows the `reason`, also of the changes below.
        """
        from runlore.domain.run_commands import (
            SetTags,
        )

        self._handle.change(SetTags(as_pairs(tags, "tag")), reason=reason)

    def remove_tags(self, tags: Sequence[str], *, reason: str | None = None) -> None:
        """Remove tags by key; missing keys are ignored."""
        from runlore.domain.run_commands import (
            RemoveTags,
        )

        self._handle.change(RemoveTags(check_keys(tags, "tag")), reason=reason)

    def add_properties(self, properties: Mapping[str, Any], *, reason: str | None = None) -> None:
        """Add properties, all or none. They never change, unless they are corrected.

        The same value again is a no-op. Raises PropertyConflict (a ServiceException and a
        UserErrorException) if a key already has another value; the history shows the attempt.
        """
        from runlore.domain.run_commands import (
            AddProperties,
        )

        self._handle.change(AddProperties(as_pairs(properties, "property")), reason=reason)

    def correct_property(self, key: str, value: object, *, reason: str) -> None:
        """Replace the wrong value of a property, with the reason.

        The original stays in the history, and in reads as of earlier moments. Runs that have
        ended can be corrected as well. The current value again is a no-op. Raises InvalidInput
        if the run has no such property, or if the reason is empty.
        """
        from runlore.domain.run_commands import (
            CorrectProperty,
        )

        ((key, text),) = as_pairs({key: value}, "property").items()
        self._handle.change(CorrectProperty(key, text, reason), reason=reason)

    def alert(self, title: str, text: str = "", level: object = "info") -> None:
        """Record that the run asks for attention; `level` is "info", "warning" or "error".

        `runlore alert` delivers it to a command or a webhook. Each call is a commit of its own:
        call it on occasions, not at every step. Levels of W&B and trackio are accepted. Raises
        InvalidInput for an unknown level or an empty title.

        >>> from runlore import init
        >>> with init("alerting", workspace=getfixture("tmp_path") / "lab") as run:
        ...     run.alert("loss jumped", "from 0.5 to 7.1 at step 300", level="warning")
        >>> [(alert["level"], alert["title"]) for alert in run.get_alerts()]
        [('warning', 'loss jumped')]
        """
        from runlore.domain.run_commands import (
            Alert,
        )

        self._handle.change(Alert(title, text, _level(level)))

    def get_alerts(self) -> list[dict[str, Any]]:
        """The run's alerts, in order: `time` (aware UTC), `level`, `title`, `text`, `found_by`.

        `found_by` is the `runlore alert` that found the occasion; None for an alert of `alert()`.
        """
        return [
            {
                "time": utc_time(alert.at),
                "level": alert.level,
                "title": alert.title,
                "text": alert.text,
                "found_by": alert.found_by,
            }
            for alert in self._handle.fetch().alerts
        ]


def _level(level: object) -> str:
    """The level's name here; levels of W&B and trackio are enumerations of INFO, WARN, ERROR."""
    name = str(getattr(level, "value", level)).lower()
    return _OTHER_LEVELS.get(name, name)

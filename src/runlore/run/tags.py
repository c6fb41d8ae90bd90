"""A run's tags, which may change, and its properties, which may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runlore.azure.arguments import as_pairs
from runlore.domain.text import check_keys
from runlore.run.part import RunPart


class RunTags(RunPart):
    """The part of `Run` that sets tags and properties and reads them."""

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

"""The base of the parts of `Run`, which share the run's handle."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runlore.engine.runs.handle import RunHandle
    from runlore.engine.session import Session


class RunPart:
    """The base of all parts. Runs of a long list make no handle before they need it."""

    _session: Session
    _id: str
    _made_handle: RunHandle | None = None

    @property
    def _handle(self) -> RunHandle:
        return self._made_handle or self._make_handle()

    def _make_handle(self) -> RunHandle:
        # Imported here, as in all parts: `import runlore` stays fast without the engine.
        from runlore.engine.runs.handle import RunHandle

        self._made_handle = RunHandle(self._session, self._id)
        return self._made_handle

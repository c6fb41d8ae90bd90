"""What the parts of `Run` share: the handle of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runlore.engine.runs.handle import RunHandle
    from runlore.engine.session import Session


class RunPart:
    """The base of all parts; `_made_handle` is on the class until a run of a long list needs it."""

    _session: Session
    _id: str
    _made_handle: RunHandle | None = None

    @property
    def _handle(self) -> RunHandle:
        return self._made_handle or self._make_handle()

    def _make_handle(self) -> RunHandle:
        # Imported here, as below in all parts: `import runlore` waits with what opens a workspace.
        from runlore.engine.runs.handle import RunHandle

        self._made_handle = RunHandle(self._session, self._id)
        return self._made_handle

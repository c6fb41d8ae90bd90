"""Watching a workspace: from events to alerts, each delivered before the bookmark passes it.

Ends of runs and alerts of `run.alert()` are events themselves. What a watch finds on its own (a
first NaN, a condition that a run begins to meet) it records as an alert of the run, once for all
watches of everybody, and delivers that event when it comes to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runlore.alerts.alert import AboutRun, Alert
from runlore.alerts.occasions import ENDS, NAN, RAISED, Occasions, found_by
from runlore.domain import run_commands as commands
from runlore.domain.errors import RunGone, RunNotFound
from runlore.domain.events import RunAlerted, ValuesLogged
from runlore.engine.runs.handle import RunHandle
from runlore.projections.filters import RunFilter
from runlore.storage.atomic_files import FileNotWritten
from runlore.storage.errors import LogUnavailable

if TYPE_CHECKING:
    from runlore.alerts.bookmark import Bookmark
    from runlore.domain.filtering.fields import Field
    from runlore.engine.event_feed import Feed, LoggedEvent
    from runlore.engine.session import Session

_LOOK_INTERVAL_S: Final = 1.0
_KEEP_INTERVAL_S: Final = 5.0
_LEVELS: Final = {"failed": "error", "lost": "error", "canceled": "warning", "completed": "info"}


class _Place(NamedTuple):
    """The run, position and time of an occasion."""

    run_id: str
    position: int
    time: datetime


class Watch:
    """The alerts of some occasions, delivered in the order of the log.

    `deliver` returns when an alert has arrived; what it raises ends the watch, before the bookmark
    passes the alert. `experiment` restricts it to runs of that one. `say` is told of problems that
    do not end it.
    """

    def __init__(
        self,
        session: Session,
        occasions: Occasions,
        experiment: str | None,
        deliver: Callable[[Alert], None],
        bookmark: Bookmark,
        say: Callable[[str], None],
    ) -> None:
        self._session = session.writable()
        self._occasions = occasions
        self._experiment = experiment
        self._deliver = deliver
        self._bookmark = bookmark
        self._say = say
        self._changed: set[str] = set()  # Runs whose conditions are yet to be looked at.
        self._found: set[tuple[str, str]] = set()
        self._look_at = 0.0
        self._keep_at = 0.0
        self._cannot_keep = False

    def follow(self, feed: Feed, *, once: bool = False) -> None:
        """Deliver what the feed brings, for ever, or `once` until nothing is left."""
        feed.timeout_s = 0.0 if once else _LOOK_INTERVAL_S
        while True:
            self._look_after()
            for event in feed:
                if self._deliver_of(event):
                    self._look(feed)
                    self._keep(feed)
                elif time.monotonic() >= self._look_at:
                    self._look(feed)
                    self._look_after()
            found = self._look(feed)
            if once and not found:
                return self._keep(feed)
            if feed.position != self._bookmark.position and time.monotonic() >= self._keep_at:
                self._keep(feed)

    # --- from events to alerts --------------------------------------------------------------

    def _deliver_of(self, event: LoggedEvent) -> bool:
        """Deliver the alerts of an event; whether there was one."""
        if event.run_id is None or event.data is None:
            return False
        if self._occasions.conditions:
            self._changed.add(event.run_id)
        place = _Place(event.run_id, event.position, event.time)
        alerts = list(self._alerts_of(event, place, event.data))
        for alert in alerts:
            self._deliver(alert)
        return bool(alerts)

    def _alerts_of(self, event: LoggedEvent, place: _Place, data: Any) -> Iterator[Alert]:
        kinds = self._occasions.kinds
        kind = ENDS.get(event.topic)
        if kind is not None and kind in kinds:
            error = data.get("error") or {}
            message = str(error.get("message") or error.get("code") or event.reason or "")
            yield from self._alert(place, kind, _LEVELS[kind], f"run {kind}", message)
        elif event.topic == RunAlerted.topic:
            kind = self._occasions.kind_of(event.reason) or (RAISED if RAISED in kinds else None)
            if kind is not None:
                yield from self._alert(place, kind, data["level"], data["title"], data["text"])
        elif event.topic == ValuesLogged.topic and self._occasions.reads_values:
            from runlore.alerts.values import first_not_finite, newest

            for value in newest(data, self._occasions.metrics):
                title = f"{value.metric} is {value.shown}"
                yield from self._alert(place, "metric", "info", title, f"at step {value.step}")
            for value in first_not_finite(data) if NAN in kinds else ():
                message = f"{value.shown} at step {value.step}"
                yield from self._record(
                    place, NAN, "error", f"{value.metric} is not finite", message
                )

    def _alert(
        self, place: _Place, kind: str, level: str, title: str, message: str
    ) -> Iterator[Alert]:
        """The alert, unless its run is of another experiment."""
        about = self._about(place.run_id)
        if about is not None:
            workspace = self._session.workspace
            yield Alert(
                *(kind, level, title, message, about),
                workspace=workspace.name,
                workspace_id=workspace.workspace_id,
                position=place.position,
                time=place.time,
            )

    def _about(self, run_id: str) -> AboutRun | None:
        with suppress(RunNotFound):
            state = RunHandle.existing(self._session, run_id).state
            if self._experiment in (None, state.experiment_name):
                name = state.display_name or run_id
                return AboutRun(run_id, name, state.experiment_name, str(state.status))
        return None

    # --- what this watch finds --------------------------------------------------------------

    def _record(
        self, place: _Place, occasion: str, level: str, title: str, text: str
    ) -> Iterator[Alert]:
        """Record an alert of the run, unless a watch has; the feed brings the event.

        If it cannot be recorded, it is delivered as one of the place where it was found.
        """
        run_id = place.run_id
        key = (run_id, title)
        if key in self._found or self._about(run_id) is None:
            return
        self._found.add(key)
        reason = found_by(occasion)
        command = commands.Alert(title, text, level, found_by=reason)
        try:
            RunHandle.existing(self._session, run_id).change(command, reason=reason)
        except (RunNotFound, RunGone):
            pass
        except LogUnavailable:
            if key not in self._bookmark.told:
                kind = self._occasions.kind_of(reason) or occasion
                yield from self._alert(place, kind, level, title, text)
                self._bookmark.told.add(key)

    def _look(self, feed: Feed) -> bool:
        """Find the runs that meet a condition, of those that changed; whether any had changed."""
        runs, self._changed = self._changed, set()
        now = datetime.now(UTC)
        self._look_at = time.monotonic() + _LOOK_INTERVAL_S
        for condition in self._occasions.conditions if runs else ():
            which = RunFilter(
                run_ids=sorted(runs),
                include_children=True,
                include_archived=True,
                where=condition.where,
            )
            columns = ["id", *map(str, condition.fields)]
            for run_id, *values in self._session.reader().runs_table(which, columns=columns):
                found = zip(condition.fields, values, strict=True)
                text = ", ".join(_shown(*one) for one in found)
                place = _Place(run_id, feed.position, now)
                title = condition.text
                for alert in self._record(place, title, "warning", title, text):
                    self._deliver(alert)
        return bool(runs)

    # --- beside it --------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Find runs whose processes died, so that their loss and their last values are recorded."""
        self._session.recover_values()
        self._session.look_after()

    def _keep(self, feed: Feed) -> None:
        """Move the bookmark; without a place to keep it, the watch goes on."""
        self._keep_at = time.monotonic() + _KEEP_INTERVAL_S
        try:
            self._bookmark.keep(feed.position)
        except FileNotWritten as error:
            if not self._cannot_keep:
                self._say(f"a restart will deliver alerts again: {error}")
            self._cannot_keep = True
        else:
            self._cannot_keep = False


def _shown(field: Field, value: object) -> str:
    shown = f"{value:.6g}" if isinstance(value, float) else f"{value}"
    return f"{field} is {'not there' if value is None else shown}"

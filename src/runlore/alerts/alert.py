"""An alert as it is delivered: JSON for a webhook or a command, and variables for a command."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, NamedTuple

from runlore.domain.visible_text import visible

_TEXT_MAX_CHARS: Final = 2_000
_MESSAGE_MAX_CHARS: Final = 20_000


class AboutRun(NamedTuple):
    """The run that an alert is about, as it is when the alert is delivered."""

    run_id: str
    name: str
    experiment: str
    status: str


class Alert(NamedTuple):
    """An alert about a run.

    `kind` is one of KINDS, `metric` or `condition`. `position` is that of the event behind it, so
    the id is the same each time the alert is delivered.
    """

    kind: str
    level: str
    title: str
    message: str
    run: AboutRun
    workspace: str
    workspace_id: str
    position: int
    time: datetime

    @property
    def id(self) -> str:
        """The same for each delivery of the same alert; other alerts have others."""
        about = f"/{self.title}" if self.kind == "metric" else ""
        return f"{self.workspace_id}/{self.position}/{self.kind}{about}"

    @property
    def line(self) -> str:
        """The alert in one line for people, with nothing that a terminal would obey."""
        message = f" ({self.message})" if self.message else ""
        text = f"{self.run.experiment}, {self.run.name}: {self.title}{message}"
        return _cut(visible(_cut(text, _TEXT_MAX_CHARS)), _TEXT_MAX_CHARS)

    def document(self) -> dict[str, Any]:
        """The alert as JSON.

        `text` is the line, as Slack and Mattermost show it: what would be a link or call a whole
        channel there is escaped.
        """
        return {
            "id": self.id,
            "text": _plain_in_chats(f"[{self.level}] {self.line}"),
            "kind": self.kind,
            "level": self.level,
            "title": self.title,
            "message": _cut(self.message, _MESSAGE_MAX_CHARS),
            "run_id": self.run.run_id,
            "run": self.run.name,
            "experiment": self.run.experiment,
            "status": self.run.status,
            "workspace": self.workspace,
            "workspace_id": self.workspace_id,
            "position": self.position,
            "time": self.time.isoformat(),
        }

    def json(self) -> bytes:
        """The document in ASCII."""
        return json.dumps(self.document()).encode()

    def variables(self) -> dict[str, str]:
        """The document as environment variables, in one line each: `RUNLORE_ALERT_TITLE` ..."""
        return {
            f"RUNLORE_ALERT_{name.upper()}": visible(_cut(str(value), _TEXT_MAX_CHARS))
            for name, value in (self.document() | {"text": self.line}).items()
        }


def _cut(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else f"{text[: max_chars - 3]}..."


def _plain_in_chats(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

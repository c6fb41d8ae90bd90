"""A workspace whose log holds, in every text, whatever a terminal or a browser might obey.

Its events are written past the SDK, which would refuse some: a stranger's log says anything.
"""

from __future__ import annotations

import io
import os
import re
from array import array
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from runlore.domain import events
from runlore.domain.ids import experiment_stream, view_stream
from runlore.domain.status import Status
from runlore.storage.artifacts import StoredArtifact, artifacts_below
from runlore.storage.codec import encode_event
from runlore.storage.event_log import NewEvent
from runlore.storage.held_path import hold
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.value_codec import Part, Series, encode_batch

SEQUENCES: Final = (
    "\x1b]0;title\x07",  # OSC 0: the window's title.
    "\x1b]52;c;cm0gLXJmIH4K\x07",  # OSC 52: the clipboard.
    "\x1b[2J\x1b[H",  # Clear the screen.
    "\x1b[8mhidden",  # Conceal.
    "\x9b2J\x9d0;title\x9c",  # The same in one byte each.
    "\x1bP+q544e\x1b\\",  # DCS: ask the terminal, which types the answer.
    "\rrm -rf\r\x08\x08",
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'",
)
CONTROLS: Final = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
REORDERING: Final = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HIDING: Final = "\u2028\u2029\xad\u200b\u200c\u2060\ufeff\U000e0041\U000e0100"
HOSTILE: Final = "".join(SEQUENCES) + CONTROLS + REORDERING + HIDING + "é"
IN_NAMES: Final = HOSTILE.replace("/", "")
"""The same for what is a part of a stream's name."""

FORBIDDEN: Final = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{REORDERING}{HIDING}]")
"""What never reaches a terminal or a pipe."""

WORKSPACE: Final = "lab" + "".join(SEQUENCES[:6]) + REORDERING + HIDING
"""The workspace's name; longer ones cannot be exported."""

BENIGN: Final = "hostile"
"""A run whose id can be typed; all its texts are hostile."""

NAMED: Final = f"id{IN_NAMES}"
"""A run with a hostile id."""

EXPERIMENT: Final = "experiment"
LOG: Final = "".join(SEQUENCES).encode() + bytes(range(256)) + HOSTILE.encode()


@dataclass
class _Log:
    """The events to come, with their places in their streams."""

    rows: list[NewEvent] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)

    def say(self, stream: str, *facts: events.Event) -> None:
        for fact in facts:
            version = self.versions[stream] = self.versions.get(stream, 0) + 1
            metadata: dict[str, Any] = {"writer": "w", "actor": HOSTILE, "reason": HOSTILE}
            self.rows.append(
                NewEvent(
                    stream,
                    version,
                    fact.topic,
                    encode_event(fact),
                    os.urandom(16),
                    metadata,
                    fact.log_versions[-1],
                )
            )


def write_hostile_workspace(folder: Path) -> None:
    """The workspace in the new folder, whose own name is harmless."""
    folder.mkdir(parents=True)
    kept = artifacts_below(hold(folder) / "artifacts").put(io.BytesIO(LOG))
    log = _Log()
    log.say(
        "workspace",
        events.WorkspaceCreated(
            workspace_id="0" * 32,
            name=WORKSPACE,
            subscription_id=HOSTILE,
            resource_group=HOSTILE,
            location=HOSTILE,
            tags={HOSTILE: HOSTILE},
        ),
    )
    log.say(
        "writer/w",
        events.WriterOpened(
            actor=HOSTILE,
            host=HOSTILE,
            boot_id=HOSTILE,
            pid=1,
            process=HOSTILE,
            client_version=HOSTILE,
            machine_id=HOSTILE,
            program=HOSTILE,
        ),
    )
    for number, name in enumerate([EXPERIMENT, f"experiment{IN_NAMES}"]):
        log.say(
            experiment_stream(name),
            events.ExperimentCreated(experiment_id=f"e{number}", name=name),
            events.ExperimentTagSet(experiment_id=f"e{number}", key=HOSTILE, value=HOSTILE),
        )
    log.say(
        f"compute_target/pool{IN_NAMES}",
        events.ComputeTargetAttached(
            name=f"pool{IN_NAMES}", type="pool", settings={"slots": 2, "grace_s": 1.0}
        ),
    )
    log.say(
        f"compute_target/other{IN_NAMES}",
        events.ComputeTargetAttached(
            name=f"other{IN_NAMES}", type=HOSTILE, settings={HOSTILE: HOSTILE}
        ),
    )
    log.say(
        view_stream(f"view{IN_NAMES}"),
        events.ViewSaved(name=f"view{IN_NAMES}", definition={HOSTILE: HOSTILE}),
    )
    for run_id in (BENIGN, NAMED, "running"):
        _say_run(log, run_id, kept)
    log.say(
        "compute_target/pool",
        events.ComputeTargetAttached(name="pool", type="pool", settings={"slots": 1}),
    )
    log.say(
        "run/queued",
        events.RunCreated.of_stored({**vars(_created("queued")), "target": "pool"}),
        _SUBMITTED,
        events.RunStatusChanged(status=Status.QUEUED, detail=HOSTILE),
    )
    log.say("run/plain", _created("plain"), _file("user_logs/std_log.txt", kept))
    with closing(open_sqlite(folder / "log.sqlite")) as file:
        file.append(log.rows)


_SUBMITTED: Final = events.RunSubmitted(
    definition={
        "script": HOSTILE,
        "arguments": [HOSTILE, "--lr", HOSTILE],
        "interpreter": HOSTILE,
        "environment_variables": {HOSTILE: HOSTILE},
        "secret_variables": [HOSTILE],
        "watched": ["logs"],
    }
)


def _created(run_id: str) -> events.RunCreated:
    return events.RunCreated(
        run_id=run_id,
        experiment_id="e1" if run_id == NAMED else "e0",
        experiment_name=f"experiment{IN_NAMES}" if run_id == NAMED else EXPERIMENT,
        status=Status.NOT_STARTED,
        root_id=run_id,
        parent_id=BENIGN if run_id == NAMED else None,
        run_type=HOSTILE,
        target=HOSTILE,
        name=HOSTILE,
        display_name=HOSTILE,
        description=HOSTILE,
        outputs=(HOSTILE,),
        tags={HOSTILE: HOSTILE, "formula": "=1+1"},
        properties={HOSTILE: HOSTILE},
        given_user=HOSTILE,
    )


def _file(name: str, kept: StoredArtifact) -> events.ArtifactAdded:
    return events.ArtifactAdded(name=name, sha256=kept.sha256, nbytes=kept.nbytes)


def _say_run(log: _Log, run_id: str, kept: StoredArtifact) -> None:
    log.say(
        f"run/{run_id}",
        _created(run_id),
        _SUBMITTED,
        events.RunStarted(),
        events.TagSet(key="note", value=HOSTILE),
        events.TagSet(key="note", value=f"another {HOSTILE}"),
        events.PropertyAdded(key=f"property{HOSTILE}", value=HOSTILE),
        events.PropertyCorrected(key=f"property{HOSTILE}", value=HOSTILE, superseded=HOSTILE),
        events.DisplayNameSet(display_name=f"name{HOSTILE}"),
        events.WarningAdded(source=HOSTILE, message=HOSTILE),
        events.RunAlerted(title=HOSTILE, text=HOSTILE, level="error"),
        events.EnvironmentRecorded(environment={HOSTILE: HOSTILE}),
        _file(f"outputs/{HOSTILE}", kept),
        _file("user_logs/std_log.txt", kept),
        _file(f"user_logs/{IN_NAMES}", kept),
        events.ArtifactAdded(name="reference", sha256=None, nbytes=None, uri=HOSTILE),
        events.ChangeRefused(
            change=HOSTILE, key=HOSTILE, held=HOSTILE, refused=HOSTILE, reason=HOSTILE
        ),
    )
    texts = Part(Series(f"text{HOSTILE}", description=HOSTILE), (0,), (0,), (0,), ([HOSTILE],))
    rows = Part(Series("row", (HOSTILE, "b"), "row"), (1,), (0,), (0,), ([HOSTILE], ["=1"]))
    floats = Part(Series("loss"), (2,), (0,), (0,), (array("d", [-0.5]),))
    log.say(f"run/{run_id}/values/w", encode_batch("w", 1, [texts, rows, floats]))
    if run_id != "running":
        error = {"code": HOSTILE, "message": HOSTILE, "debug_stack_trace": HOSTILE}
        log.say(f"run/{run_id}", events.RunFailed(error=error))

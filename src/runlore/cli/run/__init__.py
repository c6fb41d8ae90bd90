"""`runlore run`: all commands about runs."""

from __future__ import annotations

from runlore.cli.lazy import LazyGroup

run = LazyGroup(
    "run",
    help="Submits, lists, shows, tags and compares runs. Runs are never deleted.",
    places={
        "list": "run.listing:list_",
        "show": "run.show:show",
        "update": "run.tags:update",
        "tag": "run.tags:tag",
        "untag": "run.tags:untag",
        "correct-property": "run.properties:correct_property",
        "archive": "run.archiving:archive",
        "reactivate": "run.archiving:reactivate",
        "resume": "run.resuming:resume",
        "tree": "run.tree:tree",
        "watch": "run.watch:watch",
        "metrics": "run.show:metrics",
        "history": "run.show:history",
        "compare": "run.show:compare",
        "submit-script": "run.submission:submit_script",
        "resubmit": "run.submission:resubmit",
        "start": "run.submission:start",
        "cancel": "run.submission:cancel",
        "monitor-logs": "run.submission:monitor_logs",
        "download-logs": "run.submission:download_logs",
    },
    uncovered={
        "submit-hyperdrive": "submit a run for each set of arguments, as children of one run",
        "submit-pipeline": "submit runs one after the other, or as children of one run",
        "submit-notebook": "run the notebook, and log from it",
    },
)

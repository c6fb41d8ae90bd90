"""`runlore run`: the group of all commands about runs."""

from __future__ import annotations

from runlore.cli.lazy import LazyGroup

run = LazyGroup(
    "run",
    help="Submits, lists, shows, tags and compares runs. Runs are never deleted.",
    places={
        "list": "run_list:list_",
        "show": "run_show:show",
        "update": "run_tags:update",
        "tag": "run_tags:tag",
        "untag": "run_tags:untag",
        "correct-property": "run_correct:correct_property",
        "tree": "run_tree:tree",
        "watch": "run_watch:watch",
        "metrics": "run_show:metrics",
        "history": "run_show:history",
        "compare": "run_show:compare",
        "submit-script": "run_submit:submit_script",
        "resubmit": "run_submit:resubmit",
        "cancel": "run_submit:cancel",
        "monitor-logs": "run_submit:monitor_logs",
        "download-logs": "run_submit:download_logs",
    },
)

"""Names that users of W&B, MLflow, trackio and Aim guess: reading one names the line that works.

The lines are run by a test, each in a project with `model.txt`, `models/` and `src/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NoReturn, TypeVar

C = TypeVar("C", bound=type)


def _after(first: tuple[str, ...], then: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of two steps."""
    return tuple(f"{start}; {line}" for start in first for line in then)


_ALERT: Final = ('run.alert("loss jumped", "at step 300", level="warning")',)
_COMPLETE: Final = ("run.complete()",)
_CONFIG: Final = ('run.add_config({"lr": 0.1})',)
_FILE: Final = ('run.upload_file("model.txt", "model.txt")',)
_FOLDER: Final = ('run.upload_folder("models", "models")',)
_GET_FILE: Final = ('run.download_file("model.txt", "copy.txt")',)
_IMAGE: Final = ('run.log_image("curve", plot=figure)',)
_LOG: Final = ('run.log("loss", 0.5, step=1)',)
_LOG_ALL: Final = ('run.log_metrics({"loss": 0.5, "acc": 0.9})',)
_METRICS: Final = ("run.get_metrics()",)
_READ_CONFIG: Final = ("run.get_config()", *_CONFIG)
_TABLE: Final = ('run.log_table("samples", {"x": [1, 2], "y": [3, 4]})',)
_TAG: Final = ('run.tag("stage", "first")',)
_TAGS: Final = ('run.set_tags({"stage": "first"})',)
_START: Final = ('run = runlore.init("train")',)
_START_IN: Final = ('run = runlore.init("train", workspace="lab")',)
_START_LOGGING: Final = ("run = exp.start_logging()",)
_OPEN: Final = ('ws = runlore.Workspace.open("lab")',)
_RUNS: Final = ("ws.runs_table()", 'ws.experiments["train"].get_runs()')
_RUNS_OF_ONE: Final = ("exp.get_runs()", "exp.runs_table()")
_EXPERIMENT: Final = ('ws.experiments["train"]',)
_EXPERIMENTS: Final = ("ws.experiments",)

GUESSES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "run": {
        "add_tag": _TAG,
        "add_tags": _TAGS,
        "close": _COMPLETE,
        "config": _READ_CONFIG,
        "created_at": ('run.get_details()["startTimeUtc"]',),
        "data": ("run.get_metrics()", "run.get_config()", "run.get_tags()"),
        "delete_tag": ('run.remove_tags(["stage"])',),
        "end": _COMPLETE,
        "end_run": _COMPLETE,
        "files": ("run.get_file_names()",),
        "info": ("run.id", "run.get_details()"),
        "log_artifacts": _FOLDER,
        "log_code": ('run.take_snapshot("src")',),
        "log_figure": _IMAGE,
        "log_metric": _LOG,
        "log_model": _FILE,
        "log_param": _CONFIG,
        "log_params": _CONFIG,
        "logged_artifacts": ("run.get_file_names()",),
        "metrics": _METRICS,
        "notes": ("run.description",),
        "params": _READ_CONFIG,
        "project": ("run.experiment.name",),
        "restore": _GET_FILE,
        "run_id": ("run.id",),
        "save": _FILE,
        "scan_history": ('run.values("loss")',),
        "set_tag": _TAG,
        "start_time": ('run.get_details()["startTimeUtc"]',),
        "stop": _COMPLETE,
        "summary": _METRICS,
        "track": _LOG,
        "url": ("run.get_portal_url()",),
        "use_artifact": _GET_FILE,
    },
    "experiment": {
        "best_run": ('exp.best("loss", mode="min")',),
        "create_run": _START_LOGGING,
        "experiment_id": ("exp.id",),
        "get_run": ("exp.workspace.get_run(run.id)",),
        "list_runs": _RUNS_OF_ONE,
        "log": _after(_START_LOGGING, _LOG),
        "runs": _RUNS_OF_ONE,
        "search_runs": _RUNS_OF_ONE,
        "start_run": _START_LOGGING,
    },
    "workspace": {
        "create_experiment": ('exp = runlore.Experiment(ws, "new")',),
        "create_run": _START_IN,
        "delete_run": ("ws.get_run(run.id).archive()",),
        "get_experiment": _EXPERIMENT,
        "get_experiment_by_name": _EXPERIMENT,
        "get_runs": _RUNS,
        "list_experiments": _EXPERIMENTS,
        "list_runs": _RUNS,
        "projects": _EXPERIMENTS,
        "query": ('ws.sql("SELECT * FROM runs")',),
        "runs": _RUNS,
        "search_experiments": _EXPERIMENTS,
        "search_runs": _RUNS,
        "start_run": _START_IN,
    },
    "runlore": {
        "Api": _OPEN,
        "Artifact": _FILE,
        "Image": _IMAGE,
        "MlflowClient": _OPEN,
        "Table": _TABLE,
        "alert": _after(_START, _ALERT),
        "active_run": ("run = runlore.Run.get_context()",),
        "config": _READ_CONFIG,
        "end_run": _COMPLETE,
        "finish": _COMPLETE,
        "log": _after(_START, _LOG),
        "log_artifact": _FILE,
        "log_artifacts": _FOLDER,
        "log_figure": _IMAGE,
        "log_image": _IMAGE,
        "log_metric": _after(_START, _LOG),
        "log_metrics": _after(_START, _LOG_ALL),
        "log_param": _after(_START, _CONFIG),
        "log_params": _after(_START, _CONFIG),
        "log_table": _TABLE,
        "save": _FILE,
        "search_runs": _RUNS,
        "set_experiment": _START,
        "set_tag": _after(_START, _TAG),
        "set_tags": _after(_START, _TAGS),
        "set_tracking_uri": _START_IN,
        "start_run": _START,
        "summary": _METRICS,
    },
}
"""What has the name, the name, and the lines that do here what it does elsewhere."""


class _Guess:
    """An attribute that other trackers have: `hasattr` is False, and the error has the line."""

    def __init__(self, message: str) -> None:
        self.message = message

    def __get__(self, holder: object, owner: type | None = None) -> NoReturn:
        raise AttributeError(self.message)


def names_guesses(cls: C) -> C:
    """Make a class answer the guesses of its name; its instances do not list them.

    They are descriptors, as `__getattr__` would slow down every attribute of the class.
    """
    called = cls.__name__.lower()
    for name in GUESSES[called]:
        if hasattr(cls, name):
            raise TypeError(f"{called}.{name} exists, so it is no guess any more")
        setattr(cls, name, _Guess(hint(called, name)))

    def listed(self: object) -> Iterable[str]:
        return [name for name in object.__dir__(self) if name not in GUESSES[called]]

    cls.__dir__ = listed  # type: ignore[assignment]  # mypy takes it for that of the metaclass.
    return cls


def hint(called: str, name: str) -> str:
    """The message for a guess."""
    return f"{called}.{name} is {', or '.join(GUESSES[called][name])} here"


def no_attribute_of_runlore(name: str) -> AttributeError:
    """The error for a name that the package does not have."""
    if name in GUESSES["runlore"]:
        return AttributeError(hint("runlore", name))
    return AttributeError(f"module 'runlore' has no attribute {name!r}")

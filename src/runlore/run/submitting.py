"""Submitting for `Experiment.submit` and `Run.submit_child`: a configuration, or an earlier run."""

from __future__ import annotations

from pathlib import Path

from runlore.configuration.script_run_config import ScriptRunConfig, get_run_config_from_script_run
from runlore.domain.errors import InvalidType
from runlore.engine.runs.handle import RunHandle
from runlore.engine.session import Session
from runlore.execution.submission import NewRun, submit, submit_again


def submitted(session: Session, new: NewRun, config: object) -> RunHandle:
    """Submit the script of a ScriptRunConfig, or the definition of an earlier run, by its handle.

    Raises as `Experiment.submit`, and InvalidType for other values.
    """
    live = session.writable()
    if isinstance(config, RunHandle):
        return submit_again(live, new, config)
    if isinstance(config, ScriptRunConfig):
        run_config = get_run_config_from_script_run(config)
        return submit(live, new, run_config, Path(config.source_directory))
    raise InvalidType(
        f"submit takes a ScriptRunConfig or an earlier submitted run, got "
        f"{type(config).__name__} {config!r:.80}"
    )

"""The definition of a submitted run: all that its supervisor needs to execute it."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

SUPERVISORS_OWN: Final = "python"
"""The interpreter of a run whose supervisor executes it with its own."""


class Definition(BaseModel):
    """A script or a command with its settings, as `run.submitted` holds it; times in seconds.

    `command` is a list of words, or one line for the shell; without it, `interpreter` executes
    `script`, a path in the run's own copy of the source. The interpreter is absolute, or `python`
    for the supervisor's own. `distribution` chooses the variables that tell the processes their
    ranks; all are on the first of `node_count` nodes. Secret variables and arguments are here by
    name only (arguments with `***` in their places): the process that starts the run has them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    script: str | None = None
    arguments: tuple[str, ...] = ()
    command: tuple[str, ...] | str | None = None
    interpreter: str
    environment_variables: dict[str, str] = {}
    secret_variables: tuple[str, ...] = ()
    secret_arguments: tuple[str, ...] = ()
    max_run_duration_s: float | None = None
    distribution: str = "none"
    process_count: int = 1
    parameter_servers: int = 0
    node_count: int = 1
    collect_outputs: bool = True
    watched: tuple[str, ...] = ("logs",)

    def document(self) -> dict[str, Any]:
        """The definition as `run.submitted` holds it, as before if it needs nothing newer."""
        left_out = set() if self.secret_arguments else {"secret_arguments"}
        if self.node_count == 1:
            left_out.add("node_count")
        return self.model_dump(mode="json", exclude=left_out)

    def words(self) -> list[str] | str:
        """The command line: a list of words, or a text for the shell."""
        if isinstance(self.command, str):
            return self.command
        if self.command is not None:
            return [*self.command, *self.arguments]
        assert self.script is not None, "a definition has a script or a command"
        return [self.interpreter, self.script, *self.arguments]

    @property
    def ranks(self) -> int:
        """The number of processes, parameter servers included."""
        return self.process_count + self.parameter_servers

    def log_name(self, rank: int = 0) -> str:
        """The file name of a process's output, as in Azure ML's current runtime."""
        part = f"_process_{rank}" if self.ranks > 1 else ""
        return f"user_logs/std_log{part}.txt"

"""The definition of a submitted run: all that its supervisor needs to execute it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Definition(BaseModel):
    """A script or a command with its settings, as `run.submitted` holds it; times in seconds.

    `command` is a list of words, or one line for the shell; without it, `interpreter` (absolute)
    executes `script`, a path in the run's own copy of the source. `distribution` chooses the
    variables that tell the processes their ranks. Secret variables and arguments are here by name
    only (arguments with `***` in their places): the process that starts the run must have them.
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
    collect_outputs: bool = True
    watched: tuple[str, ...] = ("logs",)

    def document(self) -> dict[str, Any]:
        """The definition as `run.submitted` holds it, as before if no argument is masked."""
        left_out = None if self.secret_arguments else {"secret_arguments"}
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

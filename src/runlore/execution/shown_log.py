"""Printing the log of a submitted run while its script writes it."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Final

from runlore.domain.definition import Definition
from runlore.domain.log_text import LogText
from runlore.domain.visible_text import visible, visible_lines
from runlore.engine.runs.logs import CONSOLE_LOG, log_files, open_log

if TYPE_CHECKING:
    from runlore.engine.runs.handle import RunHandle

_CHUNK_NBYTES: Final = 2**16


class ShownLog:
    """The output of a run, printed bit by bit; of several processes, that of the first."""

    def __init__(self, run: RunHandle) -> None:
        self._run = run
        self._file: IO[bytes] | None = None
        self._text = LogText(styles=_is_terminal())
        self._begun = False
        self._said_whose = False

    def show(self) -> None:
        """Print the part that is new."""
        if self._file is None:
            self._file = self._open()
        while self._file is not None and (chunk := self._file.read(_CHUNK_NBYTES)):
            _print(self._text.feed(chunk))

    def close(self) -> None:
        """Print what the decoder still holds, and close the file."""
        _print(self._text.finish())
        if self._file is not None:
            self._file.close()
            show("\n")

    def _open(self) -> IO[bytes] | None:
        """The file that the script writes: an open file can be read after it is removed."""
        definition = self._run.state.definition
        name = CONSOLE_LOG
        if definition is not None:
            name = Definition.model_validate(definition).log_name()
        path = log_files(self._run).get(name)
        self._say_whose_it_is()
        # Also None if the run has just ended: the file is elsewhere now.
        file = None if path is None else open_log(self._run, path)
        if file is not None and not self._begun:
            self._begun = True
            heading = f"Streaming {visible(name)}"
            show(f"{heading}\n{'=' * len(heading)}\n")
        return file

    def _say_whose_it_is(self) -> None:
        owner = None if self._said_whose else self._run.hidden_by
        if owner is not None:
            self._said_whose = True
            show(
                f"Run {self._run.id} executes as user {owner}: its output is private to that user "
                "until it ends.\n"
            )


def _is_terminal() -> bool:
    is_terminal: bool = getattr(sys.stdout, "isatty", bool)()  # A notebook's stream has less.
    return is_terminal


def show(text: str) -> None:
    """Print lines of text, with harmful characters escaped."""
    _print(visible_lines(text))


def _print(text: str) -> None:
    """Print, with `?` for characters that the terminal does not have."""
    if text:
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()

"""Signal handlers that raise while the main thread is in a library written in C.

Python calls a handler within whatever the main thread does. DuckDB drops what the handler raises,
also a SystemExit, and raises "Query interrupted" in its place.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGALRM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGQUIT,
    signal.SIGXCPU,
)
"""Those whose handlers raise; to look at each of 64 would take as long as a short query."""

_main_ident: Final = threading.main_thread().ident


class _Noting:
    """A handler that notes what the program's own handler raises."""

    def __init__(self, handler: Callable[..., Any], noted: list[BaseException]) -> None:
        self.handler = handler
        self._noted = noted

    def __call__(self, *given: Any) -> Any:
        try:
            return self.handler(*given)
        except BaseException as error:
            self._noted.append(error)
            raise


def handler_of(number: int) -> Any:
    """The program's own handler of a signal, as `signal.getsignal` says it outside of a block."""
    handler = signal.getsignal(number)
    while isinstance(handler, _Noting):
        handler = handler.handler
    return handler


_blocks: Final[list[list[BaseException]]] = []
"""What handlers have raised in each of the blocks that the main thread is in."""


def raise_what_was_dropped() -> None:
    """Raise what a handler has raised earlier in the block and a library has dropped.

    Call it before a long wait: a query that had ended by then keeps the error until the block ends.
    """
    if threading.get_ident() == _main_ident:
        for noted in _blocks:
            if noted:
                raise noted[0]


@contextmanager
def raising_what_handlers_raise() -> Iterator[None]:
    """If a signal handler raises within the block, so does the block, whatever became of it.

    Does nothing in other threads than the main one, in which Python calls handlers.
    """
    if threading.get_ident() != _main_ident:
        yield
        return
    noted: list[BaseException] = []
    _blocks.append(noted)
    placed: dict[signal.Signals, _Noting] = {}
    try:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):  # Those of the system and of C libraries are no functions.
                placed[number] = _Noting(handler, noted)
                signal.signal(number, placed[number])
        yield
    finally:
        while _blocks and _blocks.pop() is not noted:  # Of blocks whose ends were interrupted.
            pass
        for number, noting in placed.items():
            own = noting.handler
            if signal.getsignal(number) is noting:  # The handler may have placed another one.
                signal.signal(number, own)
        if noted:
            raise noted[0]

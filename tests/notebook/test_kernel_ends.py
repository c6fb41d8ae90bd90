"""A run in a notebook ends with its kernel, and with nothing that happens in a cell."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore import Workspace
from tests.fresh_python import without_settings
from tests.notebook.kernels import LIMIT_S

pytestmark = pytest.mark.processes

START = """
import runlore, time
run = runlore.init("e", workspace="lab", run_id="r", quiet=True)
run.log("loss", 0.5)
"""


class Kernel:
    """A kernel in a folder, as Jupyter starts one."""

    def __init__(self, folder: Path) -> None:
        from jupyter_client import manager

        start: Any = manager.start_new_kernel  # Not typed.
        self.manager, self._client = start(cwd=str(folder), env=without_settings(os.environ))

    def execute(self, code: str, then: Callable[[], None] = lambda: None) -> tuple[str, str]:
        """What a cell prints, and `ok` or the name of its error; `then` is called at `ready`."""
        said: list[str] = []

        def hear(message: Any) -> None:
            if message["msg_type"] == "stream":
                said.append(message["content"]["text"])
                if "ready" in message["content"]["text"]:
                    then()

        reply = self._client.execute_interactive(code, timeout=LIMIT_S, output_hook=hear)
        content = reply["content"]
        return "".join(said), content.get("ename", content["status"])

    def shut_down(self, *, kill: bool = False) -> None:
        """End it as Jupyter does: it is asked to, or killed."""
        self.manager.shutdown_kernel(now=kill)
        self._client.stop_channels()


@pytest.fixture
def kernel(project: Path) -> Iterator[Kernel]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of libraries that are not ours.
        kernel = Kernel(project)
        try:
            assert kernel.execute(START) == ("", "ok")
            yield kernel
        finally:
            kernel.shut_down(kill=True)


def end_of_run() -> tuple[str, str | None]:
    with Workspace.open("lab") as ws:
        details = ws.get_run("r").get_details()
        return details["status"], details.get("error", {}).get("error", {}).get("code")


def test_neither_ctrl_c_nor_an_error_in_a_cell_ends_the_run(kernel: Kernel) -> None:
    cell = "print('ready', flush=True)\ntime.sleep(60)"
    assert kernel.execute(cell, kernel.manager.interrupt_kernel)[1] == "KeyboardInterrupt"
    assert kernel.execute("1 / 0")[1] == "ZeroDivisionError"
    assert kernel.execute("raise SystemExit(3)")[1] == "SystemExit"
    assert kernel.execute("run.log('loss', 0.25); print(run.get_status())") == ("Running\n", "ok")
    kernel.shut_down()
    assert end_of_run() == ("Completed", None)


def test_the_run_of_a_killed_kernel_is_lost(kernel: Kernel) -> None:
    kernel.shut_down(kill=True)
    assert end_of_run() == ("Failed", "RunLost")

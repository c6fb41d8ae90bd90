"""A small workspace with something of everything, and its Studio."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from runlore import Experiment, Workspace
from tests.studio.asking import Served, served
from tests.workspaces import project as project
from tests.workspaces import start

NAME = "<script>alert(1)</script>\"'`;--</title>"
HOSTILE = f"{NAME}\u2028\u202e\x1b[31m"


class Filled(NamedTuple):
    """A workspace, and the positions at which something had happened."""

    ws: Workspace
    before_tag: int
    after_tag: int


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Runs `good`, `bad`, `odd` and `hostile` of two experiments, and `child` of `good`."""
    folder = tmp_path_factory.mktemp("studio") / "lab"
    with Workspace.create("lab", path=folder, show_output=False) as ws:
        vision = Experiment(ws, "vision")
        good = start(vision, run_id="good", display_name="the good one")
        good.add_config({"lr": 0.1})
        good.log_batch("loss", [3.0, 2.0, 1.0])
        good.description = "a resnet"
        good.add_properties({"git": "abc"})
        before = ws.position
        good.tag("model", "ResNet-50")
        after = ws.position
        good.tag("model", "vit")
        picture = folder.parent / "picture.png"
        picture.write_bytes(b"\x89PNG\r\n\x1a\n")
        good.upload_file("plots/picture.png", picture)
        good.upload_file("page.html", _file(folder.parent / "p", b"<script>alert(1)</script>"))
        good.upload_file("drawing.svg", _file(folder.parent / "s", b"<svg onload='alert(1)'/>"))
        good.upload_file("logs/a/b.txt", _file(folder.parent / "l", "eins\nzwei €\n".encode()))
        good.add_reference("outside", "http://127.0.0.1:9/secret")
        child = good.child_run(run_id="child")
        child.complete()
        good.complete()
        bad = start(vision, run_id="bad")
        bad.fail("out of memory", error_code="OOM")
        odd = start(Experiment(ws, "odd"), run_id="odd")
        odd.log_batch("loss", [1.0, math.nan, math.inf, -math.inf, 2.0])
        hostile = start(Experiment(ws, "odd"), run_id="hostile", display_name=NAME)
        hostile.tag("say", HOSTILE)
        hostile.log(NAME, 1.0)
        hostile.complete()
        yield Filled(ws, before, after)


@pytest.fixture(scope="module")
def studio(filled: Filled) -> Iterator[Served]:
    """The Studio of the workspace, for its own user."""
    with served(filled.ws) as found:
        yield found


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path

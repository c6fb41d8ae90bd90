"""Opening a workspace with spools that nobody can read: it opens, and says so once."""

from __future__ import annotations

import shutil
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.storage.file_identity import identity_of
from runlore.storage.spool_format import SpoolOwner, pack_header
from runlore.storage.this_process import boot_id
from tests.processes import in_child
from tests.storage.test_spool_folder import HOSTILE
from tests.workspaces import start

pytestmark = pytest.mark.processes


@pytest.fixture
def lab(folder_ws: Workspace) -> Iterator[Path]:
    assert folder_ws.path is not None
    folder_ws.close()
    yield folder_ws.path


def leave_values(lab: Path) -> str:
    """What a killed process leaves."""

    kept: list[Run] = []  # Garbage would be closed in order.

    def die() -> str:
        run = start(Experiment(Workspace.open(lab), "e"))
        run.log("loss", 0.5)
        run.log("loss", 0.25)
        kept.append(run)
        return str(run.id)

    return str(in_child(die))


def spool_in(lab: Path) -> Path:
    [path] = (lab / "spools").glob("*-0.spool2")
    return path


def test_hostile_spools_make_no_opening_fail(lab: Path) -> None:
    run_id = leave_values(lab)
    for number, slots in enumerate(HOSTILE.values()):
        writer_id = f"{number:032x}"
        with (lab / "spools" / f"{writer_id}-0.spool2").open("wb") as file:
            owner = SpoolOwner(identity_of(file.fileno()), writer_id, boot_id(), 1, 2, 3)
            file.write(pack_header(5, owner) + slots)
    with pytest.warns(UserWarning, match="are damaged and could not be read") as told:
        opened = Workspace.open(lab)
    with opened:
        assert len(told) == len(HOSTILE)
        rows = opened.sql("SELECT run_id, value FROM metric_points ORDER BY ALL").fetchall()
        assert [value for run, value in rows if run == run_id] == [0.25, 0.5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Workspace.open(lab).close()
    assert len(list((lab / "spools").iterdir())) == len(HOSTILE)


def test_flipped_bit_costs_one_value_and_a_warning(lab: Path) -> None:
    run_id = leave_values(lab)
    path = spool_in(lab)
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("=d", 0.5))
    content[at] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    with pytest.warns(UserWarning, match="1 records .* damaged"):
        opened = Workspace.open(lab)
    with opened:
        assert opened.get_run(run_id).get_metrics() == {"loss": 0.25}
    assert path.with_name(path.name + ".damaged").exists() and not path.exists()


def test_spool_of_a_copied_folder_is_not_told(lab: Path) -> None:
    run_id = leave_values(lab)
    copy = shutil.copytree(lab, lab.with_name("copy"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Workspace.open(copy) as opened:
            assert opened.get_run(run_id).get_metrics() == {"loss": [0.5, 0.25]}
    assert spool_in(copy).exists()

"""Moving erasable workspaces between folders and PostgreSQL, with the keys of their runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from runlore import Experiment, Run, Workspace
from runlore.audit.verify import verify_folder
from runlore.exceptions import AlreadyExists, LogCorrupt, LogMoved, RunGone
from runlore.storage.movable_log import MovableLog
from runlore.storage.seal import NO_KEY
from runlore.testing.logs import all_rows
from runlore.testing.waiting import LIMIT_S
from runlore.workspace import session_of
from tests.postgres.server import Server
from tests.workspaces import start

pytestmark = [pytest.mark.long, pytest.mark.processes]

SECRET = "the patient is Ann"
OTHER = "the patient is Bob"


def log_of(ws: Workspace) -> MovableLog:
    return cast(MovableLog, session_of(ws).log)


def secret_run(ws: Workspace, secret: str) -> Run:
    """A run with a secret in each kind of thing that is recorded of it."""
    run = start(Experiment(ws, "e"), display_name=secret)
    run.log("diagnosis", 1.0)
    run.tag("note", secret)
    Path("scan.txt").write_text(secret)
    run.upload_file("scan.txt", "scan.txt")
    run.complete()
    return run


def shown(ws: Workspace, run: Run) -> tuple[object, ...]:
    """What people see of a run."""
    here = ws.get_run(run.id)
    here.download_file("scan.txt", "got.txt")
    tags, values = here.get_tags(), here.get_metrics()
    return tags, values, here.display_name, Path("got.txt").read_text()


def stored(ws: Workspace) -> list[object]:
    return [*all_rows(log_of(ws).as_stored())]


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab", erasable=True) as ws:
        yield ws


def test_runs_move_to_postgresql_and_back_and_are_erased_where_they_are(
    lab: Workspace, tmp_path: Path, server: Server, schema: str
) -> None:
    uri = server.uri(schema)
    erased, kept, later = (secret_run(lab, text) for text in ("gone", SECRET, OTHER))
    lab.erase_run(erased.id, reason="consent withdrawn")
    before, seen, head = stored(lab), shown(lab, kept), log_of(lab).head()

    lab.copy_to(uri)

    with Workspace.open(uri) as away:
        assert away.erasable
        assert stored(away) == before
        assert log_of(away).head() == head
        assert shown(away, kept) == seen
        with pytest.raises(RunGone):
            away.get_run(erased.id).tag("more", "data")
        assert verify_folder(uri).holds
        away.erase_run(later.id, reason="consent withdrawn")
        assert log_of(away).erased_runs() == {erased.id, later.id}
        after = stored(away)
        assert log_of(away).last_erasure() == len(after)

        away.copy_to(tmp_path / "lab")

    with pytest.warns(UserWarning, match="the keys of its runs went along"):
        Workspace.open(uri).close()
    with Workspace.open(tmp_path / "lab") as back:
        assert stored(back) == after
        assert shown(back, kept) == seen
        for run in (erased, later):
            assert back.get_run(run.id).erased
            assert log_of(back).key_of(run.id) is None
            assert not (tmp_path / "lab" / "artifacts" / run.id).exists()
        assert verify_folder(tmp_path / "lab").holds
        back.erase_run(kept.id, reason="consent withdrawn")
        assert {*log_of(back).keys().values()} == {NO_KEY}
        assert verify_folder(tmp_path / "lab").holds


@pytest.mark.parametrize("run_id", ["ab", "tmp"])
def test_files_move_of_a_run_that_is_called_as_a_folder_of_the_store(
    lab: Workspace, tmp_path: Path, run_id: str
) -> None:
    run = start(Experiment(lab, "e"), run_id=run_id)
    Path("scan.txt").write_text(SECRET)
    run.upload_file("scan.txt", "scan.txt")
    run.complete()

    lab.copy_to(str(tmp_path / "moved"))

    with Workspace.open(tmp_path / "moved") as moved:
        moved.get_run(run_id).download_file("scan.txt", "got.txt")
    assert Path("got.txt").read_text() == SECRET


def test_the_original_has_no_key_and_shows_no_run(
    lab: Workspace, tmp_path: Path, server: Server, schema: str
) -> None:
    run = secret_run(lab, SECRET)
    keys = [*log_of(lab).keys().values()]
    assert lab.sql("SELECT count(*) FROM metric_points").fetchall() == [(1,)]
    cache = Path(os.environ["RUNLORE_CACHE_DIR"])
    assert SECRET.encode() in bytes_below(cache)

    lab.copy_to(server.uri(schema))

    for read in (
        lambda: lab.get_run(run.id).get_tags(),
        lambda: lab.sql("SELECT * FROM tags").fetchall(),
        lambda: [*lab.experiments["e"].get_runs()],
    ):
        with pytest.raises(LogMoved, match="keys of its runs went along"):
            read()
    assert verify_folder(tmp_path / "lab").holds
    lab.close()
    for place in (tmp_path / "lab", cache):
        held = bytes_below(place)
        assert SECRET.encode() not in held
        assert not [key for key in keys if key in held]


def test_keys_that_move_away_from_the_server_are_overwritten_and_rewritten(
    server: Server, schema: str, tmp_path: Path
) -> None:
    with Workspace.create("team", path=server.uri(schema), erasable=True) as team:
        run = secret_run(team, SECRET)
        [(before,)] = server.execute(f"SELECT pg_relation_filenode('{schema}.run_keys')")
        team.copy_to(tmp_path / "lab")
        with pytest.raises(LogMoved, match="keys of its runs went along"):
            team.get_run(run.id).get_tags()

    assert server.execute(f"SELECT key FROM {schema}.run_keys") == [(NO_KEY,)]
    assert server.execute(f"SELECT pg_relation_filenode('{schema}.run_keys')") != [(before,)]
    for path in (tmp_path / "lab", tmp_path / "lab" / "log.sqlite"):
        assert path.stat().st_mode & 0o077 == 0
    with Workspace.open(tmp_path / "lab") as lab:
        assert lab.get_run(run.id).get_tags() == {"note": SECRET}


_KILLED = """
import os, signal, sys, warnings
from runlore import Workspace
from runlore.audit import copying
from runlore.storage import log_copy
from runlore.storage.erasable import ErasableLog
from runlore.storage.postgresql.erasable import ErasablePostgresLog
warnings.simplefilter("ignore")
log_copy._BATCH_SIZE = 4
left = int(sys.argv[3])

def dying(function):
    def step(*args, **kwargs):
        global left
        for is_done in (False, True):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            if not is_done:
                result = function(*args, **kwargs)
        return result
    return step

for owner, names in (
    (copying, ("copy_audit", "copy_artifacts", "begin_copy", "remove_files_of", "remove_erased")),
    (ErasableLog, ("adopt", "put_up", "take_keys", "give_up_keys", "scrub", "take_down")),
    (ErasablePostgresLog, ("adopt", "put_up", "take_keys", "give_up_keys", "scrub", "take_down")),
):
    for name in names:
        setattr(owner, name, dying(getattr(owner, name)))
with Workspace.open(sys.argv[1]) as ws:
    ws.copy_to(sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize("to", ["postgresql", "folder"])
def test_a_move_that_is_killed_at_each_step_goes_on_with_all_keys(
    to: str, tmp_path: Path, server: Server, schema: str
) -> None:
    places = [str(tmp_path / "lab"), server.uri(schema)]
    source, target = places if to == "postgresql" else places[::-1]
    with Workspace.create("lab", path=source, erasable=True) as ws:
        kept, erased = secret_run(ws, SECRET), secret_run(ws, OTHER)
        ws.erase_run(erased.id, reason="consent withdrawn")
        before, seen = stored(ws), shown(ws, kept)
    kills = 0
    # Each call goes on where the one before it was killed, and is killed a step later.
    while True:
        command = [sys.executable, "-c", _KILLED, source, target, str(kills)]
        ended = subprocess.run(
            command, check=False, timeout=LIMIT_S, capture_output=True, text=True
        )
        if ended.returncode != -signal.SIGKILL:
            break
        kills += 1

    assert ended.returncode == 0, ended.stderr
    assert kills > 15
    with Workspace.open(target) as moved:
        assert stored(moved) == before
        assert shown(moved, kept) == seen
        assert moved.get_run(erased.id).erased
        moved.erase_run(kept.id, reason="consent withdrawn")
        assert verify_folder(target).holds
    with pytest.warns(UserWarning), Workspace.open(source) as left:
        assert {*log_of(left).keys().values()} == {NO_KEY}


def test_keys_that_an_earlier_copy_took_are_not_copied_as_nothing(
    lab: Workspace, server: Server, schema: str
) -> None:
    secret_run(lab, SECRET)
    lab.copy_to(server.uri(schema))
    server.execute(f"DROP SCHEMA {schema} CASCADE")

    with pytest.raises(LogCorrupt, match="the keys of 1 runs were moved into an earlier copy"):
        lab.copy_to(server.uri(schema))
    with pytest.raises(LogMoved, match="incomplete copy"):
        Workspace.open(server.uri(schema))


@pytest.mark.parametrize("erasable", [True, False])
def test_a_workspace_of_the_other_kind_is_refused(
    erasable: bool, tmp_path: Path, server: Server, schema: str
) -> None:
    with (
        Workspace.create("lab", path=tmp_path / "lab", erasable=erasable) as ws,
        Workspace.create("other", path=server.uri(schema), erasable=not erasable),
        pytest.raises(AlreadyExists, match="erasable"),
    ):
        ws.copy_to(server.uri(schema))


def test_writers_that_go_on_are_told_where_the_workspace_is(
    lab: Workspace, server: Server, schema: str
) -> None:
    run: Any = start(Experiment(lab, "e"))
    run.complete()
    lab.copy_to(server.uri(schema))

    with pytest.raises(LogMoved, match="open the workspace there; the keys of its runs went"):
        run.tag("a", "b")

"""Workspaces whose files are in an object store: runs, submissions, erasure, copies, bundles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runlore import Experiment, ScriptRunConfig, Workspace
from runlore.domain.errors import InvalidInput, UserError
from runlore.engine.runs.files import artifact_of
from runlore.run.run import handle_of
from runlore.storage.allowed_places import ReferenceRefused
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.artifact_places import PlaceNotTrusted
from runlore.storage.object_errors import StoreUnavailable
from runlore.storage.ownership import trust
from runlore.storage.references import ReferenceNotFetched
from runlore.storage.user_settings import change_settings
from runlore.workspace import session_of
from tests.stores.faulty_proxy import Fault, FaultyProxy

pytestmark = pytest.mark.processes  # moto's server


def create(tmp_path: Path, bucket: str, *, erasable: bool = False) -> Workspace:
    return Workspace.create(
        "lab", path=tmp_path / "lab", artifacts=f"s3://{bucket}/lab", erasable=erasable
    )


def set_place(folder: Path, place: str) -> None:
    change_settings(lambda old: old._replace(artifacts={**old.artifacts, str(folder): place}))


def waiting(ws: Workspace) -> list[str]:
    assert ws.path is not None
    folder = Path(ws.path) / "waiting"
    return [path.name for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


def test_files_go_to_the_store_and_come_back(tmp_path: Path, bucket: str) -> None:
    with create(tmp_path, bucket) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        (tmp_path / "model.pt").write_bytes(b"weights")
        run.upload_file("outputs/model.pt", tmp_path / "model.pt")
        run.complete()

        run.download_file("outputs/model.pt", tmp_path / "back.pt")

        assert (tmp_path / "back.pt").read_bytes() == b"weights"
        assert not (tmp_path / "lab" / "artifacts").exists()
        assert waiting(ws) == []


def test_a_setting_names_the_store(tmp_path: Path, bucket: str) -> None:
    set_place(tmp_path / "lab", f"s3://{bucket}/team")
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        assert session_of(ws).artifacts_of("any").location == f"s3://{bucket}/team"


def test_a_file_uri_names_a_folder(tmp_path: Path) -> None:
    shared = tmp_path / "shared files"
    with Workspace.create("lab", path=tmp_path / "lab", artifacts=shared.as_uri()) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        run.upload_file("x", Path(__file__))
        run.complete()

    assert len([path for path in shared.rglob("*") if path.is_file()]) >= 1


@pytest.mark.parametrize("place", ["ftp://host/x", "s3://a:b@lab/x", "https://lab/x"])
def test_another_address_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(InvalidInput):
        Workspace.create("lab", path=tmp_path / "lab", artifacts=place)


@pytest.mark.parametrize(
    "fault",
    [Fault(status=403, code="AccessDenied"), Fault(status=404, code="NoSuchBucket"),
     Fault(status=500), Fault(wait_s=2)],
    ids=["403", "404", "500", "slow"],
)  # fmt: skip
def test_a_training_goes_on_without_its_store_and_loses_nothing(
    tmp_path: Path,
    bucket: str,
    proxy: FaultyProxy,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
) -> None:
    monkeypatch.setenv("RUNLORE_STORE_TIMEOUT_S", "0.5")
    long = tmp_path / "long.bin"
    long.write_bytes(b"x" * (9 * 2**20))
    with create(tmp_path, bucket) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        proxy.spoil(fault)
        with pytest.warns(RuntimeWarning, match="runlore artifacts deliver"):
            run.upload_file("a.py", Path(__file__))
        asked = len(proxy.requests)
        run.upload_file("long.bin", long)
        run.complete()

        assert len(proxy.requests) == asked, "a store that is down is not asked at each file"
        assert len(waiting(ws)) >= 2
        run.download_file("long.bin", tmp_path / "before.bin")
        assert (tmp_path / "before.bin").read_bytes() == long.read_bytes()
        with pytest.raises(StoreUnavailable):
            session_of(ws).artifacts_of(run.id).deliver()

        proxy.heal()
        monkeypatch.delenv("RUNLORE_STORE_TIMEOUT_S")
        with Workspace.open(ws.path or "", artifacts=f"s3://{bucket}/lab") as again:
            assert session_of(again).artifacts_of(run.id).deliver() >= 2
            assert waiting(again) == []
            again.get_run(run.id).download_file("long.bin", tmp_path / "after.bin")

    assert (tmp_path / "after.bin").read_bytes() == long.read_bytes()


def test_what_waits_follows_the_next_file(tmp_path: Path, bucket: str, proxy: FaultyProxy) -> None:
    with create(tmp_path, bucket) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        proxy.spoil(Fault(status=403))
        with pytest.warns(RuntimeWarning, match="credentials"):
            run.upload_file("a.py", Path(__file__))
        proxy.heal()
        with Workspace.open(ws.path or "", artifacts=f"s3://{bucket}/lab") as other:
            other.get_run(run.id).upload_file("b.py", Path(os.__file__))
            assert waiting(other) == []
        run.complete()


def test_a_forged_file_in_the_waiting_folder_never_reaches_the_store(
    tmp_path: Path, bucket: str
) -> None:
    with create(tmp_path, bucket) as ws:
        forged = tmp_path / "lab" / "waiting" / "ab" / ("ab" * 32)
        forged.parent.mkdir(parents=True)
        forged.write_bytes(b"not what the name says")
        store = session_of(ws).artifacts_of("any")

        with pytest.raises(Exception, match="other bytes"):
            store.deliver()

        forged.unlink()
        assert not store.has("ab" * 32)


def test_a_submitted_run_takes_its_source_from_the_store(tmp_path: Path, bucket: str) -> None:
    set_place(tmp_path / "lab", f"s3://{bucket}/lab")
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text(
        "from pathlib import Path\n"
        "print('hello from the script')\n"
        "Path('outputs').mkdir(exist_ok=True)\n"
        "Path('outputs/model.pt').write_bytes(b'weights')\n"
    )
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        run = Experiment(ws, "exp").submit(ScriptRunConfig(str(source), script="train.py"))
        run.wait_for_completion(raise_on_error=False)

        assert run.get_status() == "Completed", run.get_details()
        assert not (tmp_path / "lab" / "artifacts").exists()
        run.download_file("outputs/model.pt", tmp_path / "model.pt")
        assert (tmp_path / "model.pt").read_bytes() == b"weights"
        logs = run.get_all_logs(tmp_path / "logs")
        assert any("hello from the script" in Path(log).read_text() for log in logs)
        uris = run.get_details()["logFiles"]
        assert all(uri.startswith(f"s3://{bucket}/lab/") for uri in uris.values()), uris


def test_a_submission_is_refused_if_only_an_argument_names_the_store(
    tmp_path: Path, bucket: str
) -> None:
    with create(tmp_path, bucket) as ws, pytest.raises(UserError, match="config.json"):
        Experiment(ws, "exp").submit(ScriptRunConfig(str(tmp_path), script="train.py"))


def test_erasing_a_run_removes_its_objects_and_what_waits(
    tmp_path: Path, bucket: str, proxy: FaultyProxy
) -> None:
    with create(tmp_path, bucket, erasable=True) as ws:
        kept, erased = (
            Experiment(ws, "exp").start_logging(snapshot_directory=None) for _ in range(2)
        )
        for run in (kept, erased):
            run.upload_file("x", Path(__file__))
        proxy.spoil(Fault(status=403, code="AccessDenied"), method="PUT")
        with pytest.warns(RuntimeWarning, match="deliver"):
            erased.upload_file("y", Path(os.__file__))
        kept.complete()
        erased.complete()
        proxy.heal()
        assert waiting(ws)

        ws.erase_run(erased.id, reason="asked by its owner")

        backend = session_of(ws).writable().artifact_backend
        assert list(backend.below(erased.id).names()) == []
        assert waiting(ws) == []
        kept.download_file("x", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == Path(__file__).read_bytes()


def test_a_bundle_carries_files_from_one_store_to_another(tmp_path: Path, bucket: str) -> None:
    with create(tmp_path, bucket) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        run.upload_file("x", Path(__file__))
        run.complete()
        ws.export(tmp_path / "run.bundle", run=run.id)
        assert ws.audit.verify().holds
        with Workspace.create(
            "other", path=tmp_path / "other", artifacts=f"s3://{bucket}/other"
        ) as other:
            other.import_bundle(tmp_path / "run.bundle")
            other.get_run(run.id).download_file("x", tmp_path / "back")

    assert (tmp_path / "back").read_bytes() == Path(__file__).read_bytes()


def test_moving_a_workspace_takes_its_files_out_of_the_store(tmp_path: Path, bucket: str) -> None:
    with create(tmp_path, bucket) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        run.upload_file("x", Path(__file__))
        run.complete()
        ws.copy_to(tmp_path / "moved")
    with Workspace.open(tmp_path / "moved") as moved:
        moved.get_run(run.id).download_file("x", tmp_path / "back")

    assert (tmp_path / "back").read_bytes() == Path(__file__).read_bytes()


def test_small_files_are_fetched_once(
    tmp_path: Path, bucket: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with create(tmp_path, bucket) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        run.upload_file("x", Path(__file__))
        run.complete()
        run.download_file("x", tmp_path / "1")
        proxy.requests.clear()
        run.download_file("x", tmp_path / "2")
        assert proxy.requests == []

        monkeypatch.setenv("RUNLORE_ARTIFACT_CACHE_LIMIT", "0")
        run.download_file("x", tmp_path / "3")

    assert [asked.split()[0] for asked in proxy.requests] == ["GET"]


def test_a_file_that_is_gone_says_where_it_may_wait(tmp_path: Path, bucket: str) -> None:
    with create(tmp_path, bucket) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        run.upload_file("x", Path(__file__))
        run.complete()
        store = session_of(ws).artifacts_of(run.id)
        for sha256 in list(store.digests()):
            store.remove(sha256)

        with pytest.raises(ArtifactMissing, match="runlore artifacts deliver"):
            run.download_file("x", tmp_path / "back")


# --- the place that a log names


def test_a_place_in_the_log_counts_only_for_those_who_trust_it(
    tmp_path: Path, bucket: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"s3://{bucket}/team"
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        run.upload_file("x", Path(__file__))
        run.complete()
        assert ws.place_files(place) >= 1
        run.download_file("x", tmp_path / "mine")

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "somebody else"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache of somebody else"))
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "cache of somebody else"))
    proxy.requests.clear()
    with Workspace.open(tmp_path / "lab") as ws, pytest.raises(PlaceNotTrusted, match="trust"):
        ws.get_run(run.id).download_file("x", tmp_path / "theirs")
    assert proxy.requests == []

    trust([f"s3://{bucket}/other"])
    with Workspace.open(tmp_path / "lab") as ws, pytest.raises(PlaceNotTrusted):
        ws.get_run(run.id).download_file("x", tmp_path / "theirs")

    trust([f"s3://{bucket}"])
    with Workspace.open(tmp_path / "lab") as ws:
        ws.get_run(run.id).download_file("x", tmp_path / "theirs")
        assert ws.audit.verify().holds
    assert (tmp_path / "theirs").read_bytes() == Path(__file__).read_bytes()


def test_an_erasable_workspace_names_no_place_in_its_log(tmp_path: Path, bucket: str) -> None:
    with (
        Workspace.create("lab", path=tmp_path / "lab", erasable=True) as ws,
        pytest.raises(InvalidInput, match="erasable"),
    ):
        ws.place_files(f"s3://{bucket}/x")


def test_pruning_frees_objects(tmp_path: Path, bucket: str) -> None:
    with create(tmp_path, bucket) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        run.upload_file("x.pt", Path(__file__))
        run.complete()

        done = ws.prune_files("x.pt", keep_last=0, dry_run=False, reason="space")

        store = session_of(ws).artifacts_of(run.id)
        assert done.freed_nbytes == Path(__file__).stat().st_size
        assert done.files[0].sha256 not in set(store.digests())


def test_an_object_is_named_with_size_and_digest(tmp_path: Path, bucket: str) -> None:
    with create(tmp_path, bucket) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        run.upload_file("x", Path(__file__))
        stored = artifact_of(handle_of(run), "x")
        uri = session_of(ws).artifacts_of(run.id).uri(stored.sha256 or "")

        run.log_artifact(uri, "again")
        run.log_artifact(f"s3://{bucket}/nothing", "nothing")
        run.complete()

        again, nothing = (artifact_of(handle_of(run), name) for name in ("again", "nothing"))
        assert (again.uri, again.sha256, again.nbytes) == (uri, stored.sha256, stored.nbytes)
        assert (nothing.sha256, nothing.nbytes) == (None, None)


def test_an_object_is_fetched_from_a_bucket_that_the_user_allows(
    tmp_path: Path, bucket: str, proxy: FaultyProxy
) -> None:
    with create(tmp_path, bucket) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        run.upload_file("x", Path(__file__))
        stored = artifact_of(handle_of(run), "x")
        uri = session_of(ws).artifacts_of(run.id).uri(stored.sha256 or "")
        run.log_artifact(uri, "again")
        run.add_reference("other", uri, sha256="0" * 64)
        run.add_reference("nothing", f"s3://{bucket}/nothing")
        target = tmp_path / "fetched"

        proxy.requests.clear()
        with pytest.raises(ReferenceRefused, match="below no place"):
            run.fetch_reference("again", target, allow=[f"s3://{bucket}/la", f"gs://{bucket}"])
        assert proxy.requests == []
        for name, problem in (("other", "the log says 0000"), ("nothing", "nothing")):
            with pytest.raises(ReferenceNotFetched, match=problem):
                run.fetch_reference(name, target, allow=[f"s3://{bucket}"])
        assert not target.exists()
        proxy.spoil(Fault(status=403, code="AccessDenied"))
        with pytest.raises(ReferenceNotFetched, match="it refuses this user's credentials"):
            run.fetch_reference("again", target, allow=[f"s3://{bucket}"])
        proxy.heal()

        run.fetch_reference("again", target, allow=[f"s3://{bucket}/lab/"])

        assert target.read_bytes() == Path(__file__).read_bytes()


def test_an_export_while_the_store_is_away_says_so(
    tmp_path: Path, bucket: str, proxy: FaultyProxy
) -> None:
    with create(tmp_path, bucket) as ws:
        run = Experiment(ws, "exp").start_logging(snapshot_directory=None)
        run.upload_file("x", Path(__file__))
        run.complete()
        proxy.spoil(Fault(status=403))

        with pytest.raises(StoreUnavailable):
            ws.export(tmp_path / "run.bundle", run=run.id)

    assert not (tmp_path / "run.bundle").exists()


FORKED = """
import os, sys, warnings
from runlore import Experiment, Workspace
with Workspace.create("lab", path=sys.argv[1], artifacts=sys.argv[2]) as ws:
    run = Experiment(ws, "exp").start_logging(snapshot_directory=None, outputs=False)
    run.upload_file("before", __file__ if "__file__" in globals() else sys.executable)
    child = os.fork()
    if child == 0:
        run.upload_file("of the child", os.__file__)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    run.complete()
    print(run.id)
"""


def test_files_of_a_forked_process_wait_and_follow(tmp_path: Path, bucket: str) -> None:
    place = f"s3://{bucket}/lab"
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path / "lab"), place],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "forked" in done.stderr

    with Workspace.open(tmp_path / "lab", artifacts=place) as ws:
        assert len(waiting(ws)) == 1
        assert ws.deliver_files() == 1
        ws.get_run(done.stdout.strip()).download_file("of the child", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == Path(os.__file__).read_bytes()

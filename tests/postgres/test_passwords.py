"""Passwords reach the server, and nothing else: no message, event, file, process list or repr."""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from runlore import Experiment, Workspace
from runlore.domain.errors import InvalidInput
from runlore.storage.postgresql.address import address_of
from runlore.storage.postgresql.connections import GET_PASSWORD, Connections
from runlore.storage.postgresql.errors import ServerRefused
from tests.cli.shell import in_this_process
from tests.postgres.logs import log_at
from tests.postgres.server import Server, running_server
from tests.workspaces import start

pytestmark = pytest.mark.processes

SECRET = "s3cr3t-9f8e7d6c5b4a"
WRONG = "wr0ng-1a2b3c4d5e6f"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server that asks the role `ann` for a password."""
    with running_server() as server:
        server.execute(f"CREATE ROLE ann LOGIN PASSWORD '{SECRET}'")
        server.execute("GRANT CREATE ON DATABASE postgres TO ann")
        rules = server.data / "pg_hba.conf"
        rules.write_text(f"host all ann 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        server.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture(autouse=True)
def _no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE", GET_PASSWORD):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "cache"))


def private(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def by_passfile(server: Server, folder: Path, password: str) -> tuple[str, dict[str, str]]:
    text = f"127.0.0.1:{server.port}:*:ann:{password}\n"
    return "", {"PGPASSFILE": private(folder / "pass", text)}


def by_service(server: Server, folder: Path, password: str) -> tuple[str, dict[str, str]]:
    text = f"[lab]\nhost=127.0.0.1\nport={server.port}\ndbname=postgres\nuser=ann\n"
    path = private(folder / "service", f"{text}password={password}\n")
    return "postgresql://?service=lab", {"PGSERVICEFILE": path}


def by_variable(server: Server, folder: Path, password: str) -> tuple[str, dict[str, str]]:
    return "", {"PGPASSWORD": password}


def by_function(server: Server, folder: Path, password: str) -> tuple[str, dict[str, str]]:
    name = f"tokens_of_{folder.name.replace('-', '_')}"
    private(folder / f"{name}.py", f"def token(uri):\n    return {password!r}\n")
    return "", {GET_PASSWORD: f"{name}:token"}


WAYS = [by_passfile, by_service, by_variable, by_function]


def address(
    way: object, server: Server, folder: Path, schema: str, patch: pytest.MonkeyPatch, word: str
) -> str:
    """The URI of a workspace, with the settings that lead to the password."""
    assert callable(way)
    uri, settings = way(server, folder, word)
    for name, value in settings.items():
        patch.setenv(name, value)
    patch.syspath_prepend(str(folder))
    plain = uri or server.uri(user="ann")
    return f"{plain}{'&' if '?' in plain else '?'}schema={schema}"


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_give_a_password(
    way: object, guarded: Server, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "settings"
    folder.mkdir()
    uri = address(way, guarded, folder, schema, monkeypatch, SECRET)
    monkeypatch.setenv("RUNLORE_CAPTURE", "all")

    with Workspace.create("team", path=uri, show_output=False) as ws:
        start(Experiment(ws, "e"), run_id="r").complete()
    with Workspace.open(uri) as ws:
        assert ws.get_run("r").get_status() == "Completed"
        told = "".join(map(repr, ws.events()))
        assert "run.completed" in told
        assert SECRET not in told
        assert SECRET not in uri + str(ws) + repr(ws) + str(ws.get_details())


@pytest.mark.parametrize("way", [None, *WAYS])
def test_a_wrong_password_is_named_in_no_report(
    way: object, guarded: Server, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{guarded.uri(user='ann')}?schema={schema}"
    if way is not None:
        uri = address(way, guarded, tmp_path, schema, monkeypatch, WRONG)
    with pytest.raises(ServerRefused, match="PGPASSFILE") as refusal:
        Workspace.create("team", path=uri, show_output=False)

    report = "".join(
        traceback.TracebackException.from_exception(refusal.value, capture_locals=True).format()
    )
    assert "_connected" in report
    assert WRONG not in report
    assert WRONG not in repr(refusal.value)
    for name in ("show", "list"):
        ran = in_this_process("workspace", name, "-w", uri, "--debug", "--verbose", cwd=tmp_path)
        assert WRONG not in ran.out + ran.err


def test_a_password_that_changes_while_a_process_logs_loses_nothing(
    guarded: Server, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = address(by_passfile, guarded, tmp_path, schema, monkeypatch, SECRET)
    with Workspace.create("team", path=uri, show_output=False) as ws:
        run = start(Experiment(ws, "e"), run_id="r")
        run.log("loss", 0.0)
        guarded.execute(f"ALTER ROLE ann PASSWORD '{WRONG}'")
        try:
            guarded.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ann'"
            )
            with pytest.raises(ServerRefused, match="PGPASSFILE"):
                run.tag("a", "b")
            run.log("loss", 1.0)
            by_passfile(guarded, tmp_path, WRONG)
            run.tag("a", "c")
            run.complete()
        finally:
            guarded.execute(f"ALTER ROLE ann PASSWORD '{SECRET}'")
    by_passfile(guarded, tmp_path, SECRET)
    with Workspace.open(uri) as ws:
        again = ws.get_run("r")
        assert again.get_metrics() == {"loss": [0.0, 1.0]}
        assert again.get_tags() == {"a": "c"}
        assert again.get_status() == "Completed"


def test_a_function_that_is_wrong(
    guarded: Server, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{guarded.uri(user='ann')}?schema={schema}"
    private(tmp_path / "odd_tokens.py", f"def token(uri):\n    return {WRONG.encode()!r}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for named, why in (
        ("odd_tokens:token", "returned no text"),
        ("odd_tokens:missing", "MODULE:FUNCTION"),
        ("no_such_module:token", "MODULE:FUNCTION"),
        ("odd_tokens", "MODULE:FUNCTION"),
        (":", "MODULE:FUNCTION"),
    ):
        monkeypatch.setenv(GET_PASSWORD, named)
        with pytest.raises(InvalidInput, match=why) as refusal:
            log_at(uri)
        told = traceback.TracebackException.from_exception(refusal.value, capture_locals=True)
        assert WRONG not in "".join(told.format())


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql://ann:{SECRET}@127.0.0.1/db",
        f"postgresql://127.0.0.1/db?password={SECRET}",
        f"postgresql://127.0.0.1/db?sslpassword={SECRET}",
        f"postgres://ann:{SECRET}@[127/db",
        f"postgresql://127.0.0.1/db?PASSWORD={SECRET}",
        f"postgresql://127.0.0.1/db?PGPASSWORD={SECRET}",
        f"postgresql://127.0.0.1/db?scram_client_key={SECRET}",
        f"postgresql://127.0.0.1/db?scram_server_key={SECRET}",
        f"postgresql://127.0.0.1/db?oauth_client_secret={SECRET}",
        f"postgresql://ann:a/{SECRET}@127.0.0.1/db",
        f"postgresql://ann:a#{SECRET}@127.0.0.1/db",
        f"postgresql://ann%3A{SECRET}@127.0.0.1/db",
        f"postgresql://127.0.0.1/db?schema=s#{SECRET}",
        f"postgresql:/ann:{SECRET}@127.0.0.1/db",
        f"postgres:ann:{SECRET}@127.0.0.1/db",
        f"host=127.0.0.1 user=ann password={SECRET}",
        f"password = {SECRET} dbname=db",
    ],
)
def test_a_password_in_a_uri_is_refused_and_not_repeated(uri: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Workspace.open(uri)
    ran = in_this_process("run", "list", "-w", uri, cwd=tmp_path)

    assert SECRET not in str(refusal.value)
    assert SECRET not in ran.out + ran.err
    assert ran.code == 1


WORK = """
import sys, time
from runlore import Experiment, Workspace
with Workspace.open(sys.argv[1]) as ws:
    run = Experiment(ws, "e").start_logging(run_id="child")
    run.log("loss", 1.0)
    print("logging", flush=True)
    sys.stdin.read()
    run.complete()
"""


def test_no_file_event_log_or_process_list_has_the_password(
    guarded: Server, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, own = tmp_path / "settings", tmp_path / "own"
    folder.mkdir()
    own.mkdir()
    uri = address(by_passfile, guarded, folder, schema, monkeypatch, SECRET)
    for name in ("RUNLORE_SPOOL_DIR", "RUNLORE_CACHE_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(own / name.lower()))
    monkeypatch.setenv("RUNLORE_CAPTURE", "all")
    monkeypatch.delenv("RUNLORE_QUIET")
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    logging.getLogger().addHandler(handler)
    monkeypatch.chdir(own)
    try:
        with contextlib.redirect_stdout(told), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with Workspace.create("team", path=uri) as ws:
                ws.write_config(str(own))
                run = start(Experiment(ws, "e"), run_id="r")
                run.log("loss", 1.0)
                run.fail("boom")
            child = [sys.executable, "-c", WORK, uri]
            with subprocess.Popen(child, stdin=-1, stdout=-1, stderr=-2) as process:
                assert process.stdout is not None
                assert process.stdin is not None
                while b"logging" not in process.stdout.readline():
                    pass
                shown = [
                    " ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"])
                ]
                process.stdin.close()
                told.write(process.stdout.read().decode())
            in_this_process("audit", "export", "-w", uri, "-o", str(own / "bundle"), cwd=own)
            with closing(log_at(uri)) as log:
                told.write(f"{log!r} {log.connections!r} {log.connections.address!r}")
                with log.connections._lent() as connection:
                    told.write(f"{connection!r} {connection.info!r} {connection.info.dsn}")
    finally:
        logging.getLogger().removeHandler(handler)

    told.write("\n".join(str(one.message) for one in warned))
    assert SECRET not in told.getvalue()
    assert SECRET not in "\n".join(shown)
    files = [path for path in own.rglob("*") if path.is_file()]
    assert any(path.name == "host.json" for path in files)
    assert any(path.name == "config.json" for path in files)
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path
    for table in ("stored_events", "drained", "log_format", "presence"):
        rows = guarded.execute(f"SELECT * FROM {schema}.{table}")
        assert SECRET.encode() not in repr(rows).encode()
    assert SECRET not in repr(Connections(address_of(uri), password=SECRET))
    assert SECRET.encode() not in (guarded.folder / "log").read_bytes()

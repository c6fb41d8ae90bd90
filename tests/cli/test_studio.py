"""`runlore studio` as a person starts it: a process that serves until Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from runlore import Experiment, Workspace
from runlore.domain.errors import InvalidInput
from runlore.studio import server as servers
from runlore.studio.server import Serving, StudioServer
from tests.cli.shell import COMMAND, LIMIT_S, environment, in_this_process, runlore
from tests.fresh_python import run_python

SECRET = "s" * 32


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    with Workspace.create("lab", path=tmp_path / "lab", show_output=False) as ws:
        Experiment(ws, "e").start_logging(
            run_id="r", outputs=False, snapshot_directory=None
        ).complete()
    return tmp_path


@contextmanager
def started(
    *arguments: str, cwd: Path, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, once it has printed the address, and that address."""
    process = subprocess.Popen(
        [*COMMAND, "studio", "-w", "lab", *arguments],
        cwd=cwd,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().rstrip("\n")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.processes
def test_it_prints_its_address_answers_and_ends_with_ctrl_c(lab: Path) -> None:
    with started("--port", "0", cwd=lab) as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        with httpx.Client(base_url=address, trust_env=False, timeout=LIMIT_S) as client:
            assert client.get("api/runs").json()["ids"] == ["r"]
            with client.stream("GET", "api/feed") as stream:
                lines = stream.iter_lines()
                next(lines)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=LIMIT_S)

    assert process.returncode in (0, 130)
    assert (out, err.strip()) == ("", "")


@pytest.mark.processes
def test_another_host_demands_a_token_which_only_the_address_shows(lab: Path) -> None:
    arguments = ("--host", "0.0.0.0", "--port", "0")
    with started(*arguments, cwd=lab, RUNLORE_STUDIO_TOKEN=f"ada:{SECRET}") as (process, address):
        assert address == f"http://{socket.gethostname()}:{port_of(address)}/?token={SECRET}"
        here = f"http://127.0.0.1:{port_of(address)}"
        with httpx.Client(base_url=here, trust_env=False, timeout=LIMIT_S) as client:
            assert client.get("/").status_code == 401
            assert client.get(f"/?token={SECRET}").status_code == 303
            assert client.get("/api/workspace").json()["role"] == "editor"
            change = client.patch(
                "/api/runs/r", json={"set_tags": {"a": "1"}}, headers={"Origin": here}
            )
            assert change.status_code == 200
        assert SECRET not in Path(f"/proc/{process.pid}/cmdline").read_text()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=LIMIT_S)

    assert SECRET not in out + err
    with Workspace.open(lab / "lab") as ws:
        assert [event.actor for event in ws.events(topics="run.tag_set")][-1] == "ada"
        assert not any(SECRET in str(event.data) for event in ws.events())


def test_a_given_port_that_is_taken_is_an_error_with_advice(lab: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ran = runlore("studio", "-w", "lab", "--port", str(port), cwd=lab, code=1)

    assert f"cannot serve at 127.0.0.1:{port}: Address already in use" in ran.err
    assert "--port" in ran.err
    assert ran.out == ""


def test_the_next_port_is_taken_if_the_first_is_not_free(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, Workspace.open(lab / "lab") as ws:
        monkeypatch.setattr(servers, "PORT", other.getsockname()[1])
        first = StudioServer(ws, Serving())
        second = StudioServer(ws, Serving())  # Before the first one serves.
        first.close()
        second.close()

    assert first.port > servers.PORT
    assert second.port > first.port


def test_an_address_of_another_machine_is_an_error(lab: Path) -> None:
    for host in ("192.0.2.1", "no.such.host.invalid", "a" * 300):
        ran = runlore("studio", "-w", "lab", "--host", host, "--port", "0", cwd=lab, code=1)
        assert f"cannot serve at {host}:0: " in ran.err


def test_a_weak_token_is_refused_and_not_shown(lab: Path) -> None:
    ran = runlore("studio", "-w", "lab", cwd=lab, code=1, RUNLORE_STUDIO_TOKEN="ada:hunter2")

    assert "a token is at least 16" in ran.err
    assert "hunter2" not in ran.out + ran.err


def test_a_base_path_that_is_none_is_refused(lab: Path) -> None:
    assert "base path" in runlore("studio", "-w", "lab", "--base-path", "x", cwd=lab, code=1).err


def test_a_workspace_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert runlore("studio", "-w", "nothing", cwd=tmp_path, code=1).out == ""


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(
    lab: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("runlore.studio")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)

    ran = runlore("studio", "-w", "lab", cwd=lab, code=1)

    assert f"the Studio needs {missing}: install it with `pip install 'runlore[studio]'`" in ran.err


@pytest.mark.parametrize(
    ("variables", "options", "opens"),
    [({"DISPLAY": ":0"}, (), True), ({}, (), False), ({"DISPLAY": ":0"}, ("--no-browser",), False),
     ({"DISPLAY": ":0", "RUNLORE_STUDIO_TOKEN": SECRET}, (), False)],
    ids=["desktop", "terminal", "option", "token"],
)  # fmt: skip
def test_a_browser_is_opened_on_a_desktop_and_gets_no_token(
    lab: Path,
    variables: dict[str, str],
    options: tuple[str, ...],
    opens: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    inherited: list[str | None] = []

    def serve(server: StudioServer, when_ready: object) -> None:
        assert callable(when_ready)
        when_ready()
        inherited.append(os.environ.get("RUNLORE_STUDIO_TOKEN"))

    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(StudioServer, "run", serve)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    ran = in_this_process("studio", "-w", "lab", "--port", "0", *options, cwd=lab, **variables)

    assert opened == ([ran.out.strip()] if opens else [])
    assert inherited == [None]


@pytest.mark.processes
def test_nothing_but_the_studio_imports_its_libraries(lab: Path) -> None:
    code = """
import sys
import runlore
from runlore.cli import main
main(["run", "list", "-w", "lab", "-e", "e", "-o", "tsv"])
main(["studio", "--help"])
heavy = {"fastapi", "starlette", "uvicorn", "anyio", "pydantic_settings"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""
    assert run_python(code, cwd=lab).splitlines()[-1] == "[]"


def test_an_address_is_let_go_of_without_serving(lab: Path) -> None:
    with Workspace.open(lab / "lab") as ws:
        server = StudioServer(ws, Serving(port=0))
        server.close()
        server.close()
        with socket.create_server(("127.0.0.1", server.port)):
            pass


def test_names_of_hosts_are_written_as_addresses_have_them(lab: Path) -> None:
    with Workspace.open(lab / "lab") as ws:
        try:
            server = StudioServer(ws, Serving(host="::1", port=0))
        except InvalidInput:
            pytest.skip("this machine has no IPv6")
        server.close()

    assert server.url == f"http://[::1]:{server.port}/"


def port_of(address: str) -> int:
    found = re.search(r":(\d+)/", address)
    assert found is not None
    return int(found[1])

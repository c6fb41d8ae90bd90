"""Outputs that are pipes: what subprocesses print is kept, and comes out whatever happens.

The reader of the pipe sees the same bytes as without a console, in the same order.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runlore import Workspace
from runlore.engine.runs.logs import CONSOLE_LOG, read_log
from runlore.run.run import handle_of
from runlore.testing.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.processes]

BEGIN = """
import os, signal, subprocess, sys, threading, time
before = os.fstat(1).st_ino
import runlore
run = runlore.init("x", workspace=sys.argv[1], quiet=True)

def relays():
    "The other processes that read what is printed."
    found = []
    for pid in {*filter(str.isdigit, os.listdir("/proc"))} - {str(os.getpid())}:
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}") == f"pipe:[{os.fstat(1).st_ino}]":
                    if b"relay_process" in open(f"/proc/{pid}/cmdline", "rb").read():
                        found.append(int(pid))
        except OSError:
            pass
    return set(found)

def shell(line):
    subprocess.run(["sh", "-c", line], check=True)
"""
PRINTED = "first\nof a shell\nlast\n"
PRINTS = "print('first', flush=True)\nshell('echo of a shell')\nprint('last', flush=True)\n"
MANY = 30_000
SEQUENCE = "".join(f"{number}\n" for number in range(1, MANY + 1))


def started(folder: Path, script: str, **options: object) -> subprocess.Popen[bytes]:
    variables = {**os.environ, "RUNLORE_CAPTURE": "console"}
    variables["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", BEGIN + script, str(folder / "ws")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
    return subprocess.Popen(command, env=variables, **pipes)  # type: ignore[call-overload, no-any-return]


def shown(folder: Path, script: str, code: int = 0) -> str:
    """What a script prints into a pipe, which it has for both outputs, until nobody has it open."""
    process = started(folder, script)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == code, out
    return out.decode()


def kept(folder: Path) -> str:
    with Workspace.open(folder / "ws") as ws:
        [(run_id,)] = ws.sql("SELECT run_id FROM runs").fetchall()
        run = ws.get_run(run_id)
        wait_until(lambda: run.get_status() in ("Completed", "Failed", "Canceled"), "it has ended")
        return read_log(handle_of(run), CONSOLE_LOG).decode()


def test_the_output_of_subprocesses_is_kept_in_its_order(tmp_path: Path) -> None:
    assert shown(tmp_path, PRINTS) == PRINTED
    assert kept(tmp_path) == PRINTED


def test_what_a_subprocess_prints_is_seen_while_it_goes_on(tmp_path: Path) -> None:
    program = "subprocess.run(['sh', '-c', 'echo live; exec sleep 600'])"
    process = started(tmp_path, program, start_new_session=True)
    try:
        console = tmp_path / "ws" / "consoles"
        wait_until(lambda: [path.read_text() for path in console.glob("*")] == ["live\n"], "seen")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)


def test_ctrl_c_ends_a_program_and_not_what_it_prints_then(tmp_path: Path) -> None:
    script = """
print("first", flush=True)
try:
    time.sleep(600)
except KeyboardInterrupt:
    shell("echo of a shell")
    print("last", flush=True)
"""
    process = started(tmp_path, script, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == b"first\n"
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b"of a shell\nlast\n")


def test_two_pipes_stay_two(tmp_path: Path) -> None:
    process = started(tmp_path, PRINTS + "shell('echo problem >&2')", stderr=subprocess.PIPE)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert (out.decode(), errors) == (PRINTED, b"problem\n")
    lines = kept(tmp_path).splitlines()
    assert sorted(lines) == ["first", "last", "of a shell", "problem"]


def test_a_lot_of_output_comes_out_whole_and_is_kept(tmp_path: Path) -> None:
    assert shown(tmp_path, f"shell('seq {MANY}')") == SEQUENCE
    assert kept(tmp_path) == SEQUENCE


def test_who_reads_slowly_gets_all(tmp_path: Path) -> None:
    process = started(tmp_path, f"shell('seq {MANY}')")
    assert process.stdout is not None
    out = process.stdout.read(10)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)  # Both pipes are full: it waits, as it would without a console.
    out += process.stdout.read()
    process.stdout.close()
    assert process.wait(60) == 0
    assert out.decode() == SEQUENCE


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_nothing_is_lost_or_blocked_if_the_relay_is(tmp_path: Path, number: int) -> None:
    script = f"""
print("first", flush=True)
one, = relays()
os.kill(one, {int(number)})
shell('seq {MANY}')
assert relays() and one not in relays()
print("last")
"""
    expected = f"first\n{SEQUENCE}last\n"
    assert shown(tmp_path, script) == expected
    assert kept(tmp_path) == expected


def test_nothing_is_lost_if_the_relay_is_killed_again_and_again(tmp_path: Path) -> None:
    script = f"""
child = subprocess.Popen(["sh", "-c", "for n in 1 2 3 4 5 6; do seq {MANY}; sleep 0.1; done"])
killed = 0
while child.poll() is None:
    for pid in relays():
        try:
            os.kill(pid, 9)
            killed += 1
        except ProcessLookupError:
            pass
    time.sleep(0.15)
assert killed > 1
"""
    assert shown(tmp_path, script) == 6 * SEQUENCE


def test_the_program_prints_on_without_the_thread(tmp_path: Path) -> None:
    script = f"""
import ctypes
thread, = [each for each in threading.enumerate() if each.name == "runlore-relay"]
error = ctypes.py_object(SystemExit)
ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), error)
print("first", flush=True)
thread.join(30)
assert not thread.is_alive()
shell('seq {MANY}')
print("last")
"""
    assert shown(tmp_path, script) == f"first\n{SEQUENCE}last\n"


def test_a_subprocess_of_a_killed_program_prints_on(tmp_path: Path) -> None:
    script = """
subprocess.Popen(["sh", "-c", "while kill -0 $PPID 2>/dev/null && [ $PPID = $1 ]; do sleep 0.1;"
                  " p=$(cut -d' ' -f4 /proc/$$/stat); [ $p = $1 ] || break; done; seq 20000", "sh",
                  str(os.getpid())])
print("first", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    out = shown(tmp_path, script, -signal.SIGKILL)
    assert out == "first\n" + "".join(f"{number}\n" for number in range(1, 20_001))


def test_a_sudden_exit_loses_nothing(tmp_path: Path) -> None:
    assert shown(tmp_path, PRINTS + "os._exit(3)", 3) == PRINTED


def test_what_the_program_becomes_prints_on(tmp_path: Path) -> None:
    script = PRINTS + "os.execvp('sh', ['sh', '-c', 'echo of another program'])"
    assert shown(tmp_path, script) == PRINTED + "of another program\n"


def test_forked_children_print_where_their_parent_does(tmp_path: Path) -> None:
    script = """
print("first", flush=True)
if not (pid := os.fork()):
    print("of a child", flush=True)
    shell("echo of its shell")
    os._exit(0)
os.waitpid(pid, 0)
print("last")
"""
    expected = "first\nof a child\nof its shell\nlast\n"
    assert shown(tmp_path, script) == expected
    assert kept(tmp_path) == expected


def test_a_daemon_that_has_closed_its_outputs_lets_the_reader_end(tmp_path: Path) -> None:
    script = """
if not os.fork():
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    time.sleep(600)
    os._exit(0)
print("last")
"""
    process = started(tmp_path, script, start_new_session=True)
    try:
        out, _ = process.communicate(timeout=60)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, out) == (0, b"last\n")


def test_a_reader_that_goes_away_ends_the_program(tmp_path: Path) -> None:
    script = """
print("first", flush=True)
subprocess.Popen(["yes"])
while True:
    print("more", flush=True)
"""
    process = started(tmp_path, script, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"first\n"
    process.stdout.close()
    with process.stderr as errors:
        assert b"BrokenPipeError" in errors.read()
    assert process.wait(60) == 1


def test_the_program_has_no_child_that_it_did_not_start(tmp_path: Path) -> None:
    script = """
try:
    os.wait()
except ChildProcessError:
    print("no child")
"""
    assert shown(tmp_path, script) == "no child\n"


def test_the_relay_ends_with_the_run_and_the_output_goes_as_it_went(tmp_path: Path) -> None:
    script = f"""
assert os.fstat(1).st_ino == os.fstat(2).st_ino != before
pids = relays()
shell('seq {MANY}')
run.complete()
print("after the run", flush=True)
assert os.fstat(1).st_ino == os.fstat(2).st_ino == before
while any(os.path.exists(f"/proc/{{pid}}") for pid in pids):
    time.sleep(0.01)
"""
    assert shown(tmp_path, script) == f"{SEQUENCE}after the run\n"
    assert kept(tmp_path) == SEQUENCE


def test_two_runs_have_one_relay(tmp_path: Path) -> None:
    script = """
one = relays()
other = runlore.init("y", workspace=sys.argv[1], quiet=True)
assert relays() == one
shell("echo of a shell")
"""
    assert "of a shell\n" in shown(tmp_path, script)


def test_outputs_that_the_program_has_led_elsewhere_stay_there(tmp_path: Path) -> None:
    script = """
with open(sys.argv[1] + ".txt", "w") as file:
    os.dup2(file.fileno(), 1)
print("into the file", flush=True)
run.complete()
shell("echo also")
"""
    assert shown(tmp_path, script) == ""
    assert (tmp_path / "ws.txt").read_text() == "into the file\nalso\n"


def test_a_program_that_closes_all_descriptors_prints_on(tmp_path: Path) -> None:
    script = """
run.complete()
again = runlore.init("x", workspace=sys.argv[1] + "2", quiet=True, end_at_exit=False)
print("first", flush=True)
os.closerange(3, 1000)
files = [open("/dev/null") for _ in range(50)]
shell("echo of a shell")
print("last", flush=True)
for file in files:
    os.fstat(file.fileno())
os._exit(0)
"""
    assert shown(tmp_path, script) == PRINTED


@pytest.mark.parametrize(
    "hinders",
    [
        "os.getppid = lambda: 1",
        "sys.executable = ''",
        "sys.executable = '/bin/false'",
        "import fcntl; fcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK)",
        "import fcntl; fcntl.fcntl(1, fcntl.F_SETFL, os.O_APPEND)",
    ],
)
def test_without_a_relay_what_passes_the_streams_is_kept(tmp_path: Path, hinders: str) -> None:
    script = f"""
run.complete()
{hinders}
run = runlore.init("y", workspace=sys.argv[1] + "2", quiet=True)
assert os.fstat(1).st_ino == before
{PRINTS}
run.complete()
print(run.get_file_names())
"""
    assert shown(tmp_path, script) == f"{PRINTED}['{CONSOLE_LOG}']\n"

"""Attacks on a workspace's folder: each thing in it is replaced by what leads elsewhere or hangs.

    python -m tests.hostile.folders [PART [N]]

prints a table of what was tried and what happened, in every N-th case whose text has PART.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from runlore import Experiment, Workspace
from runlore.audit.verify import verify_folder
from runlore.domain.errors import RunloreError
from runlore.engine.repair import condition_of, settle_moved
from runlore.storage.held_path import hold
from runlore.storage.held_trees import remove_tree
from runlore.testing.children import Child
from runlore.workspace import session_of
from tests.hostile import rich_workspace

LIMIT_S: Final = 60.0
"""To remove 10,000 folders takes 3 s, and more on a busy machine; what hangs does so for ever."""
MARK: Final = b"private to the user: 5c7f0a9e"
"""What is in each file outside of the workspace."""
_DEPTH: Final = 10_000
_ORDINARY: Final = 65_534


class Entry(NamedTuple):
    """Something in the folder, by its path below it."""

    path: str
    is_folder: bool


class Case(NamedTuple):
    """One attack on one thing in the folder."""

    attack: str
    entry: Entry

    def __str__(self) -> str:
        return f"{self.entry.path} <- {self.attack}"


@dataclass
class Outcome:
    """What happened: `problems` are what must not; `refused` what was refused, by operation."""

    case: Case
    problems: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0


# --- the attacks ----------------------------------------------------------------------------------


def _link_to(target: str) -> Callable[[Path, Path], None]:
    def attack(victim: Path, outside: Path) -> None:
        victim.symlink_to(outside / target)

    return attack


def _hard_link(victim: Path, outside: Path) -> None:
    os.link(outside / "precious.txt", victim)


def _pipe(victim: Path, outside: Path) -> None:
    os.mkfifo(victim)


def _file(victim: Path, outside: Path) -> None:
    victim.write_bytes(b"x" * 100)


def _socket(victim: Path, outside: Path) -> None:
    # By a short path: those of sockets have at most 107 bytes.
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(victim.parent)
        made.bind(victim.name)
        os.chdir(here)


def _device(number: int) -> Callable[[Path, Path], None]:
    def attack(victim: Path, outside: Path) -> None:
        os.mknod(victim, 0o666 | stat.S_IFCHR, os.makedev(1, number))

    return attack


def _deep(victim: Path, outside: Path) -> None:
    victim.mkdir()
    fd = os.open(victim, os.O_RDONLY)
    for _ in range(_DEPTH):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


ATTACKS: Final[dict[str, Callable[[Path, Path], None]]] = {
    "link to a file": _link_to("precious.txt"),
    "link to a folder": _link_to("photos"),
    "link to nothing": _link_to("photos/new"),
    "link to itself, moved out": _link_to("moved"),
    "pipe": _pipe,
    "socket": _socket,
    "hard link": _hard_link,
    "folder": lambda victim, outside: victim.mkdir(),
    "file": _file,
    "10,000 folders": _deep,
    "null device": _device(3),
    "zero device": _device(5),
    "no rights": lambda victim, outside: None,
}


def strike(case: Case, workspace: Path, outside: Path) -> None:
    """Replace an entry of the workspace."""
    victim = workspace / case.entry.path
    if case.attack == "no rights":
        victim.chmod(0)
        return
    if case.attack.endswith("moved out"):
        victim.rename(outside / "moved")
    elif case.entry.is_folder:
        shutil.rmtree(victim)
    else:
        victim.unlink()
    ATTACKS[case.attack](victim, outside)


def cases(workspace: Path) -> list[Case]:
    """All attacks on all that is in the workspace."""
    entries = [
        Entry(str(path.relative_to(workspace)), path.is_dir())
        for path in sorted(workspace.rglob("*"))
    ]
    return [
        Case(attack, entry)
        for entry in entries
        for attack in ATTACKS
        if attack != ("folder" if entry.is_folder else "file")
        and not (attack.endswith("device") and os.geteuid() != 0)
    ]


# --- what the victim does -------------------------------------------------------------------------


def operations(folder: Path, scratch: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is done with the workspace, one thing after the other."""
    opened: list[Workspace] = []

    def ws() -> Workspace:
        if not opened:
            opened.append(Workspace.open(folder))
        return opened[0]

    def log() -> None:
        run = Experiment(ws(), "e").start_logging(outputs=False, snapshot_directory=None)
        run.log("loss", 1.0)
        (scratch / "made.txt").write_text("made")
        run.upload_file("made.txt", str(scratch / "made.txt"))
        run.complete()

    def read_runs() -> None:
        for run in Experiment(ws(), "e").get_runs():
            run.get_metrics()
            run.get_details()

    def read_files() -> None:
        for run in ws().get_run("ended"), *Experiment(ws(), "explore-runs").get_runs():
            run.get_file_names()
            run.download_files(output_directory=str(scratch / "downloaded"))

    yield "verify", lambda: verify_folder(folder)
    yield "look", lambda: condition_of(hold(folder))
    yield "open", ws
    yield "list", lambda: list(Experiment(ws(), "e").get_runs())
    yield "read", read_runs
    yield "sql", lambda: ws().sql("SELECT count(*) FROM metric_points").fetchall()
    yield "files", read_files
    yield (
        "logs",
        lambda: [
            run.get_details_with_logs() for run in Experiment(ws(), "explore-runs").get_runs()
        ],
    )
    yield "targets", lambda: [target.get_status() for target in ws().compute_targets.values()]
    yield "log", log
    yield "checkpoints", lambda: ws().audit.checkpoints()
    yield "keys", lambda: ws().audit.trusted_keys()
    yield "export", lambda: ws().export(scratch / "all.bundle")
    yield "settle", lambda: settle_moved(session_of(ws()).writable())
    yield "again", lambda: Workspace.open(folder).close()
    yield "close", lambda: ws().close()


def _victim(folder: Path, scratch: Path, user: int | None) -> tuple[list[str], list[str]]:
    """Problems and refusals, in a process of its own."""
    os.chdir(scratch)
    os.environ["RUNLORE_CACHE_DIR"] = str(scratch / "cache")
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    warnings.simplefilter("ignore")
    problems, refused = [], []
    for name, operation in operations(folder, scratch):
        try:
            operation()
        except RunloreError as error:
            refused.append(f"{name}: {type(error).__name__}: {error}")
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{name}: {type(error).__name__}: {error}"
            problems.append(f"{what} ({Path(where.filename).name}:{where.lineno})")
    return problems, refused


# --- one case -------------------------------------------------------------------------------------


def attempt(case: Case, original: Path, top: Path) -> Outcome:
    """Attack a copy of the workspace, let a victim use it, and look at what changed."""
    folder = Path(tempfile.mkdtemp(dir=top))
    outcome = Outcome(case)
    began = time.monotonic()
    try:
        outside, scratch = folder / "outside", folder / "scratch"
        _make_outside(outside)
        scratch.mkdir()
        workspace = rich_workspace.copied(original, folder / "lab")
        user = _ORDINARY if case.attack == "no rights" and os.geteuid() == 0 else None
        if user is not None:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user, user, follow_symlinks=False)
        strike(case, workspace, outside)
        before = _seen(outside)
        _watch(outcome, lambda: _victim(workspace, scratch, user))
        outcome.problems += _changes(before, _seen(outside))
        if case.attack != "hard link":  # Only the user can have made one to a file of theirs.
            outcome.problems += _taken(workspace, outside)
    finally:
        outcome.seconds = time.monotonic() - began
        remove_tree(hold(top) / folder.name)
    return outcome


def _watch(outcome: Outcome, victim: Callable[[], tuple[list[str], list[str]]]) -> None:
    child = Child(victim)
    if child.has_ended(LIMIT_S):
        outcome.problems, outcome.refused = child.result()
        return
    os.kill(child.pid, signal.SIGKILL)
    os.waitpid(child.pid, 0)
    child.let_go()
    outcome.problems.append(f"hung for {LIMIT_S:.0f} s")


def _make_outside(outside: Path) -> None:
    (outside / "photos").mkdir(parents=True)
    (outside / "precious.txt").write_bytes(MARK)
    for number in range(3):
        (outside / "photos" / f"{number}.jpg").write_bytes(MARK + bytes([number]) * 1000)
    (outside / "photos" / "inner").mkdir()


def _seen(outside: Path) -> dict[str, tuple[object, ...]]:
    """All that a change of the folder would change."""
    seen: dict[str, tuple[object, ...]] = {}
    for path in (outside, *sorted(outside.rglob("*"))):
        found = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
        name = str(path.relative_to(outside))
        seen[name] = found.st_mode, found.st_uid, found.st_mtime_ns, content
    return seen


def _changes(
    before: dict[str, tuple[object, ...]], after: dict[str, tuple[object, ...]]
) -> list[str]:
    changed = [name for name in before.keys() & after.keys() if before[name] != after[name]]
    return [
        *(f"outside: {name} was removed" for name in before.keys() - after.keys()),
        *(f"outside: {name} was made" for name in after.keys() - before.keys()),
        *(f"outside: {name} was changed" for name in changed),
    ]


def _taken(workspace: Path, outside: Path) -> list[str]:
    """Files of the workspace that hold what is outside, without those that are the same file."""
    own = {(found.st_dev, found.st_ino) for found in map(os.lstat, outside.rglob("*"))}
    problems = []
    for top, folders, names in os.walk(workspace):
        if len(Path(top).relative_to(workspace).parts) > 50:
            folders.clear()
        for name in names:
            path = os.path.join(top, name)
            found = os.lstat(path)
            if stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) not in own:
                with suppress(PermissionError), open(path, "rb") as file:
                    if MARK in file.read():
                        problems.append(f"taken: {os.path.relpath(path, workspace)} holds it")
    return problems


# --- all of them ----------------------------------------------------------------------------------


def run(chosen: Sequence[Case], original: Path, top: Path) -> Iterator[Outcome]:
    """The outcomes of the cases, after a look that all works where nothing was replaced."""
    warm = Path(tempfile.mkdtemp(dir=top))

    def as_it_is() -> tuple[list[str], list[str], list[str]]:
        found = _victim(rich_workspace.copied(original, warm / "lab"), warm, None)
        return *found, list(sys.modules)

    problems, refused, modules = Child(as_it_is).result()
    assert not problems and not refused, (problems, refused)
    for name in modules:  # Other users may not be allowed to read them.
        with suppress(ImportError):
            importlib.import_module(name)
    for case in chosen:
        yield attempt(case, original, top)


@contextmanager
def arena() -> Iterator[Path]:
    """A folder for cases, which other users may enter: those of some cases are.

    In memory if possible: some disks take half a minute to remove 10,000 folders.
    """
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    top = Path(tempfile.mkdtemp(prefix="runlore-hostile-", dir=memory))
    top.chmod(0o755)
    try:
        yield top
    finally:
        remove_tree(hold(top.parent) / top.name)


def main(wanted: str = "", every: str = "1") -> int:
    """Print what was tried and what happened; the number of cases in which something must not."""
    bad = 0
    with arena() as top:
        os.environ["XDG_CONFIG_HOME"] = str(top / "config")
        os.environ["RUNLORE_CACHE_DIR"] = str(top / "cache")
        original = rich_workspace.make(top / "original")
        chosen = [case for case in cases(original) if wanted in str(case)][:: int(every)]
        for outcome in run(chosen, original, top):
            bad += bool(outcome.problems)
            print(f"{outcome.seconds:5.2f} s  {outcome.case}", flush=True)
            for problem in outcome.problems:
                print(f"         MUST NOT  {problem[:300]}", flush=True)
            for refusal in outcome.refused:
                print(f"         refused   {refusal[:200]}", flush=True)
    print(f"{len(chosen):,} cases, {bad:,} in which something happened that must not")
    return bad


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))

"""A log that grows: it follows its end, and counts new lines for a person who reads above."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from runlore import Experiment, ScriptRunConfig, Workspace
from tests.processes import LIMIT_S, start_python, wait_until
from tests.studio.browser.conftest import Opened
from tests.studio.browser.test_charts import LOGGING

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)

SCRIPT = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
print("\\n".join(f"early {number}" for number in range(300)), flush=True)
for name in ("first", "second"):
    while not (folder / name).exists():
        time.sleep(0.05)
    print("\\n".join(f"{name} {number}" for number in range(12)), flush=True)
while True:
    time.sleep(1)
"""
FROM_TOP = "(log) => log.scrollTop"
FROM_END = "(log) => log.scrollHeight - log.scrollTop - log.clientHeight"


def test_durations_of_active_runs_go_on_by_the_second(open_page: Opened, lab: Workspace) -> None:
    """The process is stopped, so nothing is recorded, and the pages ask for nothing."""
    process = start_python(LOGGING, lab.path)
    try:
        assert process.stdin
        assert process.stdout
        run_id = process.stdout.readline().strip()
        process.stdin.write("loss 1\n")  # It has begun with its first value.
        process.stdin.flush()
        process.stdout.readline()
        started = lab.get_run(run_id)
        wait_until(lambda: started.get_details().get("startTimeUtc") is not None, "its start")
        process.send_signal(signal.SIGSTOP)
        for path, place in (
            ("/e/spoken", ".grid-row .lasted"),
            (f"/run/{run_id}", ".run-head .lasted"),
            (f"/e/spoken?drawer={run_id}", ".drawer .lasted"),
            (f"/compare?run={run_id}&show=parameters", ".compared .lasted"),
        ):
            page = open_page(path)
            shown = page.locator(place)
            if place.startswith(".compared"):
                page.get_by_label("show all").check()
            for _ in range(2):
                before = shown.inner_text()
                expect(shown).not_to_have_text(before)
            context = page.context
            page.close()
            context.close()
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def test_a_bar_counts_new_lines_while_one_reads_above(
    open_page: Opened, lab: Workspace, tmp_path: Path
) -> None:
    source, signs = tmp_path / "source", tmp_path / "signs"
    source.mkdir()
    signs.mkdir()
    (source / "train.py").write_text(SCRIPT)
    config = ScriptRunConfig(source, script="train.py", arguments=[str(signs)])
    run = Experiment(lab, "logging").submit(config)
    try:
        page = open_page(f"/run/{run.id}/logs")
        log = page.get_by_role("log")
        bar = page.get_by_role("button", name="new lines")
        expect(log).to_contain_text("early 299")
        expect(bar).to_have_count(0)
        log.focus()
        page.keyboard.press("Home")
        wait_until(lambda: log.evaluate(FROM_TOP) == 0, "the log to show its beginning")

        (signs / "first").touch()
        expect(bar).to_have_text("12 new lines ↓")
        assert log.evaluate(FROM_TOP) == 0  # Nothing moves under the reader's eyes.
        bar.click()
        expect(bar).to_have_count(0)

        (signs / "second").touch()
        expect(log).to_contain_text("second 11")
        expect(bar).to_have_count(0)  # It follows.
        assert log.evaluate(FROM_END) < 2
    finally:
        run.cancel()

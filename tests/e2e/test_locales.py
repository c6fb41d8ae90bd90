"""Programs in the locales of C and POSIX, where Python's texts are ASCII unless told otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = r"""
import runlore, sys
ws = runlore.Workspace.create("lab", path=sys.argv[1])
exp = runlore.Experiment(ws, "esperimento-\u00e9")
run = exp.start_logging(outputs=False, snapshot_directory=None, run_id="r")
run.log("p\u00e9rdida", 0.5)
run.tag("qualit\u00e9", "\u4e2d\u6587")
run.add_properties({"\u043a\u043b\u044e\u0447": "1"})
run.complete()
print([each.id for each in exp.get_runs(tags={"qualit\u00e9": "\u4e2d\u6587"})])
print(ws.sql("select metric, n from metrics").fetchall() == [("p\u00e9rdida", 1)])
ws.write_config(sys.argv[1] + "-project")
print(runlore.Workspace.from_config(sys.argv[1] + "-project").name)
ws.audit.report(sys.argv[1] + "-report.html", run=run.id)
ws.export(sys.argv[1] + ".bundle")
print(ws.audit.verify().log.holds)
"""


@pytest.mark.processes
@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_everything_works_in_a_locale_without_unicode(tmp_path: Path, locale: str) -> None:
    (tmp_path / "lab-project").mkdir()
    environment = {
        **os.environ,
        "LC_ALL": locale,
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", PROGRAM, tmp_path / "lab"],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['r']", "True", "lab", "True"]
    assert "EncodingWarning" not in done.stderr

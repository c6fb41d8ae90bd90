"""trackio over its local files: a failure is an alert, as its documentation shows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from traceback import format_exc

from benchmarks.studio.beside.moved_clock import late_by
from benchmarks.studio.beside.trainings import EXPERIMENT, Training

_LINES_AT_ONCE = 10


class _Logged:
    def __init__(self, file: Path) -> None:
        import trackio

        self._trackio = trackio
        self._file = file
        self._lines: list[str] = []

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        self._trackio.log(dict(values), step=epoch)

    def say(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) % _LINES_AT_ONCE == 0:
            self.keep()

    def keep(self) -> None:
        self._file.write_text("\n".join(self._lines))
        self._trackio.save(self._file, project=EXPERIMENT)


@contextmanager
def run(folder: Path, training: Training) -> Iterator[_Logged]:
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")
    import trackio  # It reads the variable when it is imported.
    import trackio.run
    import trackio.sqlite_storage

    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    with late_by(training.ago_h, trackio.run, trackio.sqlite_storage):
        trackio.init(
            project=EXPERIMENT,
            name=training.name,
            config={**training.config, **training.tags},
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        logged = _Logged(logs / f"{training.name}.log")
        try:
            yield logged
        except Exception as error:
            logged.say(format_exc())
            trackio.alert(str(error), format_exc(), level=trackio.AlertLevel.ERROR)
            raise
        finally:
            logged.keep()
            trackio.finish()


def change_tag(folder: Path, name: str) -> None:
    """Nothing: a run's config cannot be changed once it has begun, and it has no tags."""

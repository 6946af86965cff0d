"""The run folder of a script that is watched: the record lies there while the script runs, the
report when it has ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.core.atomic import write_bytes
from netwright.tasks.doctored import in_order, steps_of
from netwright.tasks.launching import Ending
from netwright.tasks.provenance import git_state, now, versions
from netwright.train.run_folder import RunFolder

if TYPE_CHECKING:  # at run time they bring torch, which the script must import by itself
    from netwright.doctor.diagnosis import Diagnosis
    from netwright.records.facts.setup import Setup


class WatchedFolder:
    """One folder for all patients of a script: the first lies in it, others in folders below.

    Nothing is made before the first patient is there. `run_dir` is the folder itself, else it gets
    a new name where the command was started: the script may change its folder.
    """

    def __init__(self, run_dir: Path | None, *, label: str, command: str) -> None:
        self._root = Path(os.environ.get("NETWRIGHT_RUNS") or "runs").absolute()
        self._run_dir = run_dir.absolute() if run_dir is not None else None
        self._label, self._command = label, command
        self._git, self._started, self._clock = git_state(), now(), time.monotonic()
        self._folder: RunFolder | None = None

    @property
    def path(self) -> Path | None:
        """Where it lies, once there is a patient."""
        return self._folder.path if self._folder is not None else None

    def place(self, number: int, setup: Setup) -> Path:
        """The folder of a patient, which is made; that of the whole run with the first one."""
        if self._folder is None:
            self._folder = self._opened(setup)
        place = self._folder.path if number == 1 else self._folder.path / f"patient-{number}"
        place.mkdir(exist_ok=True)
        return place

    def _opened(self, setup: Setup) -> RunFolder:
        folder = RunFolder.create(
            self._run_dir, name_parts=[Path(self._label).stem, setup.model], root=self._root
        )
        folder.write_info(
            kind="doctor",
            why="",
            command=self._command,
            versions=versions(),
            git=self._git,
            device=setup.device,
            seed=None,
            started=self._started,
            ended=None,
            best=None,
            epochs=0,
            steps=0,
        )
        folder.write_model(
            {
                "format": 1,
                "task": "watched",
                "architecture": {"name": setup.model},
                "params": setup.params,
                "data": {"name": self._label},
            }
        )
        write_bytes(folder.path / "findings.jsonl", b"")
        folder.point_latest()
        return folder

    def write_findings(self, found: Mapping[int, Diagnosis]) -> None:
        """What stands by now, of all patients."""
        assert self._folder is not None
        lines = [
            json.dumps({**finding.to_json(), "patient": number}, ensure_ascii=False)
            for number, finding in in_order(found)
        ]
        write_bytes(
            self._folder.path / "findings.jsonl",
            "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"),
        )

    def write_ending(self, ending: Ending, found: Mapping[int, Diagnosis]) -> None:
        """How the script ended, and the report. The folder is given free."""
        from netwright.records.run import Run
        from netwright.report.page import write_report
        from netwright.tasks.watched_metrics import metrics_of

        assert self._folder is not None
        for line in metrics_of(next(iter(found.values())).record):
            self._folder.append_metrics(line)
        self._folder.write_info(
            status={"error": "failed", "interrupted": "interrupted"}.get(ending.why, "done"),
            why=ending.why,
            exit=ending.status,
            ended=now(),
            seconds=round(time.monotonic() - self._clock, 3),
            steps=steps_of(found),
        )
        write_report(Run(self._folder.path))
        self._folder.close()

"""The runs of one repair, each in a process of its own: the script as it is, trials, and patched
scripts that may run to their end."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

from netwright.core import languages
from netwright.tasks.doctoring import Wish
from netwright.tasks.launching import Target
from netwright.tasks.repair.jobs import Job, Shown, Told
from netwright.tasks.repair.process import Process, Server
from netwright.tasks.source.script import Script

SPARING = 0.005
"""The share of its time that a trial is watched: only what judges is wanted of it."""


class Runs:
    """Starts them; all rest at the `marks`, and those of one seed see the same random numbers.
    With `aside` what is shown of them goes to standard error. Used in a `with`."""

    def __init__(self, target: Target, wish: Wish, marks: tuple[int, ...], *, aside: bool) -> None:
        self.marks = marks
        self._target, self._wish, self._aside = target, wish, aside
        self._server = Server()

    def first(self, heard: Callable[[Told | Shown], None]) -> Process:
        """The script as it is, watched as it would be without a repair."""
        return Process(self._job(self._wish), shown=True, aside=self._aside, heard=heard)

    def patched(self, script: Script) -> Process:
        """A patched script that may run to its end: watched and shown, kept in no folder."""
        wish = dataclasses.replace(self._wish, keep=False)
        return Process(self._job(wish, script), shown=True, aside=self._aside)

    def trial(self, script: Script, seed: int) -> Process:
        """A short run that is only judged, and heard by nobody."""
        wish = dataclasses.replace(
            self._wish, keep=False, run_dir=None, tensorboard=False, steps=None, minutes=None,
            checkup=False, budget=SPARING,
        )  # fmt: skip
        return Process(self._job(wish, script, seed=seed, trial=True), server=self._server)

    def _job(
        self, wish: Wish, script: Script | None = None, *, seed: int = 0, trial: bool = False
    ) -> Job:
        return Job(
            target=self._target,
            wish=wish,
            parent=os.getpid(),
            source=script.data if script is not None else None,
            seed=seed,
            marks=self.marks,
            trial=trial,
            language=languages.current(),
        )

    def __enter__(self) -> Runs:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

"""What a process that runs a script is told, and what it answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.doctored import Doctored
from netwright.tasks.doctoring import Wish
from netwright.tasks.launching import Target


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run of a script: `source` in the place of its own, `seed` before it begins, and it rests
    at each of the `marks` (steps) to be judged, until it is told to go on. A `trial` writes
    nothing of what it saves by `torch.save`."""

    target: Target
    wish: Wish
    parent: int
    source: bytes | None = None
    seed: int | None = None
    marks: tuple[int, ...] = ()
    trial: bool = False
    language: str = "en"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How a run stands at a step. `score` is the judge's, the higher the better, None where
    nothing could be judged; `doubt` its standard error; `fallen` the last losses over the first.
    `last` is said of a run that has come to its end, or ended in an `error`."""

    step: int
    score: float | None = None
    kind: str = ""
    doubt: float = 0.0
    samples: int = 0
    source: str = ""
    """What it was judged on: `validation`, `training`, or the batches that went by, `passed`."""
    judged_on: str = ""
    """A digest of the labels of these samples and of how many there are in all."""
    fallen: float = math.nan
    last: bool = False
    error: str = ""
    findings: tuple[Finding, ...] = ()
    unfit: Phrase | None = None
    """Why this training cannot be repaired by patches."""

    @property
    def measure(self) -> tuple[str, str, str]:
        """What two marks must have in common to be compared: a patch that leaves rows out of the
        validation data has another one."""
        return self.kind, self.source, self.judged_on

    @property
    def value(self) -> float:
        return -math.inf if self.score is None or self.error else self.score


@dataclass(frozen=True)
class Told:
    word: str
    what: Phrase


@dataclass(frozen=True)
class Shown:
    finding: Finding
    where: str


@dataclass(frozen=True)
class Ended:
    done: Doctored


Message = Mark | Told | Shown | Ended

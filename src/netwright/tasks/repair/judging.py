"""The judge of a script's training: how well its model does on data that it validates by, else on
data that it is trained on. The loss does not count, for a patch may have changed it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from netwright.core.languages import Phrase
from netwright.core.unheard import unheard
from netwright.doctor.patient import first_tensor
from netwright.doctor.quiet import RandomState
from netwright.doctor.trials.judge import Judge, judge_for
from netwright.doctor.watching.program import Case, Program
from netwright.records.findings import Finding
from netwright.tasks.repair.hearing import MOST, Hearing
from netwright.tasks.repair.jobs import Mark
from netwright.tasks.repair.judging_data import JudgingData, Read

SECONDS = 10.0
"""What reading the samples that judge may take."""


class Bench:
    """Judges the model that a program trains; `backward` is told the number of each backward
    pass."""

    def __init__(self, program: Program, backward: Callable[[int], None]) -> None:
        self._hearing = Hearing(program, looked=lambda: self._data.hold(), passed=backward)
        self._data = JudgingData(program, self._hearing)

    @property
    def case(self) -> Case | None:
        """The patient who took most steps."""
        return self._hearing.case

    def mark(
        self,
        step: int,
        *,
        findings: tuple[Finding, ...] = (),
        unfit: Phrase | None = None,
        last: bool = False,
        error: str = "",
    ) -> Mark:
        """How the run stands; nothing of it is changed by looking."""
        fallen = self._hearing.fallen
        if math.isinf(fallen) and not error:
            error = "the loss is not finite"
        mark = Mark(
            step=step, fallen=fallen, last=last, error=error, findings=findings, unfit=unfit
        )
        return self._judged(mark) if not error else mark

    def _judged(self, mark: Mark) -> Mark:
        case = self.case
        model = case.doctor.patient.model if case is not None and case.doctor is not None else None
        if model is None:
            return mark
        self._hearing.paused, random = True, RandomState()
        modes = [(each, each.training) for each in model.modules()]
        try:
            model.eval()
            with torch.no_grad(), unheard():
                self._data.hold()
                for source, data in self._data.sources():
                    found = None
                    with contextlib.suppress(Exception):
                        found = self._score(model, data)
                    if found is not None:
                        kind, value, doubt, samples = found
                        return dataclasses.replace(
                            mark, score=value, kind=kind, doubt=doubt, samples=samples,
                            source=source, judged_on=data.digest,
                        )  # fmt: skip
            return mark
        finally:
            for each, training in modes:
                each.training = training
            random.restore()
            self._hearing.paused = False

    def _score(self, model: Any, data: Read) -> tuple[str, float, float, int] | None:
        place = next((each.device for each in model.parameters()), torch.device("cpu"))
        outputs: list[Tensor] = []
        targets: list[Tensor] = []
        samples, began = 0, time.monotonic()
        for inputs, target in data:
            output = first_tensor(model(inputs.to(place)))
            if output is None or len(output) != len(target):
                return None
            outputs.append(output.detach().cpu())
            targets.append(target.detach().cpu())
            samples += len(target)
            if samples >= MOST or time.monotonic() - began > SECONDS:
                break
        if not samples:
            return None
        judge: Judge = judge_for(outputs[0], targets, loss=self._hearing.loss)
        if judge.kind == "accuracy of labels" and self._hearing.threshold is not None:
            judge = judge.reading(self._hearing.threshold)
        parts = [judge.reduced(*each) for each in zip(outputs, targets, strict=True)]
        value = judge.score(parts)
        if judge.kind != "R2" and not all(bool(each.isfinite().all()) for each in outputs):
            value = -math.inf
        return judge.kind, value, judge.doubt(value, samples), samples

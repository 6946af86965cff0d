"""Which classes come by and which are answered, at the steps that are looked at."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from netwright.doctor.patient import first_tensor, losses_of, rowwise
from netwright.doctor.tape import Call, Objective
from netwright.records.facts.answers import Answers

MOST = 256
"""Looks whose spread is remembered; of more, every other one of the older half is left out."""

RECENT = 10
"""Looks whose answers are counted together."""

CLASSES = 1000
"""Classes above which nothing is counted: words of a language are uneven by nature."""

LABELS = 65_536
"""Labels of one look that are counted; of a larger mask every so-manieth place is."""

DIFFERENCES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
OVER_CLASSES = ("cross_entropy", "nll_loss", "multi_margin_loss")
BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits")


class Tally:
    """Counts in bounded memory; one look costs a few reductions of the loss's own input."""

    def __init__(self) -> None:
        self._spreads: list[tuple[int, float]] = []
        self._recent: deque[tuple[int, Tensor]] = deque(maxlen=RECENT)
        self._labels: Tensor | None = None
        self._samples = 0
        self._differ = True
        self._binary = self._places = False
        self._targets: list[float] = []
        self._forms: set[tuple[object, ...]] = set()

    def note(self, step: int, objective: Objective) -> None:
        """The loss of one step, before its backward pass."""
        calls = losses_of(objective)
        self._forms.add(tuple(map(_form, calls)))
        call = next(iter(calls), None)
        output = first_tensor(call.args or tuple(call.kwargs.values())) if call else None
        modules = objective.modules
        if call is None or output is None or not modules or not output.is_floating_point():
            return
        if not rowwise(output):
            return
        with torch.no_grad():
            self._spread(step, output.detach(), first_tensor((modules[0].args, modules[0].kwargs)))
            self._count(step, call, output.detach())

    def _spread(self, step: int, output: Tensor, given: Tensor | None) -> None:
        if output.ndim < 1 or len(output) < 4:
            return
        values = output.float().reshape(len(output), -1)[:, :4096]
        size = values.square().mean().sqrt()
        self._spreads.append((step, float(values.std(0).max() / size.clamp_min(1e-30))))
        self._samples = len(output)
        if given is not None and rowwise(given) and given.ndim and len(given) == len(output):
            rows = given.detach().reshape(len(given), -1)[:, :4096]
            self._differ = bool((rows != rows[:1]).any())
        if len(self._spreads) > MOST:
            del self._spreads[1 : MOST // 2 : 2]

    def _count(self, step: int, call: Call, output: Tensor) -> None:
        given = (*call.args, *call.kwargs.values())
        pair = [each for each in given if isinstance(each, Tensor)][:2]
        if len(pair) < 2:
            return
        if call.name in DIFFERENCES and pair[1].is_floating_point() and pair[1].numel() > 1:
            self._targets.append(float(pair[1].detach().float().std(unbiased=False)))
            if len(self._targets) > MOST:
                del self._targets[1 : MOST // 2 : 2]
        found = _answers(call.name, output, pair[1].detach())
        if found is None:
            return
        labels, answers, classes = found
        if not labels.numel():  # an empty batch
            return
        every = -(-labels.numel() // LABELS)
        labels, answers = labels[::every], answers[::every]
        kept = (labels >= 0) & (labels < classes)
        labels, answers = labels[kept], answers[kept]
        counts = torch.stack(
            [
                torch.bincount(labels, minlength=classes),
                torch.bincount(answers, minlength=classes),
                torch.bincount(labels[labels == answers], minlength=classes),
            ]
        ).cpu()
        if self._labels is None or len(self._labels) != classes:
            self._labels = torch.zeros(classes, dtype=torch.long)
            self._recent.clear()
        self._labels += counts[0]
        self._recent.append((step, counts))
        self._binary = call.name in BINARY
        self._places = labels.numel() > max(len(output), 1)

    def facts(self) -> list[object]:
        """What was counted, if anything."""
        if not self._spreads and self._labels is None and len(self._forms) < 2:
            return []
        recent = torch.zeros(3, 0, dtype=torch.long)
        if self._recent:
            recent = torch.stack([counts for _, counts in self._recent]).sum(0)
        return [
            Answers(
                steps=tuple(step for step, _ in self._spreads),
                spread=tuple(spread for _, spread in self._spreads),
                samples=self._samples,
                inputs_differ=self._differ,
                classes=0 if self._labels is None else len(self._labels),
                binary=self._binary,
                labels=() if self._labels is None else tuple(self._labels.tolist()),
                since=self._recent[0][0] if self._recent else 0,
                recent=tuple(recent[0].tolist()),
                predicted=tuple(recent[1].tolist()),
                hits=tuple(recent[2].tolist()),
                places=self._places,
                targets=tuple(self._targets),
                forms=max(1, len(self._forms)),
            )
        ]


def _form(call: Call) -> tuple[str, int]:
    """A loss, and how many numbers it takes of a sample where these are its classes or targets."""
    given = first_tensor(call.args or tuple(call.kwargs.values()))
    return call.name, given.shape[1] if given is not None and given.ndim == 2 else 0


def _answers(kind: str, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor, int] | None:
    """Labels, answers, and how many classes there are."""
    if kind in OVER_CLASSES and not target.is_floating_point() and output.ndim > 1:
        classes = output.shape[1]
        if classes > CLASSES or target.shape != (len(output), *output.shape[2:]):
            return None
        return target.reshape(-1).long(), output.argmax(1).reshape(-1), classes
    if kind in BINARY and output.shape == target.shape:
        if output.ndim > 1 and output.shape[1] > 1:
            return None  # several labels, each by itself
        bound = 0.0 if kind.endswith("logits") else 0.5
        whole = (target == 0) | (target == 1)
        if not bool(whole.all()):
            return None
        return target.reshape(-1).long(), (output > bound).reshape(-1).long(), 2
    return None

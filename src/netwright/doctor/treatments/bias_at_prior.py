"""The last bias where guessing is."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._answers import Answers, answers
from netwright.doctor.treatments._rows import sample
from netwright.doctor.treatments._shares import shares
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

HEADS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)


@TREATMENTS.register("bias-at-prior", grade="ask", cures=("initial-loss-off", "class-imbalance"))
def bias_at_prior(course: Course, finding: Finding) -> Iterator[Plan]:
    """The last layer begins with the answer of guessing: log shares, log-odds, or mean targets.

    Where its first answers spread far more than guessing asks for, its weights are made smaller by
    that factor in a second plan. Nothing else of the start changes.

    Source: Karpathy 2019, A recipe for training neural networks (init well); Lin et al. 2017,
    Focal loss for dense object detection, section 3.3.
    """
    found = answers(course)
    if found is None or found.last is None or not isinstance(found.last.module, HEADS):
        return
    if found.last.module.bias is None:
        return
    wanted, spread = _guess(course, found)
    if wanted is None:
        return
    path = found.last.path
    yield Plan(
        says=Phrase("the bias of {path} at the answer of guessing", path=path or "(model)"),
        apply=lambda course: _apply(course, path, wanted, 1.0),
    )
    over = found.output.dim() - 1
    stands = float(found.output.detach().double().std(0).mean()) if over >= 0 else 0.0
    if stands > 3 * spread > 0:
        yield Plan(
            says=Phrase("the same, and its weights by {factor:.2g}", factor=spread / stands),
            apply=lambda course: _apply(course, path, wanted, spread / stands),
        )


def _guess(course: Course, found: Answers) -> tuple[Tensor | None, float]:
    """The bias of each output, and how far answers may spread about it: 1 of logits, the spread
    of the targets of numbers."""
    known = shares(course, found)
    if known is not None:
        log = known.share.log()
        return (log[1:] - log[:1]) if known.binary else log, 1.0
    _, target = sample(course.train)
    if not target.is_floating_point() or target.shape[1:] != found.output.shape[1:]:
        return None, 0.0
    over = (0, *range(2, target.ndim))
    mean = target.double().mean(over).reshape(-1)
    return mean, float(target.double().std())


def _apply(course: Course, path: str, bias: Tensor, factor: float) -> None:
    head = course.model.get_submodule(path)
    assert isinstance(head, HEADS)
    assert head.bias is not None
    with torch.no_grad():
        head.bias.copy_(bias.to(head.bias).expand_as(head.bias))
        head.weight.mul_(factor)

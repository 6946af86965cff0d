"""A loss in which what is added to that of the data weighs less."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from netwright.core.languages import Phrase
from netwright.core.unheard import unheard
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding

KINDS: dict[str, Callable[[], nn.Module]] = {
    "cross_entropy": nn.CrossEntropyLoss,
    "nll_loss": nn.NLLLoss,
    "mse_loss": nn.MSELoss,
    "l1_loss": nn.L1Loss,
    "smooth_l1_loss": nn.SmoothL1Loss,
    "binary_cross_entropy": nn.BCELoss,
    "binary_cross_entropy_with_logits": nn.BCEWithLogitsLoss,
}
"""The losses of torch that a finding may name as the loss of the data."""

SHARES = (0.1, 0.01)


class Lighter(nn.Module):
    """`data` + `share` x what `whole` adds to it."""

    def __init__(self, whole: Callable[[Tensor, Tensor], Tensor], data: nn.Module, share: float):
        super().__init__()
        self.whole, self.data, self.share = whole, data, share

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        data: Tensor = self.data(output, target)
        return (1 - self.share) * data + self.share * self.whole(output, target)


@TREATMENTS.register("smaller-penalty", grade="ask", cures=("over-regularised",))
def smaller_penalty(course: Course, finding: Finding) -> Iterator[Plan]:
    """A tenth and a hundredth of what is added to the loss of the data, or nothing of it.

    What is added is the whole less the loss of the data, which the finding names.
    """
    named = str(finding.what.values.get("loss", ""))
    if named not in KINDS or not _fits(course, KINDS[named]()):
        return
    for share in SHARES:
        yield Plan(
            says=Phrase("{share} of what is added to {loss}", share=share, loss=named),
            apply=lambda made, share=share: _lighten(made, named, share),  # type: ignore[misc]
        )
    yield Plan(says=Phrase("{loss} alone", loss=named),
               apply=lambda made: setattr(made, "loss", KINDS[named]()))  # fmt: skip


def _fits(course: Course, data: nn.Module) -> bool:
    inputs, target = next(iter(course.train.batches()))
    try:
        with torch.no_grad(), unheard():
            return bool(data(course.copy().model(inputs), target).isfinite())
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False


def _lighten(course: Course, named: str, share: float) -> None:
    course.loss = Lighter(course.loss, KINDS[named](), share)

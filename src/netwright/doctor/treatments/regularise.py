"""What is learned by heart is made harder to learn."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.optim import SGD, AdamW

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS, Plan
from netwright.doctor.treatments._augmenting import Shifts, of_images
from netwright.doctor.trials.course import Course
from netwright.records.findings import Finding, amount

DECAYS = {"SGD": 5e-3, "AdamW": 0.1}
"""Of SGD as it stands; other optimizers decay as AdamW does, apart from the gradient."""

DROPPED = 0.3
SMOOTHED = 0.1


@TREATMENTS.register("regularise", grade="ask", cures=("overfitting",))
def regularise(course: Course, finding: Finding) -> Iterator[Plan]:
    """Shifted and mirrored images, weight decay, dropout before the last layer: each alone.

    Labels smoothed by a tenth, where there is no place for dropout.

    Source: Zhang et al. 2021, Understanding deep learning (still) requires rethinking
    generalization, section 3, compares them; Loshchilov & Hutter 2019, Decoupled weight decay.
    """
    if of_images(course):
        inputs, _ = next(iter(course.train.batches()))
        most = max(1, min(inputs.shape[2:]) // 8)
        yield Plan(
            says=Phrase("images shifted by up to {most} pixels", most=most),
            apply=lambda made: _fed(made, Shifts(most)),
        )
        if inputs.shape[1] == 3:
            yield Plan(
                says=Phrase("images shifted by up to {most} pixels and mirrored", most=most),
                apply=lambda made: _fed(made, Shifts(most, flips=True)),
            )
    plain = isinstance(course.optimizer, SGD)
    decay = DECAYS["SGD" if plain else "AdamW"]
    if max(float(g.get("weight_decay", 0.0)) for g in course.optimizer.param_groups) < decay:
        yield Plan(says=Phrase("weight decay {decay}", decay=amount(decay)),
                   apply=lambda made: _decay(made, decay, plain=plain))  # fmt: skip
    last = _last_linear(course.model)
    if last:
        yield Plan(says=Phrase("dropout of {share} before the last layer", share=DROPPED),
                   apply=lambda made: _drop(made, last))  # fmt: skip
    elif _smoothable(course):
        yield Plan(says=Phrase("labels smoothed by {share}", share=SMOOTHED),
                   apply=lambda made: setattr(made.loss, "label_smoothing", SMOOTHED))  # fmt: skip


def _fed(course: Course, change: Shifts) -> None:
    course.train = course.train.changed(change)


def _decay(course: Course, decay: float, *, plain: bool) -> None:
    if not plain and type(course.optimizer).__name__ == "Adam":
        group = course.optimizer.param_groups[0]
        kept = {name: group[name] for name in ("lr", "betas", "eps")}
        course.replace_optimizer(AdamW, **kept)
    course.set_in_groups(weight_decay=decay)


def _last_linear(model: nn.Module) -> str:
    """The path of the last linear layer behind others; "" where there is none, or where dropout
    is in use."""
    layers = [path for path, each in model.named_modules() if type(each) is nn.Linear]
    used = any(isinstance(each, nn.Dropout) and each.p > 0 for each in model.modules())
    return layers[-1] if len(layers) > 1 and not used else ""


def _drop(course: Course, path: str) -> None:
    last = course.model.get_submodule(path)
    course.replace_modules({path: nn.Sequential(nn.Dropout(DROPPED), last)})


def _smoothable(course: Course) -> bool:
    return type(course.loss) is nn.CrossEntropyLoss and not course.loss.label_smoothing

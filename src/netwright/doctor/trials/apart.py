"""A copy that still reads the weights of the original is no copy."""

from __future__ import annotations

import torch

from netwright.core.languages import Phrase
from netwright.core.unheard import unheard
from netwright.doctor.quiet import RandomState
from netwright.doctor.trials.course import Course, NoCourseError


def check_apart(copied: Course, original: Course) -> None:
    """`NoCourseError` where the loss of the copy reaches a weight of the original: its training
    would be another one, and would leave gradients there."""
    state, other = RandomState(), copied.copy()  # a loss may keep a state
    try:
        inputs, target = next(iter(other.train.batches()))
        with torch.enable_grad(), unheard():
            loss = other.loss(other.model(inputs), target)
    finally:
        state.restore()
    leaves = {id(each) for each in _leaves(loss)}
    names = [name for name, each in original.model.named_parameters() if id(each) in leaves]
    if names:
        raise NoCourseError(
            "The training cannot be copied, so nothing can be tried on it: {reason}.",
            hint="Its findings hold advice. What deep-copies can be healed.",
            reason=Phrase("the loss holds on to the weights themselves, {name} among them",
                          name=names[0]),
        )  # fmt: skip


def _leaves(value: object) -> list[torch.Tensor]:
    """The leaf tensors that a backward pass from here would give gradients to."""
    waiting = [getattr(value, "grad_fn", None)]
    seen, found = set(waiting), []
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        if hasattr(node, "variable"):
            found.append(node.variable)
        for following, _ in node.next_functions:
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return found

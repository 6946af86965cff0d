"""How long the gradients of a course are, at the weights that it has."""

from __future__ import annotations

import math
import statistics

import torch

from netwright.doctor.quiet import RandomState
from netwright.doctor.trials.course import Course

BATCHES = 12


def usual_norm(course: Course) -> float | None:
    """The median of the global norm over some batches; None where none is finite.

    Source: Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural
    networks, section 3.2: the limit is best set by the average norm over many updates.
    """
    copied, state = course.copy(), RandomState()
    torch.manual_seed(0)
    copied.model.train()
    norms = []
    try:
        with torch.enable_grad():
            for number, (inputs, target) in enumerate(copied.train.batches()):
                copied.optimizer.zero_grad()
                copied.loss(copied.model(inputs), target).backward()
                sizes = [float(p.grad.norm()) for p in copied.trainable if p.grad is not None]
                norms.append(math.hypot(*sizes))
                if number + 1 >= BATCHES:
                    break
    except RuntimeError:
        return None
    finally:
        state.restore()
    finite = [each for each in norms if math.isfinite(each) and each > 0]
    return statistics.median(finite) if finite else None

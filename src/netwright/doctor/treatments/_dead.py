"""Units that are at zero, or at any one value, on every sample that was looked at."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from netwright.doctor.quiet import quiet
from netwright.doctor.treatments._running import MAPS, calls
from netwright.doctor.trials.course import Course

SAMPLES = 512
"""What is zero on all of these is dead; a unit that answers to one sample in a hundred is met."""


def dead_units(course: Course) -> dict[str, Tensor]:
    """For each layer in front of an activation module the units that this makes zero for all."""
    pairs = _pairs(course)
    modules = dict(course.model.named_modules())
    alive: dict[str, Tensor] = {}

    def heard(path: str, axis: int) -> object:
        def hook(module: nn.Module, given: object, made: Tensor) -> None:
            others = [each for each in range(made.ndim) if each != axis]
            found = (made.detach() != 0).any(dim=others[0], keepdim=True)
            for each in others[1:]:
                found = found.any(dim=each, keepdim=True)
            alive[path] = alive.get(path, torch.zeros_like(found.flatten())) | found.flatten()

        return hook

    model, seen = course.model, 0
    training = [(each, each.training) for each in model.modules()]
    with quiet(model), torch.no_grad():
        hooks = [
            modules[activation].register_forward_hook(heard(layer, axis))
            for layer, (activation, axis) in pairs.items()
        ]
        try:
            model.eval()
            for inputs, _ in itertools.islice(course.train.batches(), SAMPLES):
                model(inputs)
                seen += len(inputs)
                if seen >= SAMPLES:
                    break
        except Exception:  # somebody's model
            return {}
        finally:
            for hook in hooks:
                hook.remove()
            for each, mode in training:
                each.training = mode
    return {path: ~each for path, each in alive.items() if not bool(each.all())}


def _pairs(course: Course) -> dict[str, tuple[str, int]]:
    """A layer whose result an activation module reads, maybe behind a norm; the axis of units."""
    run = calls(course)
    uses = {each.path: sum(one.path == each.path for one in run) for each in run}
    found = {}
    for place, each in enumerate(run):
        rest = run[place + 1 :]
        reader = next((one for one in rest if isinstance(one.module, nn.ReLU | nn.ReLU6)), None)
        between = rest[: rest.index(reader)] if reader is not None else []
        if (
            reader is not None
            and isinstance(each.module, MAPS)
            and not getattr(each.module, "transposed", False)
            and each.made is not None
            and reader.given is not None
            and reader.given.shape == each.made.shape
            and uses[each.path] == uses[reader.path] == 1
            and not any(isinstance(one.module, MAPS) for one in between)
        ):
            axis = each.made.ndim - 1 if isinstance(each.module, nn.Linear) else 1
            found[each.path] = (reader.path, axis)
    return found

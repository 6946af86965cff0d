"""The gradients of a named network, or of what a recipe trains: numeric derivatives beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core import events as e
from netwright.core.errors import SettingError
from netwright.data.sources import SOURCES
from netwright.inspection.gradients.checking import GradientCheck, check_gradients
from netwright.records.run import is_run
from netwright.tasks.asked import parse_input
from netwright.tasks.computing import find_device
from netwright.tasks.inspectable import find_inspectable
from netwright.tasks.inspectable_network import drawn
from netwright.tasks.preparing import prepare
from netwright.tasks.settings import Resolved, tokens

SAMPLES = 2
IMAGES = 8
"""Of a batch of data: enough for a norm over the batch, few enough to be quick."""


def names_data(word: str) -> bool:
    """Whether a word alone means data, rather than a network.

    >>> names_data("digits"), names_data("resnet18"), names_data("model.py:make")
    (True, False, False)
    """
    if word in SOURCES:
        return True
    path = Path(word).expanduser()
    try:
        there = path.exists() and path.suffix not in (".py", ".safetensors")
        return there and not is_run(path) and path.name != "latest"
    except (OSError, ValueError):  # a name too long, or with a zero byte in it
        return False


def check_network(
    model: str,
    inputs: Sequence[str] = (),
    *,
    settings: Sequence[str] = (),
    batch: int | None = None,
    device: str | None = None,
    seed: int = 0,
    trust_code: bool = False,
) -> GradientCheck:
    """Check the gradients of what `model` names, in training mode, on `batch` samples of noise of
    each of the `inputs`, such as `3x32x32`; of a type without point on zeros.

    Raises `SettingError` for what is no network, no input or no setting of a network.
    """
    options = _options(settings)
    samples = [parse_input(each) for each in inputs]
    first = samples[0][0] if samples else None
    found = find_inspectable(model, options=options, sample=first, trust_code=trust_code)
    if not samples and found.sample is None:
        raise SettingError(
            "{name} does not say what it takes: give the shape of one sample.",
            hint="On the command line --input 3x224x224, in Python nw.check_gradients(model, "
            "(3, 224, 224)).",
            name=found.name,
        )
    if not samples and found.sample is not None:
        samples = [(tuple(found.sample), torch.float32)]
    place = find_device(device or "auto")
    network = drawn(found.make).to(place).train()
    generator = torch.Generator().manual_seed(seed)
    given = [_noise(size, dtype, batch or SAMPLES, generator).to(place) for size, dtype in samples]
    return check_gradients(network, *given, seed=seed)


def check_recipe_gradients(resolved: Resolved, *, batch: int | None = None) -> GradientCheck:
    """Check the gradients of the loss that the recipe trains, on its first images.

    Raises subclasses of `NetwrightError` for what could not be trained either.
    """
    prepared = prepare(resolved, e.Events())
    task = prepared.task
    first = next(iter(task.train.iterate(0, 1)))
    count = batch or IMAGES

    return check_gradients(
        task.model.train(),
        first.images[:count],
        loss=_OfLogits(task.gradients.loss),
        target=first.target[:count],
        seed=resolved.recipe.general.seed % 2**31,
    )


class _OfLogits(nn.Module):
    """The loss of a network's logits; of one with heads half way that of its last. A module, so
    that the weights of classes are copied into float64 with it."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Any, target: Tensor) -> Tensor:
        return self.loss(output[0] if isinstance(output, tuple | list) else output, target)


def _options(words: Sequence[str]) -> Mapping[str, Any]:
    """What stands under `model.`; no other setting has to do with a network alone."""
    found: dict[str, Any] = {}
    for name, value in tokens(words).items():
        group, _, own = name.partition(".")
        if group != "model" or not own:
            raise SettingError(
                "{name} is no setting of a network, and nothing else is checked here.",
                hint="Settings of the network begin with model. such as model.width=0.5; to check "
                "what is trained, write DATA first.",
                name=name,
            )
        found[own] = value
    return found


def _noise(
    size: Sequence[int], dtype: torch.dtype, batch: int, generator: torch.Generator
) -> Tensor:
    if not dtype.is_floating_point:
        return torch.zeros((batch, *size), dtype=dtype)
    return torch.randn((batch, *size), generator=generator).to(dtype)

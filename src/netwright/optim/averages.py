"""A running average of the weights: what is evaluated is steadier than what is trained.

Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging"; the exponential
form and its correction for the first steps are those of Szegedy et al. 2016 (TensorFlow).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """The exponential moving average of a model's parameters and of its norms' statistics.

    After update number t (from 0) an average is d a + (1 - d) w with
    d = min(decay, (1 + t) / (10 + t)): without that correction the first weights, which are
    random, would weigh on the average for 1 / (1 - decay) steps.

    The floating-point buffers are averaged alike: the running mean and variance of a batch norm
    belong to the weights that brought them about, and those of the last raw weights do not fit
    averaged ones, least while the rate is high. What is not a floating-point number, such as a
    count of batches, is copied.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = Average(model, 0.999)
    >>> _ = model.weight.data.add_(1.0)
    >>> average.update(model)  # d = 0.1: nine tenths of the way
    >>> round((model.weight - average.weights()["weight"]).item(), 3)
    0.1
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Starts from the present weights. `decay` is in [0, 1)."""
        assert 0 <= decay < 1, decay
        self.decay = decay
        self.updates = 0
        self._averages: dict[str, Tensor] = {}
        self._copies: dict[str, Tensor] = {}
        self._places: dict[str, str] = {}  # name in the state dict -> name of its average
        first: dict[int, str] = {}
        for name, tensor in self.tensors(model).items():
            if tensor.is_floating_point() or tensor.is_complex():
                place = first.setdefault(id(tensor), name)  # a weight used twice is averaged once
                self._places[name] = place
                if place == name:
                    self._averages[name] = tensor.detach().clone()
            else:
                self._copies[name] = tensor.detach().clone()

    def tensors(self, model: nn.Module) -> dict[str, Tensor]:
        """What is averaged or copied, by its name in the state dict: the tensors themselves."""
        held = model.state_dict(keep_vars=True)  # a module's extra state may be anything
        return {name: each for name, each in held.items() if isinstance(each, Tensor)}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights of `model` after a step."""
        share = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        now = self.tensors(model)
        new = [now[name] for name in self._averages]
        torch._foreach_lerp_(list(self._averages.values()), new, share)
        for name, copy in self._copies.items():
            copy.copy_(now[name])
        self.updates += 1

    def weights(self) -> dict[str, Tensor]:
        """The averages and what is copied, under the names of the model's state dict: the
        tensors themselves."""
        averages = {name: self._averages[place] for name, place in self._places.items()}
        return {**averages, **self._copies}

    @contextlib.contextmanager
    def applied(self, model: nn.Module) -> Iterator[nn.Module]:
        """Within, `model` computes with the averages; afterwards it has its own weights back.

        Memory changes hands and nothing is copied. Do not train within.
        """
        self._swap(model)
        try:
            yield model
        finally:
            self._swap(model)

    def _swap(self, model: nn.Module) -> None:
        tensors = self.tensors(model)
        for name, mine in self._averages.items():
            self._averages[name] = tensors[name].data
            tensors[name].data = mine

    def state_dict(self) -> dict[str, Any]:
        """Number of updates and averages; loads with `weights_only=True`. Tensors not copied."""
        return {"updates": self.updates, "weights": self.weights()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, bit for bit."""
        self.updates = int(state["updates"])
        for name, tensor in self.weights().items():
            tensor.copy_(state["weights"][name])

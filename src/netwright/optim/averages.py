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
    """The exponential moving average of a model's parameters; its buffers as they are.

    After update number t (from 0) an average is d a + (1 - d) w with
    d = min(decay, (1 + t) / (10 + t)): without that correction the first weights, which are
    random, would weigh on the average for 1 / (1 - decay) steps.

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
        self._parameters: dict[str, Tensor] = {}
        self._buffers: dict[str, Tensor] = {}
        self._places: dict[str, str] = {}  # name in the state dict -> name of its average
        first: dict[int, str] = {}
        for name, tensor in model.state_dict(keep_vars=True).items():
            if isinstance(tensor, nn.Parameter):
                place = first.setdefault(id(tensor), name)  # a weight used twice is averaged once
                self._places[name] = place
                if place == name:
                    self._parameters[name] = tensor.detach().clone()
            elif isinstance(tensor, Tensor):  # not a module's extra state
                self._buffers[name] = tensor.detach().clone()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights of `model` after a step."""
        share = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        now = model.state_dict()
        new = [now[name] for name in self._parameters]
        torch._foreach_lerp_(list(self._parameters.values()), new, share)
        # A buffer is already an average (of a norm layer) or a count: averaging it again lags.
        for name, buffer in self._buffers.items():
            buffer.copy_(now[name])
        self.updates += 1

    def weights(self) -> dict[str, Tensor]:
        """The averaged parameters and the buffers, under the names of the model's state dict:
        not copies."""
        averages = {name: self._parameters[place] for name, place in self._places.items()}
        return {**averages, **self._buffers}

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
        for name, mine in self._parameters.items():
            parameter = model.get_parameter(name)
            self._parameters[name] = parameter.data
            parameter.data = mine

    def state_dict(self) -> dict[str, Any]:
        """Number of updates and averages; loads with `weights_only=True`. Tensors not copied."""
        return {"updates": self.updates, "weights": self.weights()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, bit for bit."""
        self.updates = int(state["updates"])
        for name, tensor in self.weights().items():
            tensor.copy_(state["weights"][name])

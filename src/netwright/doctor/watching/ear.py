"""What each layer puts out, and the gradient that comes back to it, during one forward pass.

Torch's functions are heard, so modules and functions are alike. Of each output a strided sample is
kept, a fraction of a per mille of a large one; nothing is read from the device until the step is
over. The gradient of an output comes by a hook on the tensor itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from netwright.doctor.modes import put_on, take_off
from netwright.doctor.patient import LOSSES, first_tensor, rowwise
from netwright.doctor.tape import Call

SAMPLE = 4096
"""Values of one output that are looked at."""

CONTRACTIONS = {
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "linear", "bilinear", "matmul", "__matmul__", "mm", "bmm", "addmm", "baddbmm", "einsum",
    "embedding", "lstm", "gru", "rnn_tanh", "rnn_relu", "multi_head_attention_forward",
}  # fmt: skip
RECTIFIERS = {"relu", "relu6", "leaky_relu", "threshold", "hardtanh", "prelu", "rrelu"}
SQUASHERS = {"tanh", "sigmoid"}
OTHERS = {"elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "hardswish", "hardsigmoid"}
ACTIVATIONS = RECTIFIERS | SQUASHERS | OTHERS


@dataclass(eq=False)
class Output:
    """One output: `sample` of its values, `alive` which units were not 0 on some sample."""

    name: str
    kind: str
    sample: Tensor
    alive: Tensor | None = None
    samples: int = 0
    gradient: Tensor | None = None


@dataclass(eq=False)
class NormOutput:
    """One batch normalisation: `numbers` are how far its running mean and variance are off."""

    name: str
    values: int
    momentum: float | None
    updated: bool
    numbers: Tensor | None = None


class Ear(TorchFunctionMode):
    """Listens to the forward pass of a model whose parameters and buffers have `paths`."""

    def __init__(self, paths: dict[int, str]) -> None:
        super().__init__()
        self.norms: list[NormOutput] = []
        self.losses: list[Call] = []
        """Losses that a module computes, of the forward passes since they were last taken away."""
        self._paths = paths
        self._counts: dict[str, int] = {}
        self._last = ""
        self._channels_last = False
        self.outputs: list[Output] = []
        self.error: Exception | None = None
        """What went wrong with our listening; nothing is heard from then on."""

    def on(self) -> None:
        put_on(self)

    def off(self) -> None:
        take_off(self)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.error is None:
            try:
                self._hear(func, args, kwargs, result)
            except Exception as error:  # it belongs to us: the loop is in the middle of its pass
                self.error = error
        return result

    def _hear(self, func: Any, args: Any, kwargs: dict[str, Any] | None, result: Any) -> None:
        name = getattr(func, "__name__", "")
        bare = name if name.startswith("__") else name.removesuffix("_")
        if bare in CONTRACTIONS:
            path = self._weights((args, kwargs))
            if path is not None:
                self._last = path
                self._channels_last = not bare.startswith("conv")
                self._keep(path, bare, result)
        elif bare in ACTIVATIONS and self._last:
            self._keep(f"{self._last}:{bare}", bare, result, units=True)
        elif bare == "batch_norm":
            self._norm(args, kwargs or {})
        elif bare in LOSSES and isinstance(result, Tensor) and result.requires_grad:
            self.losses.append(Call(func, tuple(args), dict(kwargs or {}), result))

    def _norm(self, args: Any, kwargs: dict[str, Any]) -> None:
        """The statistics a norm keeps, against those of the batch it just met."""
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        x, mean, variance = (given.get(name) for name in names[:3])
        path = next(
            (
                self._paths[id(each)]
                for each in (given.get("weight"), mean)
                if each is not None and id(each) in self._paths
            ),
            None,
        )
        if path is None or not isinstance(x, Tensor) or x.ndim < 2 or not x.numel():
            return
        momentum = given.get("momentum", 0.1)
        found = NormOutput(
            name=path.rpartition(".")[0],
            values=x.numel() // x.shape[1],
            momentum=float(momentum) if momentum is not None else None,
            updated=bool(given.get("training", False)),
        )
        self.norms.append(found)
        if mean is None or variance is None or found.values < 2:
            return
        with torch.no_grad():
            part = x.detach()
            if part.numel() > 1_000_000 and len(part) > 1:
                part = part[:: -(-part.numel() // 1_000_000)]
            dims = [each for each in range(part.ndim) if each != 1]
            spread, centre = torch.var_mean(part.float(), dims, correction=0)
            spread = spread.clamp_min(1e-12)
            ratio = variance.detach().float() / spread
            off = (mean.detach().float() - centre).abs() / spread.sqrt()
            found.numbers = torch.stack(
                [
                    off.median(),
                    torch.maximum(ratio, 1 / ratio.clamp_min(1e-12)).median(),
                    _independent(part, spread).median(),
                ]
            )

    def _weights(self, given: Any) -> str | None:
        """The layer whose parameter is among the arguments."""
        args, kwargs = given
        for each in (*args, *(kwargs or {}).values()):
            parts = each if isinstance(each, list | tuple) else (each,)
            for part in parts:
                if isinstance(part, nn.Parameter):
                    path = self._paths.get(id(part))
                    if path is not None:
                        return path.rpartition(".")[0]
        return None

    def _keep(self, name: str, kind: str, result: Any, *, units: bool = False) -> None:
        tensor = first_tensor(result)
        if tensor is None or not tensor.is_floating_point() or not tensor.numel():
            return
        if not rowwise(tensor):
            return
        count = self._counts[name] = self._counts.get(name, 0) + 1
        with torch.no_grad():
            flat = tensor.detach()
            output = Output(
                name=name if count == 1 else f"{name}#{count}",
                kind=kind,
                sample=_strided(flat).clone(),
                samples=len(flat) if flat.ndim else 1,
            )
            if units and kind in ("relu", "relu6", "threshold", "hardtanh") and flat.ndim > 1:
                dim = flat.ndim - 1 if self._channels_last else 1
                others = tuple(each for each in range(flat.ndim) if each != dim)
                output.alive = flat.ne(0).any(dim=0) if not others[1:] else flat.amax(others) > 0
        self.outputs.append(output)
        if tensor.requires_grad:

            def hear(gradient: Tensor) -> None:
                try:
                    output.gradient = _strided(gradient.detach()).clone()
                except Exception as error:
                    self.error = error

            tensor.register_hook(hear)


def _independent(part: Tensor, spread: Tensor) -> Tensor:
    """The number of independent values a channel, as the spread between the samples shows it: all
    of them where those of one sample have nothing in common, one a sample where they are equal."""
    values = part.float().flatten(2).mean(2) if part.ndim > 2 else part.float()
    whole = part.numel() // part.shape[1]
    between = values.var(0, correction=0) if len(values) > 1 else spread
    return (len(values) * spread / between.clamp_min(1e-12)).clamp(min(len(values), whole), whole)


def _strided(tensor: Tensor) -> Tensor:
    """At most some `SAMPLE` values, evenly taken, the same places each time."""
    flat = tensor.reshape(-1) if tensor.is_contiguous() else tensor.flatten()
    step = -(-flat.numel() // SAMPLE)
    if step > 1 and step % 2 == 0:
        step += 1  # an odd step falls on all columns of a map whose width is even
    return flat[::step]

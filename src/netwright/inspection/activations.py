"""What the layers of a network put out for one image: caught on its way, nothing changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError, UnknownNameError


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One layer's output for a batch: `values` is a copy on the CPU, with the batch first.

    `call` counts from 0 the times the layer ran in this pass, `calls` is how often it ran.
    `parts` is how many tensors it put out at once; the first of them is kept.
    """

    layer: str
    kind: str
    values: Tensor
    call: int
    calls: int
    parts: int = 1


def named_layer(model: nn.Module, layer: str) -> nn.Module:
    """The module called `layer` in `model.named_modules()`; "" is the model itself.

    Raises `UnknownNameError`, with the nearest names.
    """
    known = dict(model.named_modules())
    if not isinstance(layer, str) or layer not in known:
        raise UnknownNameError("layer", layer, [name for name in known if name])
    return known[layer]


def activations(model: nn.Module, images: Tensor, layer: str) -> list[Activation]:
    """What `layer` puts out for `images` (N, C, H, W), once for each time it runs.

    Mode, hooks, statistics of norms and torch's random state are left as they were. Raises
    `UnknownNameError` for an unknown layer, `SettingError` for one that does not run in
    evaluation or puts out no tensor.

    >>> found = activations(nn.Sequential(nn.Flatten(), nn.ReLU()), torch.ones(1, 1, 2, 2), "1")
    >>> [tuple(each.values.shape) for each in found]
    [(1, 4)]
    """
    module = named_layer(model, layer)
    outputs: list[Any] = []
    with _listening(model, [(layer, module)], lambda name, output: outputs.append(output)):
        model(images)
    if not outputs:
        raise SettingError(
            "{layer} ({kind}) does not run when the network looks at an image.",
            hint="It may only hold other layers, or be part of training alone.",
            layer=layer or "(model)",
            kind=type(module).__name__,
        )
    found = []
    for call, (tensor, parts) in enumerate(outputs):
        if tensor is None:
            raise SettingError(
                "{layer} ({kind}) puts out no tensor.",
                layer=layer or "(model)",
                kind=type(module).__name__,
            )
        found.append(
            Activation(
                layer=layer,
                kind=type(module).__name__,
                values=tensor,
                call=call,
                calls=len(outputs),
                parts=parts,
            )
        )
    return found


def last_at_each_size(model: nn.Module, images: Tensor) -> tuple[list[tuple[str, Tensor]], Tensor]:
    """Name and output of the last layer that ran at each size of feature maps; and what the
    model puts out itself.

    Sizes are (H, W) of outputs (N, C, H, W) in the order they came up; maps of one pixel and
    what only passes its input on (dropout, identity) do not count.

    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    >>> [name for name, _ in last_at_each_size(net, torch.zeros(1, 1, 8, 8))[0]]
    ['1', '2']
    """
    found: dict[tuple[int, int], tuple[str, Tensor]] = {}

    def keep(name: str, output: tuple[Tensor | None, int]) -> None:
        tensor = output[0]
        if tensor is not None and tensor.ndim == 4 and max(tensor.shape[2:]) > 1:
            found[(int(tensor.shape[2]), int(tensor.shape[3]))] = (name, tensor)

    layers = [
        (name, module)
        for name, module in model.named_modules()
        if name and not isinstance(module, _PASSING)
    ]
    with _listening(model, layers, keep):
        output: Tensor = model(images)
    return list(found.values()), output


_PASSING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)


@contextlib.contextmanager
def _listening(
    model: nn.Module,
    layers: list[tuple[str, nn.Module]],
    hear: Callable[[str, tuple[Tensor | None, int]], None],
) -> Iterator[None]:
    """`hear(name, (first tensor or None, how many))` for each run of `layers` in the block."""

    def hook(name: str) -> Any:
        def run(module: nn.Module, inputs: Any, output: Any) -> None:
            tensors = _tensors(output)
            # A copy: what comes next may work in place.
            first = tensors[0].detach().float().cpu().clone() if tensors else None
            hear(name, (first, len(tensors)))

        return run

    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=range(torch.cuda.device_count())))
        stack.enter_context(torch.no_grad())
        stack.enter_context(_evaluating(model))
        for name, module in layers:
            handle = module.register_forward_hook(hook(name))
            stack.callback(handle.remove)
        yield


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for the block; then each module has the mode it had."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _tensors(output: Any) -> list[Tensor]:
    """The tensors in an output, whatever holds them."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, dict):
        return [each for part in output.values() for each in _tensors(part)]
    if isinstance(output, list | tuple):
        return [each for part in output for each in _tensors(part)]
    return []

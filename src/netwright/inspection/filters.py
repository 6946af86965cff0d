"""The filters of a network: the weights of its convolutions, by the name of the layer."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from netwright.core.errors import SettingError
from netwright.inspection.activations import named_layer


def first_convolution(model: nn.Module) -> tuple[str, nn.Conv2d] | None:
    """Name and module of the convolution that stands first in `model`; None if it has none.

    >>> first_convolution(nn.Sequential(nn.Flatten(), nn.Linear(4, 2))) is None
    True
    """
    return next(_convolutions(model), None)


def filters(model: nn.Module, layer: str) -> Tensor:
    """The weights of the convolution `layer`, (out_channels, in_channels / groups, h, w), a copy
    on the CPU.

    Raises `UnknownNameError` for a name the model does not have, `SettingError` for a layer
    that is no convolution.

    >>> filters(nn.Sequential(nn.Conv2d(3, 8, 5)), "0").shape
    torch.Size([8, 3, 5, 5])
    """
    module = named_layer(model, layer)
    if not isinstance(module, nn.Conv2d):
        inside = [name for name, _ in _convolutions(module)]
        known = [f"{layer}.{name}" for name in inside] or [name for name, _ in _convolutions(model)]
        raise SettingError(
            "{layer} ({kind}) has no filters: only convolutions have.",
            hint="Convolutions: {known}." if known else "This network has no convolution.",
            layer=layer or "(model)",
            kind=type(module).__name__,
            known=", ".join(known[:12]) + (", ..." if len(known) > 12 else ""),
        )
    return module.weight.detach().float().cpu().clone()


def _convolutions(module: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    for name, each in module.named_modules():
        if isinstance(each, nn.Conv2d):
            yield name, each

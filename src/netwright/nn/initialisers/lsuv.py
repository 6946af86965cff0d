"""LSUV: orthogonal weights, then each layer scaled until its outputs have variance one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.nn.initialisers import INITIALISERS, Fans


@config
class LSUVOptions:
    """How near the variance comes to 1."""

    tolerance: float = setting(0.01, gt=0, lt=1, help="how far from 1 the variance may stay")
    iterations: int = setting(10, ge=1, help="most attempts for each layer")


@torch.no_grad()
def unit_variance(model: nn.Module, images: Tensor, options: LSUVOptions) -> None:
    """Scale every convolution and linear layer until its outputs on `images` have variance 1.

    `images` (N, C, H, W) are normalised as in training; a batch of 64 is enough. All is done in
    one forward pass, in the order in which layers are reached; a layer that is used twice is
    scaled where it is used first. In evaluation mode, so that norm layers pass the signal on as
    it is and their statistics stay. Raises `SettingError` for a layer whose outputs do not vary.
    """
    done: set[nn.Module] = set()

    def scale(layer: nn.Module, given: Any, output: Tensor) -> Tensor:
        if layer in done:
            return output
        done.add(layer)
        for _ in range(options.iterations):
            variance = float(output.var())
            if abs(variance - 1) <= options.tolerance:
                break
            if not 0 < variance < float("inf"):
                raise SettingError(
                    "lsuv: the outputs of layer {layer} have the variance {variance}: "
                    "no scale makes it 1.",
                    hint="Are the images all alike? Else choose another initialiser, such as he.",
                    layer=names[layer],
                    variance=f"{variance:.3g}",
                )
            layer.weight.div_(variance**0.5)  # type: ignore[operator]
            output = layer.forward(*given)
        return output

    names = {each: name for name, each in model.named_modules()}
    layers = [each for each in names if isinstance(each, nn.Conv2d | nn.Linear)]
    hooks = [each.register_forward_hook(scale) for each in layers]
    training = [each for each in names if each.training]
    model.eval()
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
        for module in training:
            module.training = True


@INITIALISERS.register(
    "lsuv",
    options=LSUVOptions,
    images=True,
    then=unit_variance,
    paper="Mishkin & Matas 2016, All you need is a good init, algorithm 1",
)
def lsuv(weight: Tensor, fans: Fans, gain: float, options: LSUVOptions) -> None:
    """LSUV: orthonormal weights, divided layer by layer by the spread of the outputs on images.

    Layer-sequential unit-variance: the gain is measured and not computed, so it fits whatever lies
    between the layers (pooling, dropout, branches that are added).

    When to use it: deep networks without norm layers whose activations have no known gain.

    What goes wrong: with norm layers after every convolution it changes nothing. The weights depend
    on the images, so another data set is another start. A layer that is reached by no image keeps
    its orthonormal weights. Images that are all alike have no spread to measure, and are refused.

    >>> model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
    >>> images = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    >>> unit_variance(model, images, LSUVOptions())
    >>> bool(abs(model(images).var() - 1) <= 0.01)
    True
    """
    nn.init.orthogonal_(weight)

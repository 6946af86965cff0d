"""SqueezeNet 1.0 after deep compression: pruned, its weights shared, stored as half floats.

Han, Mao & Dally 2016, "Deep compression"; the file is the authors' network for ImageNet, named as
torchvision's `squeezenet1_0`. Two things differ from torchvision: the last convolution has
padding 1, and the images were BGR.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from netwright.models.adapters import ADAPTERS, Pretrained, load_pretrained

NAME = "squeezenet-deep-compression"
_FIRST = "features.0.weight"


def _recognises(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bool:
    return "SqueezeNet-Deep-Compression" in metadata.get("source", "") and _FIRST in tensors


@ADAPTERS.register(
    NAME,
    network="squeezenet1_0",
    needs={"stem": "standard", "head_padding": 1},
    recognises=_recognises,
    short_side=256,
    size=(227, 227),
    mean=(123 / 255, 117 / 255, 104 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
    source="songhan/SqueezeNet-Deep-Compression, BSD-2-Clause",
)
def squeezenet_deep_compression(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """SqueezeNet 1.0 of ImageNet, pruned and weight-shared, for RGB images.

    Caffe's images are BGR from 0 to 255, less 104, 117, 123. The input channels of the first
    kernels are turned round here instead, so that images stay RGB.
    """
    floats = {name: each.float() for name, each in tensors.items()}
    if _FIRST in floats:
        floats[_FIRST] = floats[_FIRST].flip(1)
    return floats


def load_squeezenet(path: str | Path) -> Pretrained:
    """SqueezeNet with the weights of `path`, for RGB images; 1,000 classes of ImageNet."""
    return load_pretrained(NAME, path)

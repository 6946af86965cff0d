"""SqueezeNet 1.0 after deep compression: pruned, its weights shared, stored as half floats.

Han, Mao & Dally 2016, "Deep compression"; the file is the authors' network for ImageNet, named as
torchvision's `squeezenet1_0`. Two things differ from torchvision: the last convolution has
padding 1, and the images were BGR.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from netwright.models.adapters import Pretrained
from netwright.models.adapters.state_dicts import load_state_dict, read_state_dict
from netwright.models.squeezenet import squeezenet1_0

_FIRST = "features.0.weight"


def load_squeezenet(path: str | Path) -> Pretrained:
    """SqueezeNet with the weights of `path`, for RGB images; 1,000 classes of ImageNet.

    Caffe's images are BGR from 0 to 255, less 104, 117, 123. The input channels of the first
    kernels are turned round here instead, so that images stay RGB. Raises `CheckpointError`
    for a file that cannot be read and `SettingError` for weights of another network.
    """
    tensors = {name: each.float() for name, each in read_state_dict(path).items()}
    if _FIRST in tensors:
        tensors[_FIRST] = tensors[_FIRST].flip(1)
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn only to be replaced
        model = squeezenet1_0()
    load_state_dict(model, tensors, source=str(path))
    last = model.get_submodule("classifier.1")
    assert isinstance(last, nn.Conv2d)
    last.padding = (1, 1)
    return Pretrained(
        module=model.eval(),
        short_side=256,
        size=(227, 227),
        mean=(123 / 255, 117 / 255, 104 / 255),
        std=(1 / 255, 1 / 255, 1 / 255),
        source="songhan/SqueezeNet-Deep-Compression, BSD-2-Clause",
    )

"""ResNet-20 and ResNet-32 for CIFAR-10, trained by others: our names are theirs.

Weights of akamaster/pytorch_resnet_cifar10: 8.27 and 7.37 % test error as published there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from netwright.models import MODELS
from netwright.models.adapters import Pretrained
from netwright.models.adapters.state_dicts import load_state_dict, read_state_dict


def load_resnet_cifar(
    path: str | Path, *, name: Literal["resnet20", "resnet32", "resnet44", "resnet56"] = "resnet20"
) -> Pretrained:
    """The CIFAR network `name` with the weights of `path`; 10 classes, images of 32x32.

    Raises `CheckpointError` for a file that cannot be read and `SettingError` for weights of
    another network.
    """
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn only to be replaced
        model = MODELS.get(name).target()
    load_state_dict(model, read_state_dict(path), source=str(path))
    return Pretrained(
        module=model.eval(),
        short_side=32,
        size=(32, 32),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        source="akamaster/pytorch_resnet_cifar10, BSD-2-Clause",
    )

"""ResNet-20 and its like for CIFAR-10, trained by others: our names are theirs.

Weights of akamaster/pytorch_resnet_cifar10: 8.27 (ResNet-20) and 7.37 % (ResNet-32) test error as
published there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from netwright.models import MODELS
from netwright.models.adapters import ADAPTERS, Pretrained, load_pretrained

NAME = "resnet-cifar"


def _network(tensors: Mapping[str, Tensor]) -> str:
    """`resnet20` for three blocks in each of three stages: two layers a block, and two more."""
    blocks = {name.split(".")[1] for name in tensors if name.startswith("layer1.")}
    name = f"resnet{6 * len(blocks) + 2}"
    return name if name in MODELS else "resnet20"


def _recognises(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bool:
    return "pytorch_resnet_cifar10" in metadata.get("source", "") and "linear.weight" in tensors


@ADAPTERS.register(
    NAME,
    network=_network,
    needs={},
    recognises=_recognises,
    short_side=32,
    size=(32, 32),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    source="akamaster/pytorch_resnet_cifar10, BSD-2-Clause",
)
def resnet_cifar(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """ResNet-20, 32, 44 or 56 of CIFAR-10, as its number of blocks tells."""
    return dict(tensors)


def load_resnet_cifar(path: str | Path) -> Pretrained:
    """The CIFAR network that `path` holds the weights of; 10 classes, images of 32x32."""
    return load_pretrained(NAME, path)

"""The ImageNet weights that torchvision publishes: where they lie, and the images they expect.

    netwright train flowers/ resnet18 model.weights=imagenet1k-v1

Each file's name ends with the first eight digits of its sha256; so a file on the disk is known by
its content, whatever it is called. Source: torchvision, `models/*.py`, `IMAGENET1K_V1`,
BSD-3-Clause; accuracies are stated there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netwright.core.errors import SettingError

NAME = "imagenet1k-v1"
PLACE = "https://download.pytorch.org/models/"
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5)  # GoogLeNet's came from TensorFlow, where images go from -1 to 1

_FILES: Mapping[str, str] = {
    "alexnet": "alexnet-owt-7be5be79.pth",
    "googlenet": "googlenet-1378be20.pth",
    "mobilenet_v2": "mobilenet_v2-b0353104.pth",
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnet152": "resnet152-394f9c45.pth",
    "squeezenet1_0": "squeezenet1_0-b66bff10.pth",
    "squeezenet1_1": "squeezenet1_1-b8a52dc0.pth",
    "vgg11": "vgg11-8a719046.pth",
    "vgg11_bn": "vgg11_bn-6002323d.pth",
    "vgg13": "vgg13-19584684.pth",
    "vgg13_bn": "vgg13_bn-abd245e5.pth",
    "vgg16": "vgg16-397923af.pth",
    "vgg16_bn": "vgg16_bn-6c64b313.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "vgg19_bn": "vgg19_bn-c79401a0.pth",
}


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published file: its network, its address, and how its images were prepared."""

    network: str
    address: str
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD
    size: tuple[int, int] = (224, 224)

    @property
    def checksum(self) -> str:
        """The first digits of the sha256, as the file's name has them."""
        return self.address.rpartition("-")[2].partition(".")[0]


def published(network: str) -> Published:
    """The weights of a registered network; raises `SettingError` where none are published.

    >>> published("resnet18").address
    'https://download.pytorch.org/models/resnet18-f37072fd.pth'
    """
    if network not in _FILES:
        raise SettingError(
            "There are no weights {name} of {network}.",
            hint="There are of: {known}.",
            name=NAME,
            network=network,
            known=", ".join(_FILES),
        )
    values = _HALF if network == "googlenet" else None
    address = PLACE + _FILES[network]
    if values is not None:
        return Published(network=network, address=address, mean=values, std=values)
    return Published(network=network, address=address)


def known_file(sha256: str) -> Published | None:
    """The published weights that a file of this sha256 holds, None if it is none of them.

    >>> known_file("b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b").network
    'squeezenet1_1'
    """
    for network in _FILES:
        found = published(network)
        if sha256.startswith(found.checksum):
            return found
    return None


def is_name(text: str) -> bool:
    """Whether a text is the name of these weights; `_` and any case are as good.

    >>> is_name("IMAGENET1K_V1"), is_name("imagenet.pth")
    (True, False)
    """
    return text.lower().replace("_", "-") == NAME

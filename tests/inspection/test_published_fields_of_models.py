"""The fields of registered networks behind their last convolution or pooling of maps.

Araujo, Norris & Sim 2019 have VGG-16 and MobileNet v1 alike; their AlexNet has no padding in its
first layer (64 where torch's has 66), their ResNets halve in other units (483, 1027, 1507).
"""

from __future__ import annotations

import pytest
import torch

from netwright.inspection.tracing import trace
from netwright.models import MODELS, build


@pytest.mark.parametrize(
    ("name", "layer", "size", "padding"),
    [
        ("vgg16", "features", 212, 90),
        ("alexnet", "features", 195, 66),
        ("mobilenet_v1", "features", 315, 157),
        ("resnet50", "layer4", 427, 213),
        ("resnet101", "layer4", 971, 485),
        ("resnet152", "layer4", 1451, 725),
    ],
)
def test_the_last_maps_have_the_published_field(
    name: str, layer: str, size: int, padding: int
) -> None:
    shape = MODELS.get(name).facts["input"]
    with torch.device("meta"):
        model = build(name, num_classes=10, in_channels=shape[0], input_size=tuple(shape[1:]))
        record = trace(model, (torch.empty(1, *shape),))
    (found,) = [each for each in record.layers if each.name == layer]
    for facts in found.fields:
        assert (facts.size, facts.stride, facts.padding) == (size, 32.0, padding)

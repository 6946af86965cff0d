"""What the record says a unit sees, against what its gradient answers, for every architecture.

The network is made linear and positive: activations pass on what they get, a maximum becomes a
mean over the same window, norms are neutral. Then the pixels of a unit's field are those with a
gradient, without exception.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.inspection.tracing import trace
from netwright.models import MODELS, build
from netwright.records.inspection import AxisField, InspectedLayer

PASSED_ON = (nn.ReLU, nn.ReLU6, nn.Dropout)

NETWORKS = [name for name in MODELS.names() if name != "mlp"]


def _side(name: str) -> int:
    published: int = MODELS.get(name).facts["input"][1]
    # The first window of SqueezeNet has no padding: of 96 rows it drops the last.
    large = 97 if name.startswith("squeezenet") else 96
    return published if published <= 32 else large


def _network(name: str) -> nn.Module:
    entry = MODELS.get(name)
    narrow = hasattr(entry.options, "width")
    model = build(
        name,
        num_classes=3,
        in_channels=entry.facts["input"][0],
        input_size=(_side(name), _side(name)),
        options={"width": 0.125} if narrow else {},
    )
    return _linear_and_positive(model)


def _linear_and_positive(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    model.double().eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.copy_((0.5 + torch.rand_like(parameter)) / parameter[0].numel())
    for module in model.modules():
        if isinstance(module, PASSED_ON):
            module.inplace = False
            module.register_forward_hook(lambda module, given, out: given[0])
        elif isinstance(module, nn.MaxPool2d):
            module.register_forward_hook(_mean_of_the_same_window)
    return model


def _mean_of_the_same_window(module: nn.MaxPool2d, given: tuple[Tensor], out: Tensor) -> Tensor:
    means = F.avg_pool2d(
        given[0], module.kernel_size, module.stride, module.padding, module.ceil_mode
    )
    assert means.shape == out.shape
    return means


def _sampled(layers: tuple[InspectedLayer, ...]) -> list[InspectedLayer]:
    """Some layers over the whole depth, and the last that still has a window."""
    maps = [
        layer
        for layer in layers
        if layer.leaf and len(layer.outputs) == 1 and len(layer.outputs[0]) == 4
    ]
    windows = [layer for layer in maps if layer.fields[0].sight == "window"]
    every = max(1, len(windows) // 4)
    return [*windows[::every], windows[-1], *[m for m in maps if m.fields[0].sight == "all"][:1]]


def _told(facts: AxisField, unit: int, side: int) -> tuple[int, int]:
    """The rows of the image in the field of one unit."""
    if facts.sight == "all":
        return 0, side - 1
    assert facts.size is not None
    assert facts.stride is not None
    assert facts.padding is not None
    first = int(unit * facts.stride) - facts.padding
    return max(first, 0), min(first + facts.size, side) - 1


@pytest.mark.parametrize("name", NETWORKS)
def test_each_unit_answers_to_the_rows_that_its_field_names(name: str) -> None:
    model = _network(name)
    side = _side(name)
    image = torch.rand(1, MODELS.get(name).facts["input"][0], side, side, dtype=torch.float64)
    record = trace(model, (image,))
    modules = dict(model.named_modules())
    caught: dict[str, Tensor] = {}
    for layer in _sampled(record.layers):
        modules[layer.name].register_forward_hook(
            lambda module, given, out, name=layer.name: caught.setdefault(name, out)
        )
    image.requires_grad_(True)
    model(image)
    for layer in _sampled(record.layers):
        maps = caught[layer.name]
        height, width = maps.shape[2:]
        for row, column in {(0, 0), (height // 2, width - 1), (height - 1, width // 2)}:
            unit = maps[0, :, row, column].sum()
            (gradient,) = torch.autograd.grad(unit, image, retain_graph=True)
            pixels = gradient[0].abs().sum(0) > 0
            for axis, place in enumerate((row, column)):
                rows = pixels.any(1 - axis).nonzero()[:, 0].tolist()
                told = _told(layer.fields[axis], place, side)
                assert (rows[0], rows[-1]) == told, f"{layer.name} unit {row}, {column}"
                if layer.fields[axis].reads == layer.fields[axis].size:
                    assert len(rows) == rows[-1] - rows[0] + 1, layer.name

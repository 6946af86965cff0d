"""Figures that the papers state, or that their tables add up to."""

import pytest
import torch
from torch import nn

from netwright.inspection.outline import outline
from netwright.models import MODELS, build
from netwright.models.mobilenet_v1 import mobilenet_v1


def test_alexnet_of_2012_adds_up_to_the_figures_beside_todays() -> None:
    # (maps out, maps in that each sees, kernel, side of the output) for 227x227; then the layers
    convolutions = [
        (96, 3, 11, 55), (256, 48, 5, 27), (384, 256, 3, 13), (384, 192, 3, 13), (256, 192, 3, 13),
    ]  # fmt: skip
    linears = [(4096, 9216), (4096, 4096), (1000, 4096)]
    params = sum(out * (into * k * k + 1) for out, into, k, _ in convolutions)
    params += sum(out * (into + 1) for out, into in linears)
    macs = sum(out * into * k * k * side**2 for out, into, k, side in convolutions)
    macs += sum(out * into for out, into in linears)
    facts = MODELS.get("alexnet").facts
    assert (params, macs) == (facts["paper_params"], facts["paper_macs"])


def test_lenet5_of_1998_has_the_connections_that_the_paper_counts() -> None:
    # C1, S2, C3 (1,516 weights and biases at 10x10), S4, C5, F6 and the distances
    layers = [28**2 * 6 * 26, 14**2 * 6 * 5, 10**2 * 1516, 5**2 * 16 * 5, 120 * 401, 84 * 121, 840]
    assert sum(layers) == MODELS.get("lenet5-1998").facts["paper_macs"] == 340_908


# Howard et al. 2017, table 6 ("Million Mult-Adds", "Million Parameters")
@pytest.mark.parametrize(
    ("width", "macs", "params"),
    [(1.0, 569, 4.2), (0.75, 325, 2.6), (0.5, 149, 1.3), (0.25, 41, 0.5)],
)
def test_mobilenets_of_every_width_cost_what_the_paper_says(
    width: float, macs: int, params: float
) -> None:
    with torch.device("meta"):
        rows = outline(mobilenet_v1(width=width), (3, 224, 224))
    assert round(sum(row.macs for row in rows) / 1e6) == pytest.approx(macs, abs=1)
    assert sum(row.params for row in rows) / 1e6 == pytest.approx(params, abs=0.051)


@pytest.mark.parametrize(
    ("name", "depth"),
    [("vgg11", 11), ("vgg19_bn", 19), ("resnet18", 18), ("resnet34", 34), ("resnet152", 152)],
)
def test_the_depth_counts_the_layers_on_the_longest_path(name: str, depth: int) -> None:
    with torch.device("meta"):
        model = MODELS.get(name).target()
    layers = [
        place
        for place, each in model.named_modules()
        if isinstance(each, nn.Conv2d | nn.Linear) and "downsample" not in place
    ]
    assert len(layers) == depth


def test_resnet18_with_the_small_stem_is_the_one_known_from_cifar() -> None:
    # 0.56 G multiply-adds for 3x32x32 with the stem of CIFAR: kuangliu/pytorch-cifar's ResNet18
    model = build("resnet18", num_classes=10, in_channels=3, input_size=(32, 32))
    rows = outline(model, (3, 32, 32))
    assert sum(row.params for row in rows) == 11_173_962
    assert round(sum(row.macs for row in rows) / 1e9, 2) == 0.56


def test_mobilenet_v2_has_the_papers_parameters_but_for_its_norms() -> None:
    with torch.device("meta"):
        model = MODELS.get("mobilenet_v2").target()
    norms = sum(
        each.numel()
        for module in model.modules()
        if isinstance(module, nn.BatchNorm2d)
        for each in module.parameters()
    )
    assert norms == 34_112
    assert round((sum(each.numel() for each in model.parameters()) - norms) / 1e6, 2) == 3.47
